"""The Lua scripts: what must happen in Redis at once."""

from pathlib import Path

from redis import Redis
from redis.commands.core import Script

_FOLDER = Path(__file__).parent / "lua"
# Work once accepted is finished even when the store is full; what would bring more is turned away.
_BRING_MORE = ("append", "submit_predictions")


def register_script(redis: Redis, name: str, *before: str) -> Script:
    """The script of this name, with the texts of others before it; sent to the server when it is first needed."""
    text = "".join((_FOLDER / f"{part}.lua").read_text() for part in (*before, name))
    flags = "#!lua\n" if name in _BRING_MORE else "#!lua flags=allow-oom\n"
    return redis.register_script(flags + text)
