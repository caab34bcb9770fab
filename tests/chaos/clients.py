"""The clients: they upload, poll, download and ask for single predictions all the time, and note what they are told."""

import gzip
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from tests.chaos.records import Plan, Records, is_near

_BLOCK = 16 * 1024
_JOBS = "/api/v1/jobs"
# Answers that tell a client honestly to come again: busy, full, a broken-off upload, a store that is away.
_LATER = {408, 409, 429, 503}


@dataclass
class Accepted:
    """A job that was answered with 202, and what polls have said of it since."""

    plan: Plan
    job: dict[str, Any]
    polls: int = 0
    verified: bool = False

    @property
    def ended(self) -> bool:
        return self.job["state"] in ("succeeded", "failed", "canceled")


@dataclass
class Notes:
    """What the clients have seen; ``broken`` holds every promise that was not kept."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    promised: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    missing: int = 0
    repeated: int = 0
    moved: int = 0
    wrong: int = 0


class Clients:
    """Several threads that go on until they are stopped."""

    def __init__(self, url: str, records: Records, seed: int) -> None:
        self._url, self._records, self._seed = url, records, seed
        self.notes = Notes()
        self._to_upload: queue.Queue[Plan] = queue.Queue()
        self._uploading = 0
        self._lock = threading.Lock()
        self._over, self._enough = threading.Event(), threading.Event()
        self._threads = [
            *(self._thread(self._upload_all, number) for number in range(3)),
            *(self._thread(self._predict_all, number) for number in range(2)),
            self._thread(self._poll_all, 0),
        ]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._over.set()
        for thread in self._threads:
            thread.join(120)

    def begin(self, plan: Plan) -> None:
        """Have one more file uploaded, by whichever thread is free."""
        self._to_upload.put(plan)

    @property
    def open(self) -> int:
        """Files that are waiting, under way or accepted, and whose results have not been checked."""
        unverified = sum(1 for accepted in self.notes.accepted if not accepted.verified)
        return self._to_upload.qsize() + self._uploading + unverified

    @property
    def at_work(self) -> bool:
        """Whether a file is coming in or a job is being scored just now."""
        running = any(accepted.job["state"] == "running" for accepted in self.notes.accepted)
        return running or self._uploading > 0

    def stop_predicting(self) -> None:
        """No more single predictions; what has been begun goes on."""
        self._enough.set()

    # Threads

    def _thread(self, work: Callable[[Random], None], number: int) -> threading.Thread:
        random = Random(f"{self._seed} {work.__name__} {number}")
        return threading.Thread(target=self._safely, args=(work, random), name=work.__name__, daemon=True)

    def _safely(self, work: Callable[[Random], None], random: Random) -> None:
        try:
            work(random)
        except Exception as error:
            self._break(f"a client of the run itself failed: {error!r}")
            raise

    def _break(self, what: str) -> None:
        with self._lock:
            self.notes.broken.append(what)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, timeout=httpx.Timeout(60, connect=5), verify=False)

    def _count(self, what: str, response: httpx.Response | None) -> None:
        with self._lock:
            self.notes.counts[f"{what}: {response.status_code if response is not None else 'connection broken'}"] += 1

    def _ask(self, what: str, client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response | None:
        """One request; None where the connection broke or the answer was to come again."""
        try:
            response = client.request(method, path, **options)
        except httpx.HTTPError:
            self._count(what, None)
            return None
        self._count(what, response)
        if response.status_code in _LATER:
            if response.status_code in (429, 503) and "Retry-After" not in response.headers:
                self._break(f"{method} {path}: {response.status_code} without Retry-After")
            return None
        if response.status_code >= 400:
            self._break(f"{method} {path}: {response.status_code} {response.text[:300]}")
            return None
        return response

    # Uploads

    def _upload_all(self, random: Random) -> None:
        with self._client() as client:
            while not self._over.is_set():
                try:
                    plan = self._to_upload.get(timeout=0.1)
                except queue.Empty:
                    continue
                with self._lock:
                    self._uploading += 1
                self._upload(plan, client, random)
                with self._lock:
                    self._uploading -= 1

    def _upload(self, plan: Plan, client: httpx.Client, random: Random) -> None:
        """Upload until it is acknowledged; all attempts carry one key, so that only one job may come of them."""
        data = self._records.file(plan)
        while not self._over.is_set():
            response = self._ask("upload", client, "POST", _JOBS, **_upload_options(plan, data, random))
            if response is not None:
                with self._lock:
                    self.notes.accepted.append(Accepted(plan, response.json()))
                return
            time.sleep(0.1 + random.random() / 2)

    # Jobs

    def _poll_all(self, random: Random) -> None:
        with self._client() as client:
            while not self._over.wait(0.05):
                for accepted in [one for one in self.notes.accepted if not one.verified]:
                    if accepted.ended:
                        self._verify(accepted, client)
                    else:
                        self._poll(accepted, client)

    def _poll(self, accepted: Accepted, client: httpx.Client) -> None:
        response = self._ask("poll", client, "GET", accepted.job["links"]["self"])
        if response is None:
            return
        before, now = accepted.job, response.json()
        accepted.job, accepted.polls = now, accepted.polls + 1
        if now["progress"] < before["progress"]:
            self._break(f"{now['filename']}: progress went back from {before['progress']} to {now['progress']}")
        if any(now["rows"][part] < before["rows"][part] for part in ("scored", "rejected")):
            self._break(f"{now['filename']}: rows went back from {before['rows']} to {now['rows']}")
        if before["state"] == "running" and now["state"] == "queued":
            self._break(f"{now['filename']}: went from running back to queued")

    def _verify(self, accepted: Accepted, client: httpx.Client) -> None:
        plan, job = accepted.plan, accepted.job
        rejected = self._records.rejected(plan)
        if job["state"] != "succeeded":
            self._break(f"{plan.name}: {job['state']}: {job['error']}")
            accepted.verified = True
            return
        response = self._ask("download", client, "GET", job["links"]["results"])
        if response is None:
            return
        if job["rows"] != {
            "total": plan.rows,
            "scored": plan.rows - rejected,
            "rejected": rejected,
            "warned": 0,
            "repaired": 0,
        }:
            self._break(f"{plan.name}: {job['rows']}, but {rejected} of {plan.rows} records have a fault")
        found = self._records.check(plan, response.content)
        if not found.fine:
            self._break(f"{plan.name}: {found}")
        with self._lock:
            self.notes.missing += found.missing
            self.notes.repeated += found.repeated
            self.notes.moved += found.moved
            self.notes.wrong += len(found.wrong)
            accepted.verified = True

    # Single predictions

    def _predict_all(self, random: Random) -> None:
        with self._client() as client:
            while not self._enough.wait(0.05):
                known = random.choice(self._records.good)
                began = time.monotonic()
                later = {"Prefer": "respond-async"} if random.random() < 0.1 else {}
                body = {"record": known.values}
                response = self._ask("single", client, "POST", "/api/v1/predictions", json=body, headers=later)
                if response is None:
                    continue
                self.notes.waits.append(time.monotonic() - began)
                if response.status_code == 202:
                    with self._lock:
                        self.notes.promised.append(response.headers["Location"])
                    continue
                answer = response.json()
                with self._lock:
                    self.notes.answered.append(answer["id"])
                if not is_near(answer["probability"], known):
                    self._break(f"single: {response.text[:300]} should be {known.probability}")


def _upload_options(plan: Plan, data: bytes, random: Random) -> dict[str, Any]:
    """One of the ways in which a file can be sent."""
    headers = {"Idempotency-Key": plan.name}
    way = random.choice(["raw", "raw", "gzip", "form"])
    if way == "form":
        return {"files": {"file": (f"{plan.name}.csv", data)}, "headers": headers}
    headers |= {"Content-Type": "text/csv"} | ({"Content-Encoding": "gzip"} if way == "gzip" else {})
    body = gzip.compress(data, 1) if way == "gzip" else data
    return {"content": _blocks(body), "headers": headers, "params": {"filename": f"{plan.name}.csv"}}


def _blocks(data: bytes) -> Iterator[bytes]:
    """A client that takes its time, so that what happens finds uploads under way."""
    for at in range(0, len(data), _BLOCK):
        yield data[at : at + _BLOCK]
        time.sleep(0.01)
