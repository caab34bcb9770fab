"""Blob storage in Redis: a string for each blob, and a sorted set of all keys."""

from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis

from jobs.errors import DamagedBlob
from jobs.store import keys

_PAGE = 1000


class RedisBlobs:
    """Blobs in Redis, for what is small and few, such as models. Redis errors are raised as they are."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis

    def put(self, key: str, content: bytes) -> None:
        """Store a blob."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(keys.blob(key), content)
            pipe.zadd(keys.BLOBS, {key: 0})
            pipe.execute()

    def get(self, key: str) -> bytes:
        """Return a blob; raise ``DamagedBlob`` if there is none."""
        content: bytes | None = self._redis.get(keys.blob(key))
        if content is None:
            raise DamagedBlob(f"{key} is gone from the store")
        return content

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return bytes ``start`` to ``end``, exclusive; raise ``DamagedBlob`` if the blob does not have as many."""
        content: bytes = self._redis.getrange(keys.blob(key), start, end - 1) if end > start else b""
        if len(content) != end - start:
            raise DamagedBlob(f"{key} has no bytes {start} to {end} in the store")
        return content

    def delete(self, blob_keys: Sequence[str]) -> None:
        """Delete blobs; those that do not exist are ignored."""
        if blob_keys:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.unlink(*map(keys.blob, blob_keys))
                pipe.zrem(keys.BLOBS, *blob_keys)
                pipe.execute()

    def delete_folder(self, folder: str) -> None:
        """Delete all blobs in a folder."""
        self.delete(list(self.keys_in(folder)))

    def keys_in(self, folder: str) -> Iterator[str]:
        """Yield the sorted keys of all blobs in a folder."""
        after = f"[{folder}"
        while found := self._redis.zrangebylex(keys.BLOBS, after, f"({folder[:-1]}0", start=0, num=_PAGE):
            yield from (raw.decode() for raw in found)
            after = f"({found[-1].decode()}"

    def folders_in(self, folder: str) -> list[str]:
        """Return the sorted names of the folders that lie directly in a folder."""
        within = (key.removeprefix(folder) for key in self.keys_in(folder))
        return sorted({name.partition("/")[0] for name in within if "/" in name})
