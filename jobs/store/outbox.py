"""The outbox in Redis: ended jobs, answered predictions and changes of models, until the recorder has written them.

All but the changes, which do not happen in the store, are added by the script that does what they tell of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from redis import Redis

from jobs.store import keys

_RECORDED, _DROPPED, _FAILED = "outbox:recorded", "outbox:dropped", "outbox:failed"
# Fraction of the entries that give way at once when the store is short of memory.
_DROPPED_SHARE = 0.1
_READ_AT_ONCE = 16


def tell(request: Mapping[str, Any], answer: Mapping[str, Any], keeps_records: bool) -> bytes:
    """Return what the recorder is told of a prediction besides its answer; empty if nothing at all.

    With ``keeps_records`` that is the request. Otherwise, it is told only what was predicted, and not the answer.
    """
    if request.get("kind") != "predict" or request.get("transient"):
        return b""
    if keeps_records:
        return orjson.dumps(request)
    predicted = [item.get("prediction") for item in answer.get("items", [{}])]
    brief = {name: request.get(name) for name in ("model", "version", "owner", "several")}
    return orjson.dumps({**brief, "predictions": predicted})


class EntryKind(StrEnum):
    """What an entry tells of."""

    JOB = "job"
    PREDICTION = "prediction"
    MODEL_CHANGE = "model_change"


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An entry: its id in the stream, and its fields, among them its ``kind``, an ``EntryKind``."""

    id: str
    fields: Mapping[str, str]

    @property
    def time(self) -> float:
        """When it was added, in seconds since the epoch, by the server's clock."""
        return int(self.id.partition("-")[0]) / 1000


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """Entries that wait; totals of those recorded, dropped for want of room, and failed; what ails the database.

    ``database_up`` is None while no recorder has told. ``live`` are metrics of models on actual outcomes.
    """

    waiting: int
    recorded: int
    dropped: int
    failed: int
    database_up: bool | None
    fault: str | None
    live: Sequence[Mapping[str, Any]] = ()


class Outbox:
    """Reads and removes the oldest entries. Each method is one round trip to Redis unless its docstring says otherwise.

    There is no consumer group: one recorder reads at a time, and entries that are recorded twice change nothing.
    """

    def __init__(self, redis: Redis, full_ratio: float) -> None:
        self.redis: Any = redis
        self._full_ratio = full_ratio

    def is_turn_to_record(self, node: str) -> bool:
        """Return whether this process holds the recorder lock; it passes on after a few seconds of silence."""
        if self.redis.set(keys.RECORDER, node, nx=True, ex=keys.LOCK_SECONDS):
            return True
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.RECORDER)
            pipe.pttl(keys.RECORDER)
            holder, left = pipe.execute()
        if holder != node.encode():
            return False
        # Each write is synced to disk, and predictions wait meanwhile.
        return left > 700 * keys.LOCK_SECONDS or bool(self.redis.expire(keys.RECORDER, keys.LOCK_SECONDS))

    def read(self, max_entries: int, max_bytes: int) -> list[OutboxEntry]:
        """Return the oldest entries: one at least if there is any, and no more once they exceed ``max_bytes``.

        A round trip for every 16 entries: only the server knows how large the next ones are.
        """
        entries: list[OutboxEntry] = []
        size, after = 0, "-"
        while len(entries) < max_entries and size < max_bytes:
            found = self.redis.xrange(keys.OUTBOX, after, "+", min(_READ_AT_ONCE, max_entries - len(entries)))
            for raw, fields in found:
                if size >= max_bytes:
                    break
                texts = {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
                entries.append(OutboxEntry(raw.decode(), texts))
                size += sum(map(len, fields.values()))
            if len(found) < _READ_AT_ONCE:
                break
            after = f"({entries[-1].id}"
        return entries

    def add_model_changes(self, lines: Iterable[bytes]) -> None:
        """Add lines of a journal of models."""
        with self.redis.pipeline(transaction=True) as pipe:
            for line in lines:
                pipe.xadd(keys.OUTBOX, {"kind": EntryKind.MODEL_CHANGE.value, "line": line})
            pipe.expire(keys.OUTBOX, keys.OUTBOX_SECONDS)
            pipe.execute()

    def remove(self, entries: Sequence[OutboxEntry], failed: int = 0) -> None:
        """Remove the oldest entries, which are recorded, and ``failed`` ones among them that cannot be."""
        time, _, number = entries[-1].id.partition("-")
        with self.redis.pipeline(transaction=True) as pipe:
            # Quicker than one by one: what is read are the oldest entries, of which the server drops whole blocks.
            pipe.xtrim(keys.OUTBOX, minid=f"{time}-{int(number) + 1}", approximate=False)
            pipe.hincrby(keys.TOTALS, _RECORDED, len(entries) - failed)
            if failed:
                pipe.hincrby(keys.TOTALS, _FAILED, failed)
            pipe.expire(keys.TOTALS, keys.OUTBOX_SECONDS, nx=True)
            pipe.execute()

    def make_room(self) -> int:
        """Drop the oldest entries if the store is nearly full; return how many. A few round trips."""
        memory = self.redis.info("memory")
        limit = memory.get("maxmemory", 0)
        if not limit or memory["used_memory"] <= self._full_ratio * limit:
            return 0
        waiting = self.redis.xlen(keys.OUTBOX)
        dropped = int(self.redis.xtrim(keys.OUTBOX, maxlen=int(waiting * (1 - _DROPPED_SHARE)), approximate=False))
        self.redis.hincrby(keys.TOTALS, _DROPPED, dropped)
        return dropped

    def report(self, fault: str | None) -> None:
        """Tell the web whether the database could last be written to."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.HISTORY, mapping={"up": int(fault is None), "fault": fault or ""})
            pipe.expire(keys.HISTORY, keys.HISTORY_SECONDS)
            pipe.execute()

    def report_live(self, metrics: Sequence[Mapping[str, Any]]) -> None:
        """Tell the web how well models have predicted actual outcomes; lives as long as ``report`` is called."""
        self.redis.hset(keys.HISTORY, "live", orjson.dumps(list(metrics)))
        self.redis.expire(keys.HISTORY, keys.HISTORY_SECONDS)

    def stats(self) -> OutboxStats:
        """Return what waits, what has been done so far, and whether the database can be written to."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.xlen(keys.OUTBOX)
            pipe.hmget(keys.TOTALS, _RECORDED, _DROPPED, _FAILED)
            pipe.hmget(keys.HISTORY, "up", "fault", "live")
            waiting, totals, (up, fault, live) = pipe.execute()
        recorded, dropped, failed = (int(total or 0) for total in totals)
        text = fault.decode() if fault else None
        is_up = None if up is None else up == b"1"
        return OutboxStats(waiting, recorded, dropped, failed, is_up, text, orjson.loads(live) if live else ())
