"""Whether this version may use the store beside those that use it already."""

from typing import Any

from redis import Redis

from jobs.store import keys
from jobs.store.heartbeat import BEATING
from jobs.store.scripts import register_script
from jobs.version import PROTOCOL, VERSION


def protocol_fault(redis: Redis) -> str | None:
    """Note the protocol of this version in the store, or return why it may not be used. One round trip."""
    names = [keys.PROTOCOL, *map(keys.alive, BEATING)]
    answer: Any = register_script(redis, "agree_on_protocol")(keys=names, args=[PROTOCOL, keys.PROTOCOL_SECONDS])
    if not answer:
        return None
    stored, *nodes = answer
    numbers = f"protocol {int(stored)}; this one, {VERSION}, has {PROTOCOL}"
    if int(stored) > PROTOCOL:
        return f"a newer version of Scoreline uses it ({numbers}): install that version here, too"
    hosts = sorted({node.decode().partition(" ")[0] for node in nodes})
    return f"an older version of Scoreline still uses it ({numbers}): stop that first, on {', '.join(hosts)}"
