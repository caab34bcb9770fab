"""Lua scripts: the steps that must happen in Redis all at once.

A script consists of constants that Python defines, the texts of shared functions, and its own text.
"""

from pathlib import Path

from redis import Redis
from redis.commands.core import Script

from jobs.messages import Queue
from jobs.store import keys
from jobs.version import PROTOCOL

SHORTEST_BUCKET_MS = 10
BUCKETS = 21
"""Histograms of durations have this many buckets, each twice as wide as the one before, and one for what is longer."""

MAX_COUNTED = 100
"""Versions of models whose totals are kept: those that were used last."""

MAX_RESEND_SECONDS = 60
"""Upper bound of the doubling interval after which an unclaimed chunk or request is sent again."""

MAX_OUTBOX_ENTRIES = 500_000
"""Entries that wait for the database at most; of more, the oldest are dropped."""

LOST = "lost"
"""What scripts reply of an upload of which the store has lost a part, as a primary may that takes over from another."""

_CONSTANTS = f"""\
local BULK_QUEUE, LOST = '{keys.queue(Queue.BULK)}', '{LOST}'
local CHANGES = '{keys.CHANGES}'
local OUTBOX, OUTBOX_ENTRIES, OUTBOX_SECONDS = '{keys.OUTBOX}', {MAX_OUTBOX_ENTRIES}, {keys.OUTBOX_SECONDS}
local MODEL_TOTALS, COUNTED, MAX_COUNTED = '{keys.MODEL_TOTALS}', '{keys.COUNTED}', {MAX_COUNTED}
local SHORTEST_BUCKET_MS, BUCKETS, PROTOCOL = {SHORTEST_BUCKET_MS}, {BUCKETS}, {PROTOCOL}
"""
_FOLDER = Path(__file__).parent / "lua"
# Scripts that take on more work fail when the server is out of memory; all others may finish what was accepted.
_TAKE_ON_WORK = ("append", "append_source", "correct", "submit_predictions")


def register_script(redis: Redis, name: str, *includes: str) -> Script:
    """Return the script ``name`` with the texts of ``includes`` before it. The server gets it on first use."""
    text = "".join((_FOLDER / f"{part}.lua").read_text() for part in (*includes, name))
    flags = "#!lua\n" if name in _TAKE_ON_WORK else "#!lua flags=allow-oom\n"
    return redis.register_script(flags + _CONSTANTS + text)
