"""The models in the folder of this host: a cache of what the store has, and what was made here.

A version that the store knows has a file ``published.json`` with its manifest beside its own files.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from jobs.models.manifest import FILES, Manifest, SharedFile, check_name

_CURRENT, _DEFAULT, _PUBLISHED = "current", "default", "published.json"


class ModelFolder:
    """The folder; readers see a version as a whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process of this host change the folder by way of the store meanwhile."""
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """Return the sorted names of the models that have a current version."""
        return sorted(path.parent.name for path in self.path.glob(f"*/{_CURRENT}"))

    def current(self, name: str) -> str | None:
        """Return the current version of a model, or None if it has none."""
        return _word(self.path / check_name(name) / _CURRENT)

    def set_current(self, name: str, version: str) -> None:
        """Make a version the current one."""
        if self.current(name) != version:
            _write(self.path / name / _CURRENT, f"{version}\n".encode())

    def default(self) -> str | None:
        """Return the name of the default model, if one was chosen."""
        return _word(self.path / _DEFAULT)

    def set_default(self, name: str) -> None:
        """Choose the default model."""
        if self.default() != name:
            _write(self.path / _DEFAULT, f"{name}\n".encode())

    def versions(self, name: str) -> list[str]:
        """Return the sorted versions of a model that have a folder."""
        folder = self.path / check_name(name)
        return sorted(path.name for path in folder.glob("[!.]*/")) if folder.is_dir() else []

    def contents(self, name: str, version: str) -> dict[str, bytes]:
        """Return the files of a version by name."""
        folder = self.path / check_name(name) / check_name(version)
        return {file: (folder / file).read_bytes() for file in FILES if (folder / file).is_file()}

    def is_published(self, name: str, version: str) -> bool:
        """Return whether the store has known this version."""
        return (self.path / name / version / _PUBLISHED).is_file()

    def has(self, manifest: Manifest) -> bool:
        """Return whether the version is here as the store has it; its files are hashed if that is not known yet."""
        place = self.path / manifest.name / manifest.version / _PUBLISHED
        try:
            return place.read_bytes() == manifest.encode()
        except OSError:
            pass
        here = {
            name: SharedFile.of(content) for name, content in self.contents(manifest.name, manifest.version).items()
        }
        if here != dict(manifest.files):
            return False
        self.note_published(manifest)
        return True

    def note_published(self, manifest: Manifest) -> None:
        """Note that the store has this version as it is here."""
        _write(self.path / manifest.name / manifest.version / _PUBLISHED, manifest.encode())

    def install(self, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
        """Put a version in place of what is here under its name, if anything."""
        target = self.path / manifest.name / manifest.version
        staging = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            for name, content in contents.items():
                _write(staging / name, content)
            _write(staging / _PUBLISHED, manifest.encode())
            if target.is_dir():  # another version under the same name, or one that was damaged
                self.remove(manifest.name, manifest.version)
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def remove(self, name: str, version: str | None = None) -> None:
        """Remove a version, or a model."""
        target = self.path / name / version if version else self.path / name
        if target.is_dir():
            # Renamed first, so that readers never see part of it.
            away = target.with_name(f".{target.name}.{uuid4().hex}")
            target.rename(away)
            shutil.rmtree(away)


def _word(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="replace").strip() or None
    except OSError:
        return None


# As ``model.files.write_atomically``, which this package may not import.
def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
