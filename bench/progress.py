"""Lines that tell how far a run is."""

import time

_STARTED = time.monotonic()


def say(text: str) -> None:
    """Print a line of progress, with the time since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _STARTED), 60)
    print(f"[{minutes:2d}:{seconds:02d}] {text}", flush=True)
