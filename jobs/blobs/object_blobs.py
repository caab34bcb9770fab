"""Blob storage in an object store or a folder: ``s3://…``, ``gs://…``, ``az://…``, ``file:///…``.

``obstore`` reads credentials and endpoints from the environment, by the names that the providers' own tools use
(``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ``GOOGLE_APPLICATION_CREDENTIALS``, ``AZURE_STORAGE_ACCOUNT_NAME``, …).
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from jobs.blobs.address import MARK_FOLDER, without_secrets
from jobs.errors import DamagedBlob, StorageFull, StorageUnavailable, UnsuitableStorage

P = ParamSpec("P")
T = TypeVar("T")

SCHEMES = ("s3", "gs", "az", "file")
_MAX_RETRIES = 2
_PAGE = 1000
# A chunk has a few megabytes.
_REQUEST_SECONDS = 60
# What file systems and services say when there is no room.
_FULL = re.compile(
    r"os error (28|122)\b|\b507 Insufficient|QuotaExceeded|StorageFull|InsufficientStorage|AccountBeingFull", re.I
)
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.I)
# The reason in a long error text: the last thing before the dump of its source.
_STATUS = re.compile(r"status code: (\d+ [A-Za-z ]+)")
# Of listings, obstore says so in the text alone.
_REFUSED = re.compile(r"40[13] ")
_WRONG_CLOCK = "RequestTimeTooSkewed"
_CODE = re.compile(r"<Code>(\w+)</Code>")
_SYSTEM = re.compile(r"([A-Z][\w -]+) \(os error \d+\)")

_users: set[int] = set()
"""The process that uses obstore. Its threads do not survive a fork: a child would wait for them forever."""


class ObjectBlobs:
    """Blobs below an address. ``seconds`` limits how long connecting may take; a server may be silent for longer."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or (parts.scheme == "file" and (parts.netloc or not parts.path)):
            raise UnsuitableStorage(
                f"{without_secrets(url)!r} is not an address of blob storage: s3://bucket/folder, gs://bucket/folder, "
                "az://container/folder or file:///folder"
            )
        self._folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        if self._folder and not self._folder.is_dir():
            raise UnsuitableStorage(f"there is no folder {self._folder}; create it, or mount it")
        client = {
            "connect_timeout": timedelta(seconds=seconds),
            "read_timeout": timedelta(seconds=4 * seconds),
            "timeout": timedelta(seconds=_REQUEST_SECONDS),
        }
        backoff = {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1)}
        options: dict[str, Any] = {"automatic_cleanup": True} if self._folder else {
            # An endpoint in the environment may have no TLS; those of the providers all have it.
            "client_options": {**client, "allow_http": True},
            "retry_config": {
                "max_retries": _MAX_RETRIES, "retry_timeout": timedelta(seconds=2 * seconds), "backoff": backoff
            },
        }  # fmt: skip
        self._known = _identity(self._folder) if self._folder else None
        self._store = self._call(lambda: from_url(url, **options))

    def put(self, key: str, content: bytes) -> None:
        """Store a blob."""
        self._check_mounted()
        try:
            self._call(obstore.put, self._store, key, content, use_multipart=False)
        except FileNotFoundError as error:
            raise self._unavailable(error) from error
        if self._folder:
            _sync(self._folder / key)

    def get(self, key: str) -> bytes:
        """Return a blob; raise ``DamagedBlob`` if there is none."""
        return self._read(key, lambda: bytes(obstore.get(self._store, key).bytes()))

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return bytes ``start`` to ``end``, exclusive; raise ``DamagedBlob`` if the blob does not have as many."""
        if end <= start:
            return b""
        content = self._read(key, lambda: bytes(obstore.get_range(self._store, key, start=start, end=end)))
        if len(content) != end - start:
            raise DamagedBlob(f"{key} has no bytes {start} to {end} in {self._place}")
        return content

    def delete(self, keys: Sequence[str]) -> None:
        """Delete blobs; those that do not exist are ignored."""
        try:
            self._call(obstore.delete, self._store, keys)
        except FileNotFoundError:  # one of them did not exist, and the rest may not have been deleted
            for key in keys:
                self._delete_one(key)

    def delete_folder(self, folder: str) -> None:
        """Delete all blobs in a folder."""
        self.delete(list(self.keys_in(folder)))

    def keys_in(self, folder: str) -> Iterator[str]:
        """Yield the keys of all blobs in a folder."""
        pages = iter(self._call(obstore.list, self._store, folder, chunk_size=_PAGE))
        while (page := self._call(next, pages, None)) is not None:
            yield from (found["path"] for found in page)

    def folders_in(self, folder: str) -> list[str]:
        """Return the sorted names of the folders that lie directly in a folder."""
        found = self._call(obstore.list_with_delimiter, self._store, folder)
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"])

    @property
    def _place(self) -> str:
        return without_secrets(self._url)

    def _delete_one(self, key: str) -> None:
        try:
            self._call(obstore.delete, self._store, key)
        except FileNotFoundError:
            return

    def _read(self, key: str, read: Callable[[], bytes]) -> bytes:
        try:
            return self._call(read)
        except FileNotFoundError as error:
            if _NO_BUCKET.search(str(error)):
                raise self._unavailable(error) from error
            self._check_mounted()
            raise DamagedBlob(f"{key} is gone from {self._place}") from error

    def _check_mounted(self) -> None:
        """Check that a folder is the one that it was, or another mount of it; an empty one lies below a lost mount."""
        if self._folder and _identity(self._folder) != self._known and not (self._folder / MARK_FOLDER).is_dir():
            raise StorageUnavailable(f"there is no storage in the folder {self._folder} any longer; mount it again")

    def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function of obstore; raise ``StorageFull``, ``StorageUnavailable`` or FileNotFoundError."""
        _users.add(os.getpid())
        if len(_users) > 1:
            raise RuntimeError("the object store was used before this process was forked")
        try:
            return function(*args, **kwargs)
        except FileNotFoundError:
            raise
        except (BaseError, OSError, ValueError) as error:
            if _FULL.search(str(error)):
                raise StorageFull(f"{self._place} is full") from error
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StorageUnavailable:
        """Return in one line why an object store did not do what it was asked for; nothing of its long text."""
        text = str(error).partition("Debug source")[0]
        if _NO_BUCKET.search(text):
            return UnsuitableStorage(f"{self._place} does not exist")
        if system := _SYSTEM.search(text):
            return UnsuitableStorage(f"{self._place} cannot be used: {system[1].lower()}")
        named = " ".join(match[1].strip() for match in (_STATUS.search(text), _CODE.search(text)) if match)
        if _WRONG_CLOCK in named:
            return UnsuitableStorage(f"{self._place} refuses access: set the clock of this host ({named})")
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or _REFUSED.match(named):
            return UnsuitableStorage(f"{self._place} refuses access: check the credentials and their rights ({named})")
        return StorageUnavailable(f"{self._place} {f'answers {named}' if named else 'does not answer'}")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _sync(path: Path) -> None:
    """Have the system write a file and its entry in the folder to the disk."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
