"""Has the connection reset where a response over HTTP/1.0 breaks off.

Without chunks, the end of the connection is the end of a streamed response: were it closed as usual,
part of a file would pass for the whole. A reset says otherwise, to clients and to proxies.
"""

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Whether closing the socket resets the connection (``struct linger``).
_RESET, _NO_RESET = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


def reset_broken_responses(app: Flask) -> None:
    """Let clients that speak HTTP/1.0 see a reset where a response ends before it is whole."""
    application = app.wsgi_app

    def resetting(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body = application(environ, start_response)
        connection = environ.get("gunicorn.socket")
        if connection is None or environ["SERVER_PROTOCOL"] != "HTTP/1.0":
            return body
        # A file that is sent by the system has a length.
        return body if isinstance(body, environ["wsgi.file_wrapper"]) else ResettingBody(body, connection)

    app.wsgi_app = resetting  # type: ignore[method-assign]  # as Flask's documentation has it


class ResettingBody:
    """A response body that, once it has begun, has to come to its end before the connection may close as usual.

    It does not matter why it breaks off: the body fails, the client reads too slowly, or the process is killed.
    """

    def __init__(self, body: Iterable[bytes], connection: socket.socket) -> None:
        self._body, self._blocks, self._connection = body, iter(body), connection
        self._unfinished = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            block = next(self._blocks)
        except StopIteration:
            if self._unfinished:
                self._close_with(_NO_RESET)
                self._unfinished = False
            raise
        if not self._unfinished:
            self._close_with(_RESET)
            self._unfinished = True
        return block

    def close(self) -> None:
        """Close the body; if it is unfinished, first the connection."""
        if self._unfinished:
            self._reset()
        if close := getattr(self._body, "close", None):
            close()

    def _close_with(self, linger: bytes) -> None:
        with suppress(OSError):
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def _reset(self) -> None:
        # A thread that still waits for the request's body would keep the connection open: this ends its wait.
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RD)
        # Here, since gunicorn would first shut down the sending side, which looks like a proper end.
        with suppress(OSError):
            self._connection.close()
