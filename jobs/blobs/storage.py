"""The interface of blob storage."""

from collections.abc import Iterator, Sequence
from typing import Protocol


class BlobStorage(Protocol):
    """Bytes under keys such as ``models/income/1f2e/card.json``. A ``folder`` is a prefix that ends with ``/``.

    Every method raises ``StorageUnavailable`` where the storage cannot be used, with what is wrong in one line.
    """

    def put(self, key: str, content: bytes) -> None:
        """Store a blob, whole or not at all; it survives a crash. Raise ``StorageFull`` where there is no room."""

    def get(self, key: str) -> bytes:
        """Return a blob; raise ``DamagedBlob`` if there is none."""

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return bytes ``start`` to ``end``, exclusive, of a blob that has as many; raise as ``get`` does."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete blobs; those that do not exist are ignored."""

    def delete_folder(self, folder: str) -> None:
        """Delete all blobs in a folder."""

    def keys_in(self, folder: str) -> Iterator[str]:
        """Yield the keys of all blobs in a folder, in any order."""

    def folders_in(self, folder: str) -> list[str]:
        """Return the sorted names of the folders that lie directly in a folder, without slashes."""
