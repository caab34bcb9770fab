"""Reading from a slow client while another thread writes to it, and making room for new clients."""

import errno
import os
import selectors
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from web.server.gunicorn_worker import BufferedThreadWorker, PacedUnreader, _Threads

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

PATIENCE = 60.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UNFINISHED = REQUEST[:-4]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a connection, with the application's timeout, and the client's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(PATIENCE)
        yield ours, theirs


def test_reading_does_not_change_the_timeout_of_writing(ends: tuple[socket.socket, socket.socket]) -> None:
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


def test_received_data_is_read(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    reader = PacedUnreader(ours, PATIENCE)
    theirs.sendall(b"abc")
    assert reader.chunk() == b"abc"
    theirs.close()
    assert reader.chunk() == b""


def test_the_shorter_timeout_applies(ends: tuple[socket.socket, socket.socket]) -> None:
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


class SmallServer:
    """A worker with room for one waiting client, whose loop the test turns by hand."""

    def __init__(self, listeners: list[socket.socket]) -> None:
        config = Config()
        config.set("worker_connections", 2)
        config.set("threads", 1)
        self.listeners = listeners
        self.worker = BufferedThreadWorker(0, os.getpid(), listeners, None, 30, config, Logger(config))
        self.worker.wsgi = self.application
        self.worker.tpool = self.worker.get_thread_pool()
        self.worker.poller = selectors.DefaultSelector()
        self.worker.method_queue.init()
        self.worker.poller.register(
            self.worker.method_queue.fileno(), selectors.EVENT_READ, self.worker.method_queue.run_callbacks
        )
        self.worker.set_accept_enabled(True)

    @staticmethod
    def application(_environ: object, start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def turn(self) -> None:
        """Handle what has happened, in one batch."""
        self.worker.wait_for_and_dispatch_events(PATIENCE)

    @staticmethod
    def waits(client: socket.socket) -> bool:
        """Whether nothing, not even an end, has been sent to the client."""
        try:
            client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        return False

    def answers(self, client: socket.socket) -> bool:
        """Whether the client gets an answer once its request is whole."""
        client.sendall(REQUEST)
        while self.waits(client):
            self.turn()
        return client.recv(4096).startswith(b"HTTP/1.1 200 ")

    def stop(self) -> None:
        self.worker.tpool.shutdown()
        self.worker.poller.close()
        self.worker.method_queue.close()
        self.worker.tmp.close()


@contextmanager
def small_server(addresses: int) -> Iterator[tuple[SmallServer, list[socket.socket]]]:
    """A small server at some addresses, and clients that have not connected yet."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(addresses)]
        server = SmallServer(listeners)
        stack.callback(server.stop)
        yield server, [stack.enter_context(socket.socket()) for _ in range(4)]


def test_who_is_closed_to_make_room_may_have_sent_something_just_then() -> None:
    with small_server(1) as (server, [oldest, newest, *_]):
        oldest.connect(server.listeners[0].getsockname())
        server.turn()
        newest.connect(server.listeners[0].getsockname())
        oldest.sendall(UNFINISHED)
        server.turn()
        assert not server.waits(oldest)
        assert server.worker.nr_conns == 1
        assert server.answers(newest)


def test_the_number_of_a_closed_connection_may_be_given_to_a_new_one_just_then() -> None:
    """The first new client has the oldest one closed, and the second new client's connection gets its number."""
    with small_server(2) as (server, [oldest, newer, newest, _]):
        oldest.connect(server.listeners[0].getsockname())
        server.turn()
        newer.connect(server.listeners[0].getsockname())
        newest.connect(server.listeners[1].getsockname())
        oldest.sendall(UNFINISHED)
        server.turn()
        assert not server.waits(oldest)
        assert not server.waits(newer)
        assert server.worker.nr_conns == 1
        assert server.answers(newest)


def test_a_connection_that_cannot_be_watched_is_closed_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "no more can be watched")

    with small_server(1) as (server, [known, new, *others]):
        known.connect(server.listeners[0].getsockname())
        server.turn()
        known.sendall(UNFINISHED)
        server.turn()
        with monkeypatch.context() as full:
            full.setattr(server.worker.poller, "register", refuse)
            server.turn()
            new.connect(server.listeners[0].getsockname())
            server.turn()
        assert server.worker.nr_conns == 0
        assert not server.waits(known)
        assert not server.waits(new)
        for other in others:
            other.connect(server.listeners[0].getsockname())
            server.turn()
        assert server.answers(others[-1])
