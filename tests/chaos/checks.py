"""What has to hold when all is over."""

import time
from collections import Counter
from typing import Any

import httpx
from sqlalchemy import func, select

from database.tables import JobEntry, PredictionEntry, WeeklyCount
from jobs.messages import Queue
from jobs.store import keys
from tests.chaos.clients import Notes
from tests.chaos.cluster import Cluster
from tests.chaos.records import Known, is_near

_SPARE_BYTES = 2 * 1024 * 1024
_TINY = {"Content-Type": "text/csv", "Prefer": "wait=5"}

# A broken-off upload is forgotten after SCORELINE_UPLOAD_IDLE_SECONDS, 120 by default, and then by the reconciler.
_FORGOTTEN_SECONDS = 180
_RECORDED_SECONDS = 60
# Models that hosts share.
_LASTING = (keys.MODELS, keys.BLOBS, keys.model(""), keys.blob("models/"))


def is_well(client: httpx.Client, known: Known) -> bool:
    """Whether the service is ready, answers a single prediction and scores a file, all at the first try."""
    header = ",".join(known.values)
    try:
        if client.get("/readyz").status_code != 200:
            return False
        answer = client.post("/api/v1/predictions", json={"record": known.values}, headers={"Prefer": "wait=2"})
        if answer.status_code != 200 or not is_near(answer.json()["probability"], known):
            return False
        job = client.post("/api/v1/jobs", content=f"{header}\n{known.text}\n", headers=_TINY)
        return job.status_code == 200 and job.json()["state"] == "succeeded"
    except httpx.HTTPError:
        return False


def promised_predictions(cluster: Cluster, notes: Notes) -> list[str]:
    """Single predictions that were answered with 202, and cannot be had."""
    lost = []
    with cluster.stack.client() as client:
        for path in notes.promised:
            answer = client.get(path)
            deadline = time.monotonic() + 30
            while answer.status_code == 202 and time.monotonic() < deadline:
                time.sleep(0.2)
                answer = client.get(path)
            if answer.status_code != 200:
                lost.append(f"{path}: {answer.status_code} after a promise")
    return lost


def all_jobs(cluster: Cluster) -> list[dict[str, Any]]:
    """Every job that the service knows, also those whose acknowledgement was lost on its way."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = cluster.stack.get("/api/v1/jobs", params={"limit": 200, "cursor": cursor} if cursor else {"limit": 200})
        document = page.raise_for_status().json()
        found += document["jobs"]
        cursor = document["next_cursor"]
    return found


def jobs_that_broke_a_promise(jobs: list[dict[str, Any]]) -> list[str]:
    """Jobs that have not succeeded, and files of which there are two although their key was the same."""
    failed = [f"{job['filename']}: {job['state']}" for job in jobs if job["state"] != "succeeded"]
    named = Counter(job["filename"] for job in jobs if job["filename"].startswith("file"))
    return failed + [f"{name}: {count} jobs of one key" for name, count in named.items() if count > 1]


def keys_without_lifetime(cluster: Cluster) -> list[str]:
    """Keys of the store, Celery's own too, that would stay for ever; those of models shall."""
    redis: Any = cluster.redis()
    named = (key.decode() for key in redis.scan_iter(count=1000) if redis.ttl(key) == -1)
    return sorted(f"{key} has no lifetime" for key in named if not key.startswith(_LASTING))


def leftovers(cluster: Cluster, seconds: float = _FORGOTTEN_SECONDS) -> list[str]:
    """Messages, leases and waiting requests that are still there when all that was in hand must have ended."""
    deadline = time.monotonic() + seconds
    while (left := _leftovers(cluster)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def _leftovers(cluster: Cluster) -> list[str]:
    redis: Any = cluster.redis()
    counts = {
        **{f"messages on {queue.value}": redis.llen(keys.queue(queue.value)) for queue in Queue},
        "unfinished jobs": redis.zcard(keys.UNFINISHED),
        "waiting predictions": redis.zcard(keys.PREDICTIONS),
        **{part: sum(1 for _ in redis.scan_iter(f"{keys.job('*')}:{part}", count=1000))
           for part in ("input", "inflight", "leases", "counts")},
    }  # fmt: skip
    return [f"left over: {count} {what}" for what, count in counts.items() if count]


def history_that_differs(
    cluster: Cluster, jobs: list[dict[str, Any]], notes: Notes, seconds: float = _RECORDED_SECONDS
) -> list[str]:
    """What has ended and is not in the database, or is counted there more or less than once.

    The database counts the jobs and predictions of each week beside listing them: what was written twice differs.
    """
    redis: Any = cluster.redis()
    deadline = time.monotonic() + seconds
    while (waiting := redis.xlen(keys.OUTBOX)) and time.monotonic() < deadline:
        time.sleep(0.5)
    if waiting:
        return [f"left over: {waiting} entries of the outbox"]
    database = cluster.database()
    with database.reading() as connection:
        kept = {
            "jobs": set(connection.scalars(select(JobEntry.id))),
            "single": set(connection.scalars(select(PredictionEntry.id))),
        }
        totals = select(WeeklyCount.name, func.sum(WeeklyCount.count)).group_by(WeeklyCount.name)
        counts = {name: int(count) for name, count in connection.execute(totals)}
    database.dispose()
    answered = {path.rpartition("/")[2] for path in (*notes.promised, *notes.answered)}
    missing = sorted({job["id"] for job in jobs} - kept["jobs"]) + sorted(answered - kept["single"])
    return [f"{name}: ended, and not in the history" for name in missing] + [
        f"{len(ids)} {name} in the history, and {counts.get(name, 0)} counted"
        for name, ids in kept.items()
        if len(ids) != counts.get(name, 0)
    ]


def memory(cluster: Cluster) -> int:
    """Bytes that the store uses."""
    redis: Any = cluster.redis()
    return int(redis.info("memory")["used_memory"])


def delete_everything(cluster: Cluster, jobs: list[dict[str, Any]]) -> None:
    """Delete the jobs as users do, and what only time removes."""
    with cluster.stack.client() as client:
        for job in jobs:
            client.delete(job["links"]["self"]).raise_for_status()
    redis: Any = cluster.redis()
    for pattern in (keys.prediction("*"), f"{keys.PREFIX}idempotency:*", keys.reply("*")):
        for key in list(redis.scan_iter(pattern, count=1000)):
            redis.unlink(key)


def memory_that_stayed(cluster: Cluster, before: int, seconds: float = 30) -> list[str]:
    """What the store uses more than before it all."""
    deadline = time.monotonic() + seconds
    while (now := memory(cluster)) > before + _SPARE_BYTES and time.monotonic() < deadline:
        time.sleep(0.5)
    return [f"the store uses {now - before} bytes more than before"] if now > before + _SPARE_BYTES else []
