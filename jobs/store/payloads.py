"""The bytes of chunks: in the hashes of a job, or in an object store with references in the hashes.

With an object store, an object is written first, under a name of its own, and its reference recorded afterwards by the
script that decides whether it counts. An object that nothing refers to is deleted later (``sweeper.py``).
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property

from jobs.availability import storage_availability
from jobs.blobs.address import without_secrets
from jobs.blobs.reference import Reference
from jobs.blobs.storage import BlobStorage
from jobs.errors import StorageFull, StorageUnavailable, UnsuitableStorage
from jobs.settings import Settings

FOLDER = "jobs/"


class Payloads:
    """Bytes as the hashes hold them. Without an object store, every method returns what it is given."""

    def __init__(self, settings: Settings) -> None:
        self._url, self._seconds = settings.storage_url, settings.store_timeout_seconds

    @property
    def external(self) -> bool:
        """Whether bytes go to an object store."""
        return self._url is not None

    @property
    def address(self) -> str:
        """The address of the object store, without what may be secret in it."""
        return without_secrets(self._url or "")

    @cached_property
    def blobs(self) -> BlobStorage:
        """The object store; raise ``StorageUnavailable`` if there is none."""
        # Imported where it is needed: it takes memory, and must not be used before a worker forks.
        from jobs.blobs.object_blobs import ObjectBlobs  # noqa: PLC0415

        if self._url is None:
            raise UnsuitableStorage("the job lies in an object store, and SCORELINE_STORAGE_URL does not name it")
        return ObjectBlobs(self._url, self._seconds)

    def put(self, job_id: str, name: str, content: bytes) -> bytes:
        """Return what a hash holds for these bytes: themselves, or a reference to a new object.

        Raises:
            StorageFull, StorageUnavailable: the object could not be written.
        """
        if not self.external:
            return content
        reference = Reference.to(f"{job_id}/{name}.{secrets.token_hex(6)}", content)
        with _availability_recorded():
            self.blobs.put(FOLDER + reference.name, content)
        return reference.encode()

    def get(self, stored: bytes) -> bytes:
        """Return the bytes for which this is stored, verified.

        Raises:
            DamagedBlob: the object is gone or was altered.
            StorageUnavailable: it cannot be read now.
        """
        if not Reference.is_encoded(stored):
            return stored
        reference = Reference.decode(stored)
        with _availability_recorded():
            content = self.blobs.get(FOLDER + reference.name)
        return reference.verify(content)

    def discard(self, stored: Iterable[bytes]) -> None:
        """Delete objects that nothing refers to any longer. What cannot be deleted now is swept later."""
        names = [FOLDER + Reference.decode(one).name for one in stored if Reference.is_encoded(one)]
        if names:
            with suppress(StorageUnavailable):
                self.blobs.delete(names)

    def discard_folder(self, job_id: str, name: str) -> None:
        """Delete the objects of a job in a folder, as ``discard`` does."""
        if self.external:
            with suppress(StorageUnavailable):
                self.blobs.delete_folder(f"{FOLDER}{job_id}/{name}/")


@contextmanager
def _availability_recorded() -> Iterator[None]:
    try:
        yield
    except (StorageFull, StorageUnavailable) as error:
        storage_availability.record_failure(error)
        raise
    storage_availability.record_success()
