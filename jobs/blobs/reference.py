"""References: what Redis holds in place of bytes that lie in an object store. Pure."""

import hashlib
import struct
from dataclasses import dataclass
from typing import Self

from jobs.errors import DamagedBlob

# No chunk begins so: it would be row 7e18, and neither a Zstandard frame nor a count of corrected rows looks like it.
_MARK = b"\0blobref"
_LAYOUT = struct.Struct("<8sQ32s")


@dataclass(frozen=True, slots=True)
class Reference:
    """The key of an object below the folder of all jobs, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: bytes

    @classmethod
    def to(cls, name: str, content: bytes) -> Self:
        """Return a reference to an object with this content."""
        return cls(name, len(content), hashlib.sha256(content).digest())

    def encode(self) -> bytes:
        """Encode as some 100 bytes."""
        return _LAYOUT.pack(_MARK, self.size, self.sha256) + self.name.encode()

    @staticmethod
    def is_encoded(stored: bytes) -> bool:
        """Return whether this is a reference, and not the bytes themselves."""
        return stored.startswith(_MARK)

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """Decode what ``encode`` returned."""
        _, size, sha256 = _LAYOUT.unpack_from(stored)
        return cls(stored[_LAYOUT.size :].decode(), size, sha256)

    def verify(self, content: bytes) -> bytes:
        """Return the content of the object; raise ``DamagedBlob`` if it is another than was stored."""
        if len(content) != self.size or hashlib.sha256(content).digest() != self.sha256:
            raise DamagedBlob(f"{self.name} was altered: its size or its SHA-256 is not the one that was recorded")
        return content
