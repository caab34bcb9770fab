"""A client for files: from the first byte of the upload to the last byte of the results, on disk.

As ``python -m bench.transfer PORT WAY SOURCE TARGET`` it does so in a process of its own and prints what it measured.
"""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1024 * 1024
_SILENCE_SECONDS = 180.0
_MAX_SECONDS = 900.0
_ENDED = ("succeeded", "failed", "canceled")
_TYPES = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".jsonl": "application/x-ndjson",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_CSV = {"Content-Type": _TYPES[".csv"]}


class TransferFailed(Exception):
    """Raised when an upload or a download goes wrong; says what the server said."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file's way; all in seconds. What overlaps (``score``) or is not there is zero in the parts.

    ``processor`` is the client's own share of the processors.
    """

    seconds: float
    processor: float
    job: str
    upload: float = 0.0
    wait: float = 0.0
    download: float = 0.0


def by_job(port: int, source: Path, target: Path) -> Transfer:
    """``POST /api/v1/jobs``, a long poll until the job has ended, ``GET`` the results as the target is named."""
    started, used = time.perf_counter(), time.process_time()
    with _connected(port) as connection:
        _send(connection, "POST", "/api/v1/jobs", source, {"Content-Type": _TYPES[source.suffix]})
        job = json.loads(_answer(connection).read())
        uploaded = time.perf_counter()
        while job["state"] not in _ENDED:
            if time.perf_counter() - started > _MAX_SECONDS:
                raise TransferFailed(f"the job has not ended after {_MAX_SECONDS:g} s: {job}")
            connection.request("GET", job["links"]["self"], headers={"Prefer": "wait=60"})
            job = json.loads(_answer(connection).read())
        if job["state"] != "succeeded":
            raise TransferFailed(f"the job {job['state']}: {job['error']}")
        ended = time.perf_counter()
        connection.request(
            "GET", job["links"]["results"], headers={"Accept": _TYPES.get(target.suffix, _TYPES[".csv"])}
        )
        _save(_answer(connection), target)
    done, spent = time.perf_counter(), time.process_time() - used
    return Transfer(done - started, spent, job["links"]["self"], uploaded - started, ended - uploaded, done - ended)


def by_score(port: int, source: Path, target: Path) -> Transfer:
    """``POST /api/v1/score``: the results come back while the upload still runs."""
    started, used = time.perf_counter(), time.process_time()
    with _connected(port) as connection:
        upload = _send_aside(connection, "/api/v1/score", source)
        response = _answer(connection)
        _save(response, target)
        upload()
        job = response.headers["Location"]
    return Transfer(time.perf_counter() - started, time.process_time() - used, job)


def by_invocation(port: int, source: Path, target: Path) -> Transfer:
    """``POST /invocations``: the whole file in one request, the predictions in its answer."""
    started, used = time.perf_counter(), time.process_time()
    with _connected(port) as connection:
        _send(connection, "POST", "/invocations", source, _CSV)
        _save(_answer(connection), target)
    return Transfer(time.perf_counter() - started, time.process_time() - used, "")


WAYS: dict[str, Callable[[int, Path, Path], Transfer]] = {"job": by_job, "score": by_score}


def get_json(port: int, path: str) -> Any:
    """The document at a path."""
    with _connected(port) as connection:
        connection.request("GET", path)
        return json.loads(_answer(connection).read())


def delete(port: int, path: str) -> None:
    """Remove what is at a path."""
    with _connected(port) as connection:
        connection.request("DELETE", path)
        _answer(connection).read()


@contextmanager
def _connected(port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port, timeout=_SILENCE_SECONDS)
    try:
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection
    finally:
        connection.close()


def _send(connection: HTTPConnection, method: str, path: str, source: Path, headers: dict[str, str]) -> None:
    _begin(connection, method, path, source, headers)
    with source.open("rb") as file:
        connection.sock.sendfile(file)


def _begin(connection: HTTPConnection, method: str, path: str, source: Path, headers: dict[str, str]) -> None:
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in {**headers, "Content-Length": str(source.stat().st_size)}.items():
        connection.putheader(name, value)
    connection.endheaders()


def _send_aside(connection: HTTPConnection, path: str, source: Path) -> Callable[[], None]:
    """Send a file in a thread; what is returned awaits its end and raises what went wrong."""
    errors: list[OSError] = []
    _begin(connection, "POST", path, source, _CSV)
    sock = connection.sock

    def send() -> None:
        try:
            with source.open("rb") as file:
                sock.sendfile(file)
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=send, name="upload", daemon=True)
    thread.start()

    def finish() -> None:
        thread.join(_SILENCE_SECONDS)
        if errors or thread.is_alive():
            raise TransferFailed(f"the upload broke off: {errors or 'it hangs'}")

    return finish


def _answer(connection: HTTPConnection) -> HTTPResponse:
    response = connection.getresponse()
    if response.status >= 300:
        raise TransferFailed(f"status {response.status}: {response.read(2000).decode('utf-8', 'replace')}")
    return response


def _save(response: HTTPResponse, target: Path) -> None:
    buffer = bytearray(_BLOCK_BYTES)
    view = memoryview(buffer)
    with target.open("wb", buffering=0) as file:
        while count := response.readinto(buffer):
            file.write(view[:count])


if __name__ == "__main__":
    port, way, source, target = sys.argv[1:]
    print(json.dumps(asdict(WAYS[way](int(port), Path(source), Path(target)))))
