"""An S3-compatible server of the tests' own."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from tests.stack import free_port, wait_until

REGION = "us-east-1"


@dataclass
class ObjectServer:
    """The server, which keeps everything in memory. What a process must have in its environment to use it."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_REGION": REGION}
        return {**keys, "AWS_ENDPOINT_URL": self.url}

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(self._answers)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None

    def create_bucket(self, name: str) -> str:
        """Create a bucket; its address."""
        httpx.put(f"{self.url}/{name}", timeout=60).raise_for_status()
        return f"s3://{name}/data"

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/moto-api/", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    """A server for as long as it is needed, which this process and its children find in their environment."""
    server = ObjectServer()
    before = {name: os.environ.get(name) for name in server.environment}
    server.start()
    os.environ.update(server.environment)
    try:
        yield server
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.stop()


@contextmanager
def refusing_server(status: int, code: str) -> Iterator[dict[str, str]]:
    """A server that answers every request with one error; what a process must have in its environment to use it."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = f"<Error><Code>{code}</Code></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST = do_DELETE = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield ObjectServer(server.server_port).environment
        finally:
            server.shutdown()


def files_in(folder: Path) -> list[Path]:
    """All files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
