"""The Lua scripts: what must happen in Redis at once."""

from pathlib import Path

from redis import Redis
from redis.commands.core import Script

_FOLDER = Path(__file__).parent / "lua"
# Work once accepted is finished even when the store is full: only uploads are turned away.
_FLAGS = "#!lua flags=allow-oom\n"


def register_script(redis: Redis, name: str, *before: str) -> Script:
    """The script of this name, with the texts of others before it; sent to the server when it is first needed."""
    text = "".join((_FOLDER / f"{part}.lua").read_text() for part in (*before, name))
    return redis.register_script(_FLAGS + text)
