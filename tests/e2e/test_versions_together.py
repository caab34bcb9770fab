"""An upgrade host by host: this version and the one before share a store for a while, and clients notice nothing."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from jobs.settings import Settings
from tests.e2e.test_jobs_api import FILE
from tests.stack import CSV, ROOT, free_port, wait_until
from tests.web.records import RECORD

pytestmark = pytest.mark.slow

WEB = ("gunicorn", "-c", "web/server/gunicorn.conf.py", "web.wsgi:app")
PAIRS = 1000
"""Good rows of the file, with a bad one after each; they make several chunks."""
WORKERS = (("worker", "bulk"), ("worker", "interactive"), ("worker.reconcile",), ("worker.recording.recorder",))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the commit before, or the test is skipped where there is no history."""
    folder = tmp_path_factory.mktemp("before")
    archive = subprocess.run(["git", "archive", "HEAD^"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"there is no commit before: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@contextmanager
def running(code: Path, log: Path, commands: Sequence[Sequence[str]], **settings: str) -> Iterator[None]:
    """Processes of a version."""
    names = [name for name in os.environ if name.startswith("SCORELINE_")]
    environment = {name: value for name, value in os.environ.items() if name not in (*names, "PYTHONPATH")}
    few = {"SCORELINE_BULK_PROCESSES": "1", "SCORELINE_WEB_PROCESSES": "1", "SCORELINE_CHUNK_BYTES": "20000"}
    environment |= few | {"OMP_NUM_THREADS": "1", **settings}
    with log.open("ab") as file, ExitStack() as stack:
        for command in commands:
            whole = [sys.executable, "-m", *command]
            process = subprocess.Popen(whole, cwd=code, env=environment, stdout=file, stderr=file)
            stack.callback(process.wait, timeout=60)
            stack.callback(process.terminate)
        yield


@pytest.mark.parametrize("newer", ["workers", "web"])
def test_a_web_and_workers_of_two_versions_serve_together(
    before: Path, newer: str, models: Path, tmp_path: Path
) -> None:
    of_web, of_workers = (before, ROOT) if newer == "workers" else (ROOT, before)
    port, folder, log = free_port(), tmp_path / "data", tmp_path / "log"
    folder.mkdir()
    (folder / "models").symlink_to(models)
    settings = {"SCORELINE_DATA_DIR": str(folder), "PORT": str(port), "HOST": "127.0.0.1"}
    with ExitStack() as stack:
        stack.enter_context(running(ROOT, log, [("ops.embedded",)], **settings))
        wait_until(Settings(data_dir=folder).embedded_socket.exists)
        stack.enter_context(running(of_workers, log, WORKERS, **settings))
        stack.enter_context(running(of_web, log, [WEB], **settings))
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90))
        wait_until(lambda: is_ready(client))
        serve(client)
    assert [line for line in log.read_text().splitlines() if " error " in line or "Traceback" in line] == []


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def serve(client: httpx.Client) -> None:
    """A prediction, one that is fetched later, and a file whose results are whole."""
    answer = client.post("/api/v1/predictions", json={"record": RECORD}).raise_for_status().json()
    assert answer["prediction"] == "<=50K"
    later = client.post("/api/v1/predictions", json={"record": RECORD}, headers={"Prefer": "respond-async"})
    address = later.headers["Location"]
    wait_until(lambda: client.get(address).raise_for_status().json().get("prediction") == "<=50K")
    header, *rows = FILE.splitlines(keepends=True)
    uploaded = header + b"".join(rows * PAIRS)
    job = client.post("/api/v1/jobs", content=uploaded, headers={**CSV, "Prefer": "wait=60, until=ended"}).json()
    assert (job["state"], job["rows"]["scored"], job["rows"]["rejected"]) == ("succeeded", PAIRS, PAIRS)
    results = client.get(job["links"]["results"]).raise_for_status().content.splitlines(keepends=True)
    assert [line.startswith(row.strip()) for line, row in zip(results[1:], rows * PAIRS, strict=True)].count(False) == 0
    summary = client.get(job["links"]["summary"]).raise_for_status().json()
    assert summary["predictions"] == {"<=50K": PAIRS}
