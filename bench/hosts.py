"""Seven hosts, and what may happen to them in the middle of a job: ``python -m bench.hosts --rows 10000000``.

Makes hosts in network namespaces (needs root on Linux): a primary and its replica with Sentinels, an S3-compatible
server, web, two bulk workers, and an interactive worker with the reconciler. Streams so many rows in; meanwhile adds a
model on one host and predicts with it on another, kills a host, cuts the network of another, and kills the primary with
its host. Every row has its number: reports rows missing and repeated.

Before that, measures how throughput grows from one bulk host to two, each held to a share of one core, so that two of
them are not more than the machine has. Where control groups cannot do that, the report says why; ``--rounds 0`` leaves
it out.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import skops.io
from redis import Redis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.deployment import NAMES, STORE_PORT, Deployment, Failed, wait
from bench.large_job import body, check_results, request
from bench.namespaces import Host, hosts
from bench.throughput import measure


def main(arguments: list[str] | None = None) -> int:
    """Run all of it and print a report as JSON; exit with 1 if a row is missing or repeated."""
    parser = argparse.ArgumentParser(prog="python -m bench.hosts", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--chunk-bytes", type=int, help="size of the chunks; by default that of the service")
    parser.add_argument("--rounds", type=int, default=5, help="how often throughput is measured with one and with two")
    parser.add_argument("--round-rows", type=int, default=2_000_000, help="rows of each of these")
    parser.add_argument("--percent", type=int, default=25, help="what a bulk host may use of a core meanwhile")
    parser.add_argument("--models", type=Path, help="folder with the models that ship; by default they are trained")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="scoreline-hosts-"))
    try:
        with hosts(NAMES, folder) as made:
            deployment = Deployment(made)
            if options.chunk_bytes:
                deployment.environment["SCORELINE_CHUNK_BYTES"] = str(options.chunk_bytes)
            deployment.start_stores()
            deployment.start_service(options.models)
            throughput = measure(deployment, options.percent, options.round_rows, options.rounds)
            report = _run(deployment, options.rows) | {"throughput": throughput}
    except Failed as failure:
        print(failure, file=sys.stderr)
        for log in sorted(folder.glob("*/log")):
            print(f"--- {log.parent.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=2))
    return int(bool(report["missing"] or report["repeated_or_out_of_order"]))


def _run(deployment: Deployment, rows: int) -> dict[str, Any]:
    """Score so many rows while things happen to the hosts; return the report."""
    web, seconds = deployment.web, {"from adding a model to its answer on another host": _add_a_model(deployment)}
    began = time.monotonic()
    # From the half of the upload on nobody scores, so that enough is left for what happens after it.
    stages = {rows // 5: deployment.hosts["bulk-1"].kill, rows // 2: deployment.hosts["bulk-2"].cut}
    job = request(web, "POST", "/api/v1/jobs", _staged(rows, stages), {"Content-Type": "text/csv"})
    seconds["upload"] = time.monotonic() - began
    look = f"/api/v1/jobs/{job['id']}"
    before = request(web, "GET", look)["progress"]
    deployment.start_bulk("bulk-1")
    wait(lambda: request(web, "GET", look)["progress"] > before, "the bulk worker that was started again")
    at = request(web, "GET", look)["progress"]
    deployment.hosts["store-1"].kill()
    killed = time.monotonic()
    wait(lambda: _role(deployment.hosts["store-2"]) == "master", "the failover")
    seconds["failover"] = time.monotonic() - killed
    deployment.hosts["bulk-2"].restore()
    wait(lambda: request(web, "GET", look)["state"] in ("succeeded", "failed"), "the end of the job")
    seconds["job with upload"] = time.monotonic() - began
    job = request(web, "GET", look)
    found, wrong = check_results(web, job["id"], rows) if job["state"] == "succeeded" else (0, 0)
    return {
        "rows": rows,
        "state": job["state"],
        "error": job["error"],
        "missing": rows - found,
        "repeated_or_out_of_order": wrong,
        "progress when the primary was killed": at,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def _staged(rows: int, stages: dict[int, Callable[[], None]]) -> Iterator[bytes]:
    """Yield the upload; do what is due once so many rows are sent."""
    due = sorted(stages)
    for sent, block in body(rows):
        yield block
        while due and sent >= due[0]:
            stages[due.pop(0)]()


def _add_a_model(deployment: Deployment) -> float:
    """Add a model on a bulk worker's host and predict with it on the interactive one; return the seconds that took."""
    folder = deployment.hosts["bulk-2"].folder
    data = pd.DataFrame({"length": [float(n % 17) for n in range(400)], "width": [float(n % 5) for n in range(400)]})
    data["large"] = ["yes" if row.length + row.width > 9 else "no" for row in data.itertuples()]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(data[["length", "width"]], data["large"])
    data.to_csv(folder / "data.csv", index=False)
    (folder / "model.skops").write_bytes(skops.io.dumps(pipeline))
    options = ("--name", "sizes", "--data", str(folder / "data.csv"), "--target", "large")
    deployment.run("bulk-2", "-m", "model", "add", str(folder / "model.skops"), *options)
    began = time.monotonic()
    record = json.dumps({"model": "sizes", "record": {"length": 16.0, "width": 4.0}}).encode()
    headers = {"Content-Type": "application/json"}

    def answers() -> bool:
        answer = request(deployment.web, "POST", "/api/v1/predictions", iter([record]), headers)
        return bool(answer.get("prediction") == "yes")

    wait(answers, "the added model")
    return time.monotonic() - began


def _role(host: Host) -> str:
    with Redis(host.address, STORE_PORT, socket_timeout=2) as redis:
        return str(redis.info("replication")["role"])


if __name__ == "__main__":
    sys.exit(main())
