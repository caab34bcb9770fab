"""One very large job with an object store: ``python -m bench.large_job --rows 30000000``.

Starts a service of its own with an embedded server and a folder as the object store, streams so many rows into it,
follows the job and downloads the results. Every row has its number: reports rows missing and repeated, and the most
memory that Redis used. Needs about 200 bytes of disk a row.
"""

import argparse
import http
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from bench.places import ROOT
from jobs.settings import MIB, Settings
from jobs.store.connection import connect

_HEADER = b"id,age,workclass,education,marital_status,race,sex,hours_per_week\n"
_RECORD = b"%d,%d,State-gov,Bachelors,Never-married,White,Male,40\n"
_BLOCK_ROWS = 20_000
_BYTES_PER_ROW = 70
_READY_SECONDS = 300.0

Address = tuple[str, int]


class Refused(Exception):
    """Raised when the service refuses a request; the text is its status and its answer."""


def main() -> int:
    """Run the job and print a report as JSON; exit with 1 if a row is missing or repeated."""
    parser = argparse.ArgumentParser(prog="python -m bench.large_job", description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000_000)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--folder", type=Path, help="where the objects go; by default a temporary folder")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scoreline-large-", dir=options.folder))
    (folder / "share").mkdir()
    environment = {
        **os.environ,
        "PORT": str(options.port),
        "SCORELINE_DATA_DIR": str(folder / "var"),
        "SCORELINE_STORAGE_URL": f"file://{folder / 'share'}",
        "SCORELINE_MAX_UPLOAD_BYTES": str(max(MIB, _BYTES_PER_ROW * options.rows)),
    }
    service = subprocess.Popen(
        [sys.executable, "-m", "ops.launch"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        report = _measure(
            ("127.0.0.1", options.port), options.rows, connect(Settings(data_dir=folder / "var")), folder / "share"
        )
    finally:
        service.terminate()
        service.wait()
        shutil.rmtree(folder)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(bool(report["missing"] or report["repeated_or_out_of_order"]))


def _measure(web: Address, rows: int, redis: Redis, share: Path) -> dict[str, Any]:
    _wait_until_ready(web)
    before = _used(redis)
    peak, over = [before], threading.Event()
    sampler = threading.Thread(target=_sample, args=(redis, peak, over), daemon=True)
    sampler.start()
    began = time.monotonic()
    job = request(web, "POST", "/api/v1/jobs", (block for _, block in body(rows)), {"Content-Type": "text/csv"})
    uploaded = time.monotonic()
    while job["state"] not in ("succeeded", "failed", "canceled"):
        job = request(web, "GET", f"/api/v1/jobs/{job['id']}", headers={"Prefer": "wait=30, until=ended"})
    ended = time.monotonic()
    found, out_of_order = check_results(web, job["id"], rows) if job["state"] == "succeeded" else (0, 0)
    downloaded = time.monotonic()
    over.set()
    sampler.join()
    return {
        "rows": rows,
        "state": job["state"],
        "missing": rows - found,
        "repeated_or_out_of_order": out_of_order,
        "seconds": {
            "upload": round(uploaded - began, 1),
            "wait": round(ended - uploaded, 1),
            "download": round(downloaded - ended, 1),
        },
        "redis_bytes": {"before": before, "peak": max(peak), "after": _used(redis)},
        "object_bytes": sum(path.stat().st_size for path in share.rglob("*") if path.is_file()),
        "objects": sum(path.is_file() for path in share.rglob("*")),
    }


def _wait_until_ready(web: Address) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException, ValueError):
            if request(web, "GET", "/readyz").get("ready"):
                return
        time.sleep(0.5)
    raise SystemExit("the service did not get ready")


def _sample(redis: Redis, peak: list[int], over: threading.Event) -> None:
    while not over.wait(0.2):
        with suppress(RedisError):
            peak[0] = max(peak[0], _used(redis))


def _used(redis: Any) -> int:
    return int(redis.info("memory")["used_memory"])


def body(rows: int) -> Iterator[tuple[int, bytes]]:
    """Yield an upload of so many rows in blocks, each with the number of rows up to its end."""
    yield 0, _HEADER
    for start in range(1, rows + 1, _BLOCK_ROWS):
        end = min(start + _BLOCK_ROWS, rows + 1)
        yield end - 1, b"".join(_RECORD % (n, 17 + n % 74) for n in range(start, end))


def request(
    web: Address, method: str, path: str, body: Iterator[bytes] | None = None, headers: dict[str, str] | None = None
) -> Any:
    """Send a request and return its answer, a JSON document.

    Raises:
        Refused: the status is one of an error; of ``/readyz``, any status will do.
    """
    connection = http.client.HTTPConnection(*web, timeout=600)
    try:
        connection.request(method, path, body=body, headers=headers or {}, encode_chunked=body is not None)
        response = connection.getresponse()
        document = json.loads(response.read())
    finally:
        connection.close()
    if response.status >= http.HTTPStatus.BAD_REQUEST and path != "/readyz":
        raise Refused(f"{method} {path}: {response.status} {document}")
    return document


def check_results(web: Address, job_id: str, rows: int) -> tuple[int, int]:
    """Return how many rows the results hold, and how many are not where their number says."""
    connection = http.client.HTTPConnection(*web, timeout=600)
    connection.request("GET", f"/api/v1/jobs/{job_id}/results")
    response = connection.getresponse()
    response.readline()
    found = wrong = 0
    for line in response:
        found += 1
        wrong += int(line.partition(b",")[0]) != found
    connection.close()
    return min(found, rows), wrong


if __name__ == "__main__":
    sys.exit(main())
