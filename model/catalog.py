"""The models on disk: which there are, their cards, and how a new version comes in.

Layout: `<directory>/<name>/<version>/{card.json,model.skops}`, and `<directory>/<name>/current`, a text file with the
version in use. Loads neither scikit-learn nor pandas, since the web process uses it.
"""

import re
import shutil
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from model.card import Card
from model.errors import BrokenModel, UnknownModel
from model.files import FileCache, sha256_of, write_atomically

CARD_FILE = "card.json"
ARTIFACT_FILE = "model.skops"
CURRENT_FILE = "current"
VERSION_DIGITS = 12
# Names come from URLs and headers; anything else could climb out of the directory.
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def version_of(artifact_sha256: str) -> str:
    """Return the version of a model: the first 12 hex digits of its artifact's SHA-256."""
    return artifact_sha256[:VERSION_DIGITS]


class Catalog:
    """The models in one directory; a version published by another process shows at the next call."""

    def __init__(self, directory: Path, default: str) -> None:
        self.directory = directory
        self.default = default
        self._cards = FileCache(Card.load)
        self._versions = FileCache(_read_version)
        # Building a path costs more than the look at its file; bounded, since names come from outside.
        self._path = lru_cache(maxsize=1024)(self._checked_path)

    def names(self) -> list[str]:
        """Return the names of all models that have a current version, sorted; broken ones too."""
        return sorted(path.parent.name for path in self.directory.glob(f"*/{CURRENT_FILE}"))

    def current_version(self, name: str | None = None) -> str:
        """Return the version in use of a model (None: the default model); raises UnknownModel and BrokenModel."""
        name = self.default if name is None else name
        try:
            return self._versions.get(self._path(name, CURRENT_FILE))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UnknownModel(self._no_such_model(name)) from error

    def card(self, name: str | None = None, version: str | None = None) -> Card:
        """Return a card (None: the default model, its current version); raises UnknownModel and BrokenModel."""
        name = self.default if name is None else name
        current = self.current_version(name)
        path = self._path(name, version or current, CARD_FILE)
        try:
            return self._cards.get(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            if version in (None, current):
                raise BrokenModel(f"the card of model {name!r}, {path}, is missing") from error
            raise UnknownModel(f"model {name!r} has no version {version!r}; it has {current!r}") from error

    def artifact_path(self, name: str | None = None, version: str | None = None) -> Path:
        """Return where the fitted pipeline of a version lies; raises as `card` does."""
        card = self.card(name, version)
        return self._path(card.name, card.version, ARTIFACT_FILE)

    def publish(self, card: Card, artifact_file: Path) -> None:
        """Copy `artifact_file` and its card in as a version, then make that version the current one.

        A reader sees the model before or after, never half of it. Publishing a version again repairs its files.
        Raises BrokenModel where the card was not made for this artifact.
        """
        artifact = artifact_file.read_bytes()
        if sha256_of(artifact) != card.artifact_sha256 or card.version != version_of(card.artifact_sha256):
            raise BrokenModel(f"the card of {card.name!r} {card.version!r} is not the card of {artifact_file}")
        target = self._path(card.name, card.version)
        if target.is_dir():
            _fill(target, card, artifact)
        else:
            _install(target, card, artifact)
        write_atomically(self._path(card.name, CURRENT_FILE), f"{card.version}\n".encode())

    def _checked_path(self, *parts: str) -> Path:
        if not all(_SAFE.fullmatch(part) for part in parts):
            raise UnknownModel(self._no_such_model(":".join(parts[:2])))
        return self.directory.joinpath(*parts)

    def _no_such_model(self, name: str) -> str:
        there_are = ", ".join(self.names()) or "none yet"
        return f"there is no model {name[:100]!r}; there are: {there_are}"


def _read_version(path: Path) -> str:
    version = path.read_text("utf-8", errors="replace").strip()
    if not _SAFE.fullmatch(version):
        raise BrokenModel(f"{path} should hold a version, but holds {version[:100]!r}")
    return version


def _fill(directory: Path, card: Card, artifact: bytes) -> None:
    write_atomically(directory / ARTIFACT_FILE, artifact)
    card.save(directory / CARD_FILE)


def _install(target: Path, card: Card, artifact: bytes) -> None:
    staging = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        _fill(staging, card, artifact)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
