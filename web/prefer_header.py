"""The ``Prefer`` header (RFC 7240): how long a client wants to wait."""

import re

from web.request_limits import MAX_WAIT_SECONDS

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d+)\"?\s*(?=$|[,;])", re.IGNORECASE)
_UNTIL_ENDED = re.compile(r"(?:^|[,;\s])until\s*=\s*\"?ended\"?\s*(?=$|[,;])", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async\s*(?=$|[,;])", re.IGNORECASE)


def preferred_wait(header: str | None) -> float | None:
    """Return the seconds that the client would wait, at most ``MAX_WAIT_SECONDS``; None if it does not say."""
    wait = _WAIT.search(header or "")
    return min(float(wait.group(1)), MAX_WAIT_SECONDS) if wait else None


def prefers_end(header: str | None) -> bool:
    """Return whether the client waits for the end instead of the next change."""
    return bool(_UNTIL_ENDED.search(header or ""))


def applied(header: str | None) -> str | None:
    """Return the value of ``Preference-Applied``; None if the client does not ask to wait."""
    seconds = preferred_wait(header)
    if seconds is None:
        return None
    return f"wait={seconds:.0f}" + (", until=ended" if prefers_end(header) else "")


def prefers_async(header: str | None) -> bool:
    """Return whether the client wants to be answered at once and fetch the result later."""
    return bool(_ASYNC.search(header or ""))
