"""How the connection of a response closes, by what became of the response."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from web.server.broken_responses import ResettingBody

PATIENCE = 60.0


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a connection and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as theirs:
        ours, _ = listener.accept()
        with ours:
            theirs.settimeout(PATIENCE)
            yield ours, theirs


def respond(body: ResettingBody, connection: socket.socket, blocks: int) -> None:
    """Send some blocks and close everything as gunicorn does after a failure."""
    for _, block in zip(range(blocks), body, strict=False):
        connection.sendall(block)
    body.close()
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@pytest.mark.parametrize("sent", [1, 2])
def test_what_breaks_off_is_reset(ends: tuple[socket.socket, socket.socket], sent: int) -> None:
    """What has been sent is the whole only once the body says so."""
    ours, theirs = ends
    respond(ResettingBody([b"a", b"b"], ours), ours, sent)
    assert theirs.recv(1) == b"a"
    with pytest.raises(ConnectionResetError):
        while theirs.recv(1):
            pass


@pytest.mark.parametrize("blocks", [[], [b"ab"], [b"a", b"", b"b"]])
def test_what_is_whole_ends_as_usual(ends: tuple[socket.socket, socket.socket], blocks: list[bytes]) -> None:
    ours, theirs = ends
    respond(ResettingBody(blocks, ours), ours, 9)
    with theirs.makefile("rb") as stream:
        assert stream.read() == b"".join(blocks)


def test_an_error_can_be_told_before_the_response_has_begun(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    ResettingBody([b"a"], ours).close()
    ours.sendall(b"HTTP/1.0 500 ")
    assert theirs.recv(99) == b"HTTP/1.0 500 "


def test_an_abandoned_connection_is_reset(ends: tuple[socket.socket, socket.socket]) -> None:
    """As when the process is killed: the system closes what was open."""
    ours, theirs = ends
    next(ResettingBody([b"a"], ours))
    ours.close()
    with pytest.raises(ConnectionResetError):
        theirs.recv(1)


def test_a_thread_that_waits_for_the_request_does_not_delay_the_reset(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    poller, waits = select.poll(), threading.Event()
    poller.register(ours, select.POLLIN)

    def wait() -> None:
        waits.set()
        poller.poll()

    reader = threading.Thread(target=wait, daemon=True)
    reader.start()
    assert waits.wait(PATIENCE)
    respond(ResettingBody([b"a", b"b"], ours), ours, 1)
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert theirs.recv(1) == b"a"
    with pytest.raises(ConnectionResetError):
        theirs.recv(1)


def test_the_body_is_closed_in_any_case(ends: tuple[socket.socket, socket.socket]) -> None:
    closed = list[str]()

    class Body:
        def __init__(self) -> None:
            self.blocks = iter([b"a"])

        def __iter__(self) -> Iterator[bytes]:
            return self.blocks

        def close(self) -> None:
            closed.append("body")

    for body in (ResettingBody(Body(), ends[0]), ResettingBody(Body(), ends[0])):
        next(body)
        body.close()
    assert closed == ["body"] * 2
