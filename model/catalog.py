"""The models on disk: which there are, their cards, and how a new version is published.

Layout: ``<directory>/<name>/<version>/{card.json,model.skops,schema.toml}``, and ``module.py`` for a model with a
Python module; ``<directory>/<name>/current``, a text file with the current version; ``<directory>/default``, with the
name of the default model, where one was chosen. Loads neither scikit-learn nor pandas, since the web process uses it.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from model.card import Card
from model.errors import BrokenModel, RefusedModel, UnknownModel
from model.files import FileCache, place_of, sha256_of, sha256_of_file, write_atomically
from model.journal import Change, note_change

T = TypeVar("T")

CARD_FILE = "card.json"
ARTIFACT_FILE = "model.skops"
CURRENT_FILE = "current"
SCHEMA_FILE = "schema.toml"
MODULE_FILE = "module.py"
DEFAULT_FILE = "default"
FIRST_DEFAULT = "income"
LIBRARY = "scikit-learn"
# 48 bits: enough for the versions of one name, and short enough for people to read out.
VERSION_DIGITS = 12
# Names come from URLs and headers; others could lead out of the directory.
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def version_of(artifact_sha256: str, *more: Any) -> str:
    """Return a model's version: 12 hex digits of a hash of its artifact's SHA-256 and of whatever else defines it."""
    if not more:
        return artifact_sha256[:VERSION_DIGITS]
    return sha256_of(repr((artifact_sha256, *more)).encode())[:VERSION_DIGITS]


@dataclass(frozen=True)
class Version:
    """One version of a model on disk: its card where that can be read, and why it is broken, if it is."""

    version: str
    current: bool
    card: Card | None
    broken: str | None


class Catalog:
    """The models in one directory; a version that another process publishes is seen by the next call."""

    def __init__(self, directory: Path, default: str | None = None) -> None:
        self.directory = directory
        self._default, self._default_file = default, directory / DEFAULT_FILE
        self._cards = FileCache(Card.load)
        self._versions = FileCache(_read_word)
        self._checksums = FileCache(sha256_of_file)
        # Building a path takes longer than the stat of its file; bounded, since names come from outside.
        self._path = lru_cache(maxsize=1024)(self._checked_path)

    @property
    def default(self) -> str:
        """The name of the default model: as given, as chosen with ``set_default``, or the first that ships."""
        if self._default is not None:
            return self._default
        try:
            return self._versions.get(self._default_file)
        except FileNotFoundError:
            return FIRST_DEFAULT

    def set_default(self, name: str) -> None:
        """Choose the default model from now on; raise UnknownModel."""
        # It raises where there is no such model.
        self.current_version(name)
        write_atomically(self.directory / DEFAULT_FILE, f"{name}\n".encode())
        note_change(self.directory, Change.MADE_DEFAULT, name)

    def check_name(self, name: str) -> None:
        """Raise RefusedModel where ``name`` cannot be the name of a model."""
        if not _SAFE.fullmatch(name):
            raise RefusedModel(f"{name!r} is no name for a model: letters, digits, '.', '_' and '-', 100 at the most")

    def names(self) -> list[str]:
        """Return the sorted names of all models that have a current version, including broken ones."""
        return sorted(path.parent.name for path in self.directory.glob(f"*/{CURRENT_FILE}"))

    def current_version(self, name: str | None = None) -> str:
        """Return the current version of a model (None: the default one); raise UnknownModel or BrokenModel."""
        name = self.default if name is None else name
        try:
            return _read(self._versions.get, self._path(name, CURRENT_FILE))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UnknownModel(self._no_such_model(name)) from error

    def card(self, name: str | None = None, version: str | None = None) -> Card:
        """Return a card (None: the default model, its current version); raise UnknownModel or BrokenModel."""
        name = self.default if name is None else name
        wanted = version or self.current_version(name)
        if not _SAFE.fullmatch(wanted):
            raise UnknownModel(self._no_such_version(name, wanted))
        path = self._path(name, wanted, CARD_FILE)
        try:
            card = _read(self._cards.get, path)
        except (FileNotFoundError, NotADirectoryError) as error:
            # A version without a folder is none, or was removed; one with a folder has lost its card.
            if wanted not in self._versions_of(name):
                raise UnknownModel(self._no_such_version(name, wanted)) from error
            raise BrokenModel(f"the card {place_of(path)} is missing") from error
        # A folder that was copied or renamed by hand would serve one model under the name of another.
        if (card.name, card.version) != (name, wanted):
            of_other = f"version {card.version!r} of model {card.name!r}"
            raise BrokenModel(f"the card {place_of(path)} is that of {of_other}")
        return card

    def usable_card(self, name: str | None = None, version: str | None = None) -> Card:
        """Return the card of a version that can be loaded here, as far as its files tell.

        Raise UnknownModel, and BrokenModel also where the artifact is missing or altered, or another scikit-learn
        version made it. The artifact is hashed once, and again only when its file has changed.
        """
        card = self.card(name, version)
        path = self._path(card.name, card.version, ARTIFACT_FILE)
        self._check_file("artifact", path, card.artifact_sha256)
        if module := self.module_path(card):
            self._check_file("module", module, card.module_sha256)
        _check_library(card)
        return card

    def versions(self, name: str) -> list[Version]:
        """Return all versions of a model, newest first, those without a card last; raise UnknownModel."""
        try:
            current = self.current_version(name)
        except BrokenModel:
            # Its other versions can still be listed, and none of them is the current one.
            current = ""
        versions = [self._version(name, version, version == current) for version in self._versions_of(name)]
        return sorted(versions, key=lambda version: version.card.trained_at if version.card else "", reverse=True)

    def artifact_path(self, name: str | None = None, version: str | None = None) -> Path:
        """Return the path of a version's fitted pipeline; raise as ``card`` does."""
        card = self.card(name, version)
        return self._path(card.name, card.version, ARTIFACT_FILE)

    def module_path(self, card: Card) -> Path | None:
        """Return the path of the Python module that a version needs, or None where it needs none."""
        return None if card.module_sha256 is None else self._path(card.name, card.version, MODULE_FILE)

    def schema_path(self, card: Card) -> Path:
        """Return the path of the schema that the model's owner may edit."""
        return self._path(card.name, card.version, SCHEMA_FILE)

    def remove(self, name: str, version: str | None = None) -> None:
        """Remove a version that is not the current one, or (None) a model that is not the default.

        Raise UnknownModel, or RefusedModel for what is in use.
        """
        current = self.current_version(name)
        if version is None and name == self.default:
            raise RefusedModel(f"{name!r} is the default model; make another one the default first")
        if version == current:
            raise RefusedModel(f"{version!r} is the current version of {name!r}; add another one first")
        target = self._path(name) if version is None else self._path(name, version)
        if not target.is_dir():
            raise UnknownModel(f"model {name!r} has no version {version!r}")
        # Renamed first, so that readers never see part of it.
        away = target.with_name(f".{target.name}.{uuid4().hex}")
        target.rename(away)
        shutil.rmtree(away)
        note_change(self.directory, Change.REMOVED, name, version)

    def publish(self, card: Card, artifact_file: Path, schema: str | None = None, module: bytes | None = None) -> None:
        """Copy ``artifact_file`` and its card in as a version, then make that version the current one.

        ``schema`` is the text of the file from which its owner may make another version, ``module`` the source of the
        Python module that it needs. A reader sees the model before or after, never half of it. Publishing a version
        again repairs its files. Raise BrokenModel where the card was not made for this artifact, or for this module.
        """
        artifact = artifact_file.read_bytes()
        if sha256_of(artifact) != card.artifact_sha256:
            raise BrokenModel(f"the card of {card.name!r} {card.version!r} is not the card of {artifact_file}")
        if (None if module is None else sha256_of(module)) != card.module_sha256:
            raise BrokenModel(f"the card of {card.name!r} {card.version!r} is not that of a version with this module")
        files = {ARTIFACT_FILE: artifact}
        if module is not None:
            files[MODULE_FILE] = module
        if schema is not None:
            files[SCHEMA_FILE] = schema.encode()
        target = self._path(card.name, card.version)
        if target.is_dir():
            _write_files(target, card, files)
        else:
            _create_version(target, card, files)
        # Last: from here on readers take the new version, whose files are all there.
        write_atomically(self._path(card.name, CURRENT_FILE), f"{card.version}\n".encode())
        note_change(self.directory, Change.ADDED, card.name, card.version)

    def _check_file(self, what: str, path: Path, sha256: str | None) -> None:
        """Raise BrokenModel where a file of a version is missing, or its SHA-256 is not the card's."""
        try:
            actual = _read(self._checksums.get, path)
        except FileNotFoundError as error:
            raise BrokenModel(f"the {what} {place_of(path)} is missing") from error
        if actual != sha256:
            raise BrokenModel(f"the {what} {place_of(path)} was altered: its SHA-256 is not the card's")

    def _version(self, name: str, version: str, current: bool) -> Version:
        card = None
        try:
            card = self.card(name, version)
            self.usable_card(name, version)
        except BrokenModel as error:
            return Version(version, current, card, str(error))
        return Version(version, current, card, None)

    def _versions_of(self, name: str) -> list[str]:
        """Return the versions that have a folder, and the current one, which should have one."""
        folder = self._path(name)
        versions = {path.name for path in folder.glob("*/") if _SAFE.fullmatch(path.name)} if folder.is_dir() else set()
        with suppress(BrokenModel):
            # A current version without a folder is to be listed as broken, not to vanish.
            versions.add(self.current_version(name))
        return sorted(versions)

    def _checked_path(self, *parts: str) -> Path:
        if not all(_SAFE.fullmatch(part) for part in parts):
            raise UnknownModel(self._no_such_model(":".join(parts[:2])))
        return self.directory.joinpath(*parts)

    def _no_such_model(self, name: str) -> str:
        names = ", ".join(self.names()) or "none yet"
        return f"there is no model {name[:100]!r}; there are: {names}"

    def _no_such_version(self, name: str, version: str) -> str:
        versions = ", ".join(self._versions_of(name))
        return f"model {name!r} has no version {version[:100]!r}; there are: {versions}"


