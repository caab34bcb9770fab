"""A running Scoreline of the tests' own: all processes, a free port, an own data folder."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from jobs.settings import Settings
from jobs.store import keys
from jobs.store.connection import connect

ROOT = Path(__file__).parent.parent
AS_INSTALLED = Path(__file__).parent / "as_installed"
MODEL_COMMAND = (sys.executable, "-m", "model")
CSV = {"Content-Type": "text/csv"}
# What a start takes is processor time, of which a busy machine gives little.
_START_SECONDS = 600


def wait_until(condition: Callable[[], Any], seconds: float = 240) -> Any:
    """What the condition answers once that is true; fails when it takes far too long."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)
    return answer


def taken(send: Callable[[], httpx.Response], seconds: float = 240) -> httpx.Response:
    """The response to a request that is sent again while a busy service asks for that; fails with the last refusal."""
    deadline = time.monotonic() + seconds
    while (response := send()).status_code == 503 and "Retry-After" in response.headers:
        assert time.monotonic() < deadline, response.text
        time.sleep(0.05)
    return response


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """A running service and the ways in which tests use it."""

    folder: Path
    port: int
    environment: dict[str, str]
    scheme: str = "http"
    model_command: Sequence[str] = MODEL_COMMAND
    launcher: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it as ``make run`` does, and wait until it says that it is ready."""
        path, deadline = self.folder / "log", time.monotonic() + _START_SECONDS
        with path.open("ab") as log:
            command, before = [sys.executable, "-m", "ops.launch"], log.tell()
            self.launcher = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        while b"Scoreline is ready at" not in (said := path.read_bytes()[before:]):
            assert self.launcher.poll() is None, said.decode()
            assert time.monotonic() < deadline, said.decode()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self.launcher.terminate()
        self.launcher.wait(timeout=30)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        # Otherwise each client would read all the certificates that there are.
        return httpx.Client(base_url=self.url, timeout=90, verify=False)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def upload(self, data: bytes | Iterator[bytes], wait: int = 60, **query: Any) -> httpx.Response:
        """Upload a CSV and wait for the job to end."""
        headers = {**CSV, "Prefer": f"wait={wait}"} if wait else CSV
        return self.request("POST", "/api/v1/jobs", content=data, headers=headers, params=query)

    def score(self, data: bytes, **query: Any) -> tuple[dict[str, Any], bytes]:
        """Upload a CSV; the ended job and its results."""
        job = self.ended(self.upload(data, **query).raise_for_status().json())
        assert job["state"] == "succeeded", job
        return job, self.get(job["links"]["results"]).raise_for_status().content

    def processes(self, *words: str) -> list[psutil.Process]:
        """The service's processes whose command line holds all the words, parents before their children."""
        found = []
        for process in psutil.Process(self.launcher.pid).children(recursive=True):
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if all(word in line for word in words):
                found.append(process)
        return found

    def forks(self) -> list[psutil.Process]:
        """The processes that read files or write exports: forks of the fork servers."""
        found = self.processes("jobs.fork_server")
        return [process for process in found if process.ppid() in {other.pid for other in found}]

    def ended(self, job: dict[str, Any], seconds: float = 90) -> dict[str, Any]:
        """The job once it has ended."""
        return self.job_when(job, lambda now: now["state"] in ("succeeded", "failed", "canceled"), seconds)

    def job_when(
        self, job: dict[str, Any], condition: Callable[[dict[str, Any]], bool], seconds: float = 90
    ) -> dict[str, Any]:
        """The job once the condition holds for it."""

        def look() -> bool:
            nonlocal job
            with suppress(httpx.HTTPError):
                job = self.get(job["links"]["self"]).raise_for_status().json()
                return condition(job)
            return False

        wait_until(look, seconds)
        return job

    def knows_key(self, idempotency_key: str) -> bool:
        """Whether an upload has come so far that its key is taken."""
        with connect(Settings(data_dir=self.folder)) as redis:
            return bool(redis.exists(keys.idempotency(idempotency_key)))

    @contextmanager
    def frozen(self, *words: str) -> Iterator[None]:
        """Processes that stand still for a while, as on a machine that has no time for them."""
        processes = self.processes(*words)
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # one that was about to end
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):  # killed meanwhile, and reaped by a parent that goes on already
                    process.resume()

    def ready(self) -> bool:
        try:
            return self.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False


def workers_of(parent: psutil.Process) -> list[psutil.Process]:
    """The processes that a main process has forked to do the work; its fork server is none of them."""
    return [child for child in parent.children() if not _is_fork_server(child)]


def _is_fork_server(process: psutil.Process) -> bool:
    try:
        return "jobs.fork_server" in process.cmdline()
    except psutil.Error:  # it has just ended
        return False


@contextmanager
def running_stack(folder: Path, models: Path | None = None, **settings: str) -> Iterator[Stack]:
    """A service of its own for as long as it is needed."""
    port = int(settings.get("PORT") or free_port())
    folder.mkdir(exist_ok=True)
    if models and not (folder / "models").exists():
        (folder / "models").symlink_to(models)
    outside = {name: value for name, value in os.environ.items() if name != "SCORELINE_REDIS_URL"}
    outside["PYTHONPATH"] = os.pathsep.join(filter(None, [str(AS_INSTALLED), os.environ.get("PYTHONPATH")]))
    environment = {**outside, "SCORELINE_DATA_DIR": str(folder), "PORT": str(port), **settings}
    stack = Stack(folder, port, environment)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def problem_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert response.headers["Content-Type"] == "application/problem+json", response.text
    document = json.loads(response.content)
    assert document["status"] == response.status_code
    return response.status_code, document["errors"][0]["code"]
