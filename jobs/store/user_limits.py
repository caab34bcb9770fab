"""Limits per user: jobs at once, rows a day. Without a limit in the settings, or without a user, there is none."""

from datetime import UTC, datetime, timedelta

from redis import Redis

from jobs.errors import RateLimited
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.scripts import register_script

_DAY_SECONDS = 86_400
_RETRY_SECONDS = 10


class UserLimits:
    """The limits of the settings, counted in Redis. Each method is one round trip, or none where there is no limit."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._max_jobs, self._max_rows = settings.user_jobs, settings.user_rows_per_day
        self._count = register_script(redis, "count_unfinished")
        self._reserve = register_script(redis, "reserve_rows")

    def check_jobs(self, owner: str) -> None:
        """Check that a user may begin another job; raise ``RateLimited`` if too many have not ended."""
        if not owner or self._max_jobs is None:
            return
        unfinished = self._count(keys=[keys.UNFINISHED], args=[keys.job(""), owner])
        if unfinished >= self._max_jobs:
            text = f"{self._max_jobs} jobs of this user have not ended, which is the limit"
            raise RateLimited(text, _RETRY_SECONDS, "jobs", self._max_jobs)

    def reserve_rows(self, owner: str, rows: int) -> None:
        """Count rows of a user; raise ``RateLimited``, and count nothing, if they exceed the limit of the day."""
        if not owner or self._max_rows is None:
            return
        now = datetime.now(UTC)
        key = keys.rows_of(owner, now.date().isoformat())
        if not self._reserve(keys=[key], args=[rows, self._max_rows, 2 * _DAY_SECONDS]):
            midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
            text = f"{self._max_rows} rows a day is the limit of this user; the day ends at midnight UTC"
            seconds = max(1, int((midnight - now).total_seconds()))
            raise RateLimited(text, seconds, "rows", self._max_rows, _DAY_SECONDS)
