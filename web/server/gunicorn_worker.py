"""gunicorn's threaded worker, changed to give a thread only to requests that have been received.

gunicorn's own worker gives each new connection a thread, which then waits for the request: some hundreds of clients
that send half a line would occupy all threads. Here, a thread only reads what has arrived and returns to other work
until the head is complete, and with it a small body. A larger body is read by the thread that handles the request, at a
minimum pace.

Nothing of Scoreline is imported here: the master process would keep it loaded, and a reload would serve the old code.
"""

import errno
import re
import select
import selectors
import socket
import ssl
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors, get_parser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.sock import ssl_context
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

# Time limit for the head of a request, and for a small body.
_HEAD_SECONDS = 30.0
_MAX_HEAD_BYTES = 64 * 1024
SMALL_BODY_BYTES = 16 * 1024
# Minimum pace of a body: this many bytes in the time that an upload may stall.
_PACE_BYTES = 64 * 1024
# After a response, input is drained for a while: a reset connection could lose the response to a client that still
# sends.
_LINGER_SECONDS = 2.0
_MAX_LINGER_SECONDS = 10.0
# After a reload, the old workers may finish their requests. On shutdown, the master stops them far sooner.
_RELOAD_SECONDS = 3600
_BLOCK_BYTES = 64 * 1024

# A head ends with an empty line. One with a bare line feed is malformed, and complete enough to be refused.
_HEAD_END = re.compile(rb"\r\n\r\n|(?<!\r)\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(0*\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)
# Result of a thread that has not seen a complete request yet.
_INCOMPLETE = object()
_TRANSIENT_ERRORS = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE)

_STATUSES: dict[type[Exception], HTTPStatus] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ParseException: HTTPStatus.BAD_REQUEST,
}


class PacedUnreader(SocketUnreader):  # type: ignore[misc] # gunicorn has no types
    """Reads a body at a minimum pace; raises ``TimeoutError`` if the client is slower."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        super().__init__(sock)
        self._seconds = seconds
        self.begin()

    def begin(self) -> None:
        """Start measuring."""
        self._left, self._received = self._seconds, 0

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes. Only time spent waiting for the client counts."""
        began = time.monotonic()
        self._await_data()
        data: bytes = super().chunk(size_hint)
        self._received += len(data)
        self._left -= time.monotonic() - began
        if self._received >= _PACE_BYTES:
            self.begin()
        elif self._left <= 0:
            raise TimeoutError("the body arrives too slowly")
        return data

    def _await_data(self) -> None:
        """Wait for data with ``poll``: the socket's timeout cannot be changed, since it also applies to writes."""
        if _decrypted_bytes(self.sock):
            return
        timeout = self.sock.gettimeout()
        seconds = self._left if timeout is None else min(self._left, timeout)
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        if not poller.poll(max(0.0, seconds) * 1000):
            raise TimeoutError("no data arrived")


def _decrypted_bytes(sock: socket.socket) -> int:
    """Return how many bytes TLS has decrypted already, which ``poll`` does not see."""
    return sock.pending() if isinstance(sock, ssl.SSLSocket) else 0


class Connection(TConn):  # type: ignore[misc] # gunicorn has no types
    """A client's connection, with what has been received of the next request."""

    def __init__(self, pace_seconds: float, *args: Any) -> None:
        super().__init__(*args)
        self._pace_seconds = pace_seconds
        self.received = bytearray()
        self._needed: int | None = None
        self.closes_at = 0.0

    def init(self) -> None:
        """Create the parser, with an unreader that enforces the pace."""
        if not self.initialized:
            # Otherwise gunicorn would wrap a socket in TLS here, and wait for the handshake.
            self.parser = get_parser(self.cfg, self.sock, self.client)
            super().init()
            self.parser.unreader = PacedUnreader(self.sock, self._pace_seconds)

    def await_request(self, received: bytes) -> None:
        """Begin a request with what has been received of it."""
        self.received, self._needed = bytearray(received), None
        self.timeout = time.monotonic() + _HEAD_SECONDS

    @property
    def complete(self) -> bool:
        """Whether a request can be handled: its head is complete, and so is its body if that is small."""
        if self._needed is None and (end := _HEAD_END.search(self.received)):
            self._needed = end.end() + self._small_body(end.end())
        return self._needed is not None and len(self.received) >= self._needed

    @property
    def too_long(self) -> HTTPStatus | None:
        """The status to refuse a head that is too long; None if it is not."""
        if self._needed is not None or len(self.received) <= _MAX_HEAD_BYTES:
            return None
        line_ends = b"\r\n" in self.received
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if line_ends else HTTPStatus.REQUEST_URI_TOO_LONG

    def _small_body(self, end: int) -> int:
        head = bytes(self.received[:end])
        length = _LENGTH.search(head)
        size = int(length.group(1)) if length and not _EXPECT.search(head) else 0
        return size if size <= SMALL_BODY_BYTES else 0

    def feed_parser(self) -> None:
        """Hand what has been received to the parser."""
        self.init()
        self.parser.unreader.begin()
        self.parser.unreader.unread(bytes(self.received))
        self.received.clear()

    def receive(self) -> bytes | None:
        """Read without blocking: None if there is nothing, empty at the end of the stream or on an error."""
        try:
            return bytes(self.sock.recv(_BLOCK_BYTES))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError:
            return b""

    def take_received(self) -> bytes:
        """Return what has been received after the request that was handled."""
        rest = bytes(self.parser.unreader.take_buffered())
        left = _decrypted_bytes(self.sock)
        return rest + bytes(self.sock.recv(left)) if left else rest

    def end_sending(self) -> None:
        """Tell the client that nothing more is sent."""
        self.sock.setblocking(False)
        if isinstance(self.sock, ssl.SSLSocket):
            with suppress(OSError, ValueError):  # the client's own goodbye is not waited for
                self.sock.unwrap()
        self.sock.shutdown(socket.SHUT_WR)