def _read(get: Callable[[Path], T], path: Path) -> T:
    """Return a cache's value for a file; raise BrokenModel for one that exists and cannot be read."""
    try:
        return get(path)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise BrokenModel(f"{place_of(path)} cannot be read: {error.strerror}") from error


def _check_library(card: Card) -> None:
    made_with, installed = card.libraries.get(LIBRARY), _installed(LIBRARY)
    if made_with and installed and made_with != installed:
        reason = f"made by {LIBRARY} {made_with}, but {installed} is installed; train it again"
        raise BrokenModel(f"version {card.version} of model {card.name!r} was {reason}")


@cache
def _installed(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _read_word(path: Path) -> str:
    word = path.read_text("utf-8", errors="replace").strip()
    if not _SAFE.fullmatch(word):
        raise BrokenModel(f"{path.parent.name}/{path.name} should hold a version or a name, but holds {word[:100]!r}")
    return word


def _write_files(directory: Path, card: Card, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        write_atomically(directory / name, content)
    # The card comes last, since it names the checksums of the other files.
    card.save(directory / CARD_FILE)


def _create_version(target: Path, card: Card, files: Mapping[str, bytes]) -> None:
    staging = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        _write_files(staging, card, files)
        staging.rename(target)
    finally:
        # After the rename there is nothing left to remove; after a failure there is.
        shutil.rmtree(staging, ignore_errors=True)
