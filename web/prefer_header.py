"""The ``Prefer`` header (RFC 7240): how long a client wants to wait."""

import re

MAX_SECONDS = 60.0
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d+)\"?\s*(?=$|[,;])", re.IGNORECASE)
_UNTIL_ENDED = re.compile(r"(?:^|[,;\s])until\s*=\s*\"?ended\"?\s*(?=$|[,;])", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async\s*(?=$|[,;])", re.IGNORECASE)


def preferred_wait(header: str | None) -> float | None:
    """Seconds that the client would wait, at most 60; None if it does not say."""
    found = _WAIT.search(header or "")
    return min(float(found.group(1)), MAX_SECONDS) if found else None


def prefers_end(header: str | None) -> bool:
    """Whether the client wants to wait for the end, not for each change."""
    return bool(_UNTIL_ENDED.search(header or ""))


def applied(header: str | None) -> str | None:
    """What of the header a wait heeds, for ``Preference-Applied``; None where the client does not want to wait."""
    seconds = preferred_wait(header)
    if seconds is None:
        return None
    return f"wait={seconds:.0f}" + (", until=ended" if prefers_end(header) else "")


def prefers_async(header: str | None) -> bool:
    """Whether the client wants an answer at once and the result later."""
    return bool(_ASYNC.search(header or ""))
