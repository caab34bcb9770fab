"""The ``Prefer`` header (RFC 7240): how long a client wants to wait."""

import re

MOST_SECONDS = 60.0
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d+)\"?\s*(?=$|[,;])", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async\s*(?=$|[,;])", re.IGNORECASE)


def preferred_wait(header: str | None) -> float | None:
    """Seconds that the client would wait, at most 60; None if it does not say."""
    found = _WAIT.search(header or "")
    return min(float(found.group(1)), MOST_SECONDS) if found else None


def prefers_async(header: str | None) -> bool:
    """Whether the client wants an answer at once and the result later."""
    return bool(_ASYNC.search(header or ""))
