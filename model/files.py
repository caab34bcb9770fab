"""Atomic writes, checksums, and values cached until their file changes. Standard library only."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar
from uuid import uuid4

T = TypeVar("T")
Stamp = tuple[int, int, int]


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``; a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since a rename is atomic only within a file system.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            # Before the rename, so that after a power failure the name never leads to an empty file.
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of ``content`` as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file of any size as 64 hex digits; raise OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place_of(path: Path) -> str:
    """Return a model's file as messages name it: relative to the folder of models, not to this machine."""
    return "/".join(path.parts[-3:])


class FileCache(Generic[T]):
    """Values read from files, and read again only when the file was replaced or written to."""

    def __init__(self, read: Callable[[Path], T]) -> None:
        self._read = read
        self._entries: dict[Path, tuple[Stamp, T]] = {}

    def get(self, path: Path) -> T:
        """Return what ``read`` makes of the file at ``path``; raise FileNotFoundError, and whatever ``read`` raises."""
        status = path.stat()
        # The inode tells a replaced file even within one tick of the file system's clock.
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        entry = self._entries.get(path)
        if entry is None or entry[0] != stamp:
            # The status was taken before reading: a file that changes in between is read again at the next call.
            entry = (stamp, self._read(path))
            self._entries[path] = entry
        return entry[1]
