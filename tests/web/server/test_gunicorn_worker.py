"""How a slow client is read, while another thread writes to it."""

import socket
import threading
from collections.abc import Iterator

import pytest

from web.server.gunicorn_worker import PacedUnreader, _Threads

PATIENCE = 60.0


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a connection, with the patience of the application, and the client's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(PATIENCE)
        yield ours, theirs


def test_reading_leaves_the_patience_of_writing_alone(ends: tuple[socket.socket, socket.socket]) -> None:
    """An upload that is scored while it comes in is read by one thread, and another writes the results."""
    ours, _ = ends
    errors = list[BaseException]()

    def read() -> None:
        try:
            PacedUnreader(ours, 0.3).chunk()
        except TimeoutError as error:
            errors.append(error)

    reader, seen = threading.Thread(target=read), set()
    reader.start()
    while reader.is_alive():
        seen.add(ours.gettimeout())
    assert seen == {PATIENCE}
    assert len(errors) == 1


def test_what_has_come_is_read(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    reader = PacedUnreader(ours, PATIENCE)
    theirs.sendall(b"abc")
    assert reader.chunk() == b"abc"
    theirs.close()
    assert reader.chunk() == b""


def test_the_shorter_patience_counts(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    ours.settimeout(0.01)
    with pytest.raises(TimeoutError):
        PacedUnreader(ours, PATIENCE).chunk()


def test_where_the_system_gives_no_more_threads_the_work_waits_for_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    go_on = threading.Event()
    with _Threads(4) as threads:
        first = threads.submit(go_on.wait)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        second = threads.submit(go_on.is_set)
        go_on.set()
        assert first.result(PATIENCE)
        assert second.result(PATIENCE)