class _Threads(ThreadPoolExecutor):
    """A thread pool that makes do with its threads when the system cannot start another one."""

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise


class BufferedThreadWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's threaded worker that buffers requests before it gives them a thread.

    The application must have two functions among its extensions: ``refuse`` returns the response to a malformed
    request, ``stop_waiting`` ends long polls and event streams on shutdown.
    """

    pace_seconds = 120.0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Connections without a complete request, and connections being closed; oldest first.
        self._incoming: dict[Connection, None] = {}
        self._closing: dict[Connection, None] = {}
        self._next_check = 0.0
        self._tls: ssl.SSLContext | None = None

    def init_process(self) -> None:
        """Serve until shutdown."""
        if self.cfg.is_ssl:
            self._tls = ssl_context(self.cfg)
        self.cfg.set("graceful_timeout", _RELOAD_SECONDS)
        super().init_process()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Create the thread pool."""
        return _Threads(self.cfg.threads)

    def handle_exit(self, sig: int, frame: object) -> None:
        """On SIGTERM, stop accepting connections and end long polls."""
        if self.alive:
            self.method_queue.defer(self._stop_waiting)
        super().handle_exit(sig, frame)

    def _stop_waiting(self) -> None:
        soon = time.monotonic() + STOP_KEEPALIVE_LINGER
        for conn in self._incoming:
            conn.timeout = min(conn.timeout, soon)
        # In a thread: it takes locks that busy threads may hold.
        threading.Thread(target=self.wsgi.extensions["stop_waiting"], name="stop waiting", daemon=True).start()

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection; it gets a thread when data arrives."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in _TRANSIENT_ERRORS:
                raise
            return
        self.nr_conns += 1
        # All places are taken: the connection that has waited longest without a complete request makes room.
        if self.nr_conns >= self.worker_connections and self._incoming:
            self._close_incoming(next(iter(self._incoming)))
        try:
            if self._tls is not None:
                # The handshake is part of reading, which does not block.
                client = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        except OSError:  # the client has gone
            self.nr_conns -= 1
            client.close()
            return
        conn = Connection(self.pace_seconds, self.cfg, client, address, listener.getsockname())
        conn.await_request(b"")
        try:
            self._listen(conn)
        except OSError:
            self.log.exception("a connection could not be watched")
            self._close(conn)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Handle data on a kept-alive connection: mostly a complete request."""
        conn.await_request(b"")
        super().on_client_socket_readable(conn, client)

    def _listen(self, conn: Connection) -> None:
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_readable, conn))
        self._incoming[conn] = None

    def _on_readable(self, conn: Connection, _client: socket.socket) -> None:
        # The event is stale if ``accept`` has closed the connection since the poll.
        if conn in self._incoming:
            self._forget_incoming(conn)
            self.enqueue_req(conn)

    def handle(self, conn: Connection) -> object:
        """Read what has arrived and handle the request if it is complete. Runs in a thread, without blocking."""
        if not conn.complete and (data := conn.receive()) is not None:
            if not data:
                return False
            conn.received += data
        if conn.complete:
            conn.feed_parser()
            return super().handle(conn)
        if status := conn.too_long:
            self._refuse(conn.sock, status)
            return False
        return _INCOMPLETE

    def finish_request(self, conn: Connection, future: Future[object]) -> None:
        """Continue after ``handle``: wait for more data or for the next request, or close the connection."""
        try:
            result = False if future.cancelled() else future.result()
            if not result:
                self._close_gently(conn)
            elif result is _INCOMPLETE:
                self._listen(conn)
            elif rest := conn.take_received():
                conn.sock.setblocking(False)
                conn.await_request(rest)
                self.enqueue_req(conn)
            else:
                super().finish_request(conn, future)
        except Exception:
            self.log.exception("a connection could not be kept")
            self._close(conn)

    def murder_pending(self) -> None:
        """Close connections that have timed out; checked twice a second."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + 0.5
        for conn in [conn for conn in self._incoming if conn.timeout < now]:
            self._time_out(conn, HTTPStatus.REQUEST_TIMEOUT if conn.received else None)
        for conn in [conn for conn in self._closing if conn.timeout < now]:
            self._close_now(conn)

    def handle_error(self, req: object, client: socket.socket, addr: object, exc: Exception) -> None:
        """Answer a malformed request with a problem document that quotes nothing of it."""
        statuses = (status for kind, status in _STATUSES.items() if isinstance(exc, kind))
        status = next(statuses, HTTPStatus.INTERNAL_SERVER_ERROR)
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("a request failed outside the application", exc_info=exc)
        else:
            self.log.info("a request was refused: %s", type(exc).__name__)
        self._refuse(client, status)

    def _time_out(self, conn: Connection, status: HTTPStatus | None) -> None:
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
        """Shut down the sending side, and close once the client has closed too or some seconds have passed."""
        try:
            conn.end_sending()
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))
        except OSError:
            self._close(conn)
            return
        now = time.monotonic()
        conn.timeout, conn.closes_at = now + _LINGER_SECONDS, now + _MAX_LINGER_SECONDS
        self._closing[conn] = None

    def _drain(self, conn: Connection, _client: socket.socket) -> None:
        data = conn.receive()
        if data:
            conn.timeout = min(time.monotonic() + _LINGER_SECONDS, conn.closes_at)
        elif data is not None:
            self._close_now(conn)

    def _close_now(self, conn: Connection) -> None:
        del self._closing[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)
