"""How the web takes connections: gunicorn's threaded worker, where only a whole request gets a thread.

gunicorn itself gives a connection a thread at once, and there waits for the request: some hundreds of clients that send
half a line would hold all threads. Here a thread looks at what has come, and goes on to another connection until the
head is whole, and with it a body that is small; a larger one is waited for in the thread, and has to come at a pace.

Nothing of Scoreline is imported here: the master process would then keep it, and serve it again after a reload.
"""

import errno
import re
import select
import selectors
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

# A request's head, and a small body with it, have to come within this time.
_HEAD_SECONDS = 30.0
_MAX_HEAD_BYTES = 64 * 1024
SMALL_BODY_BYTES = 16 * 1024
# A body has to bring this many bytes in the time that an upload may stand still.
_PACE_BYTES = 64 * 1024
# After an answer, what still comes is taken for a while: else the answer might not reach a client that still sends.
_LINGER_SECONDS = 2.0
_MAX_LINGER_SECONDS = 10.0
# What a reload replaces may finish its requests. When all of the service stops, the master ends it far sooner.
_RELOAD_SECONDS = 3600
_BLOCK_BYTES = 64 * 1024

# A head ends with an empty line; with a bare line feed it never will, and is refused as it stands.
_HEAD_END = re.compile(rb"\r\n\r\n|(?<!\r)\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(0*\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)
# What a thread answers about a connection of which it has not seen a whole request.
_MORE_TO_COME = object()
_PASSING_ERRORS = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE)

_STATUSES: dict[type[Exception], HTTPStatus] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ParseException: HTTPStatus.BAD_REQUEST,
}


class PacedUnreader(SocketUnreader):  # type: ignore[misc] # gunicorn has no types
    """Reads from a client that has to keep up a pace; raises TimeoutError for one that does not."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        super().__init__(sock)
        self._seconds = seconds
        self.begin()

    def begin(self) -> None:
        """Count anew."""
        self._left, self._came = self._seconds, 0

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes. Only the time that the client takes counts, not what is done between two calls."""
        began = time.monotonic()
        self._await_news()
        data: bytes = super().chunk(size_hint)
        self._came += len(data)
        self._left -= time.monotonic() - began
        if self._came >= _PACE_BYTES:
            self.begin()
        elif self._left <= 0:
            raise TimeoutError("the body comes too slowly")
        return data

    def _await_news(self) -> None:
        """Wait until there is something to read; the socket's own time-out is also that of whoever writes to it."""
        patience = self.sock.gettimeout()
        seconds = self._left if patience is None else min(self._left, patience)
        news = select.poll()
        news.register(self.sock, select.POLLIN)
        if not news.poll(max(0.0, seconds) * 1000):
            raise TimeoutError("nothing has come")


class Connection(TConn):  # type: ignore[misc] # gunicorn has no types
    """A client's connection; between two requests, what has come of the next one."""

    def __init__(self, pace_seconds: float, *args: Any) -> None:
        super().__init__(*args)
        self._pace_seconds = pace_seconds
        self.came = bytearray()
        self._needed: int | None = None
        self.closes_at = 0.0

    def init(self) -> None:
        """Make the parser, of a kind that insists on a pace."""
        if not self.initialized:
            super().init()
            self.parser.unreader = PacedUnreader(self.sock, self._pace_seconds)

    def await_request(self, came: bytes) -> None:
        """Begin a request with what has come of it already."""
        self.came, self._needed = bytearray(came), None
        self.timeout = time.monotonic() + _HEAD_SECONDS

    @property
    def whole(self) -> bool:
        """Whether a request is there as a thread needs it: its head, and its body if that is small."""
        if self._needed is None and (end := _HEAD_END.search(self.came)):
            self._needed = end.end() + self._small_body(end.end())
        return self._needed is not None and len(self.came) >= self._needed

    @property
    def too_long(self) -> HTTPStatus | None:
        """What is wrong with a head that is still without an end."""
        if self._needed is not None or len(self.came) <= _MAX_HEAD_BYTES:
            return None
        line_ends = b"\r\n" in self.came
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if line_ends else HTTPStatus.REQUEST_URI_TOO_LONG

    def _small_body(self, end: int) -> int:
        head = bytes(self.came[:end])
        found = _LENGTH.search(head)
        size = int(found.group(1)) if found and not _EXPECT.search(head) else 0
        return size if size <= SMALL_BODY_BYTES else 0

    def give_to_parser(self) -> None:
        """Hand over what has come."""
        self.init()
        self.parser.unreader.begin()
        self.parser.unreader.unread(bytes(self.came))
        self.came.clear()

    def receive(self) -> bytes | None:
        """What has come, without waiting: None where nothing has, empty at the end or after an error."""
        try:
            return bytes(self.sock.recv(_BLOCK_BYTES))
        except BlockingIOError:
            return None
        except OSError:
            return b""


class _Threads(ThreadPoolExecutor):
    """Threads as they are needed; where the system gives no more, the work waits for those that there are."""

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise


class BufferedThreadWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's threaded worker with the differences that this module is about.

    It expects two functions among the extensions of the application: ``refuse`` makes the answer to what is no
    request, ``stop_waiting`` answers those who wait when the process is about to end.
    """

    pace_seconds = 120.0

    def init_process(self) -> None:
        """Serve until told to stop."""
        # Connections of which a request has not come whole, and such as are about to be closed; oldest first.
        self._incoming: dict[Connection, None] = {}
        self._closing: dict[Connection, None] = {}
        self._next_look = 0.0
        self.cfg.set("graceful_timeout", _RELOAD_SECONDS)
        super().init_process()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Threads for requests."""
        return _Threads(self.cfg.threads)

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGTERM: stop taking connections, and end what would only wait."""
        if self.alive:
            self.method_queue.defer(self._stop_waiting)
        super().handle_exit(sig, frame)

    def _stop_waiting(self) -> None:
        soon = time.monotonic() + STOP_KEEPALIVE_LINGER
        for conn in self._incoming:
            conn.timeout = min(conn.timeout, soon)
        # It takes locks that threads hold, and those may be busy.
        threading.Thread(target=self.wsgi.extensions["stop_waiting"], name="stop waiting", daemon=True).start()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; it gets a thread when a request has come."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in _PASSING_ERRORS:
                raise
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections and self._incoming:
            self._close_incoming(next(iter(self._incoming)))
        conn = Connection(self.pace_seconds, self.cfg, client, address, listener.getsockname())
        conn.await_request(b"")
        self._listen(conn)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """A connection that was used before has news: mostly a whole request."""
        conn.await_request(b"")
        super().on_client_socket_readable(conn, client)

    def _listen(self, conn: Connection) -> None:
        conn.sock.setblocking(False)
        self._incoming[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._has_news, conn))

    def _has_news(self, conn: Connection, _client: socket.socket) -> None:
        self._forget_incoming(conn)
        self.enqueue_req(conn)

    def handle(self, conn: Connection) -> object:
        """Take what has come and, if that makes a request whole, answer it. Runs in a thread, without waiting."""
        if not conn.whole and (came := conn.receive()) is not None:
            if not came:
                return False
            conn.came += came
        if conn.whole:
            conn.give_to_parser()
            return super().handle(conn)
        if status := conn.too_long:
            self._refuse(conn.sock, status)
            return False
        return _MORE_TO_COME

    def finish_request(self, conn: Connection, future: Future[object]) -> None:
        """A thread has looked: wait for the next request, of which some may have come, or close."""
        try:
            result = False if future.cancelled() else future.result()
            if not result:
                self._close_gently(conn)
            elif result is _MORE_TO_COME:
                self._listen(conn)
            elif rest := conn.parser.unreader.take_buffered():
                conn.sock.setblocking(False)
                conn.await_request(rest)
                self.enqueue_req(conn)
            else:
                super().finish_request(conn, future)
        except Exception:
            self.log.exception("a connection could not be kept")
            self._close(conn)

    def murder_pending(self) -> None:
        """Now and then, close what has waited for too long."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + 0.5
        for conn in [conn for conn in self._incoming if conn.timeout < now]:
            self._turn_away(conn, HTTPStatus.REQUEST_TIMEOUT if conn.came else None)
        for conn in [conn for conn in self._closing if conn.timeout < now]:
            self._close_now(conn)

    def handle_error(self, req: object, client: socket.socket, addr: object, exc: Exception) -> None:
        """Answer what is no request with a problem document that repeats nothing of it."""
        found = (status for kind, status in _STATUSES.items() if isinstance(exc, kind))
        status = next(found, HTTPStatus.INTERNAL_SERVER_ERROR)
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("a request failed outside the application", exc_info=exc)
        else:
            self.log.info("a request was refused: %s", type(exc).__name__)
        self._refuse(client, status)

    def _turn_away(self, conn: Connection, status: HTTPStatus | None) -> None:
        self._forget_incoming(conn)
        if status:
            self._refuse(conn.sock, status)
        self._close_gently(conn)

    def _refuse(self, client: socket.socket, status: HTTPStatus) -> None:
        with suppress(OSError):
            client.setblocking(False)
            client.send(self.wsgi.extensions["refuse"](status))

    def _forget_incoming(self, conn: Connection) -> None:
        del self._incoming[conn]
        self.poller.unregister(conn.sock)

    def _close_incoming(self, conn: Connection) -> None:
        self._forget_incoming(conn)
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _close_gently(self, conn: Connection) -> None:
        """Say that nothing more is sent, and close once the client has done so, without keeping the loop waiting."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
        except OSError:
            self._close(conn)
            return
        now = time.monotonic()
        conn.timeout, conn.closes_at = now + _LINGER_SECONDS, now + _MAX_LINGER_SECONDS
        self._closing[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))

    def _drain(self, conn: Connection, _client: socket.socket) -> None:
        came = conn.receive()
        if came:
            conn.timeout = min(time.monotonic() + _LINGER_SECONDS, conn.closes_at)
        elif came is not None:
            self._close_now(conn)

    def _close_now(self, conn: Connection) -> None:
        del self._closing[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)
