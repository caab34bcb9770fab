"""A version of a model as one zip file: written on one machine, verified and taken in on another.

The file comes from elsewhere, so nothing of it is believed: not its names, not its sizes, not what its card says may be
trusted. It is taken in only after it has been loaded as a worker will load it.
"""

import io
import re
import stat
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from model import trusted_types
from model.card import Card
from model.catalog import ARTIFACT_FILE, CARD_FILE, MODULE_FILE, SCHEMA_FILE, Catalog
from model.errors import BrokenModel, RefusedModel, UnknownModel
from model.files import sha256_of
from model.scorer import Scorer
from model.trust import EVERYTHING

_MIB = 1024 * 1024
# The members of such a file, and how large each may be, in bytes.
MEMBERS = {ARTIFACT_FILE: 4096 * _MIB, CARD_FILE: 64 * _MIB, SCHEMA_FILE: 16 * _MIB, MODULE_FILE: 16 * _MIB}
_NEEDED = (ARTIFACT_FILE, CARD_FILE)
# What grows more than that when it is unpacked was made to do so.
_MAX_GROWTH, _SMALL_BYTES = 100, _MIB
_VERSION = re.compile(r"[0-9a-f]{12}")


def export_version(catalog: Catalog, name: str, version: str | None, output: Path | None) -> tuple[Card, Path]:
    """Write a version (None: the current one) to a zip file; raises UnknownModel, BrokenModel and OSError."""
    card = catalog.usable_card(name, version)
    folder = catalog.artifact_path(card.name, card.version).parent
    target = output or Path(f"{card.name}-{card.version}.zip")
    with zipfile.ZipFile(target, "w") as archive:
        for member in MEMBERS:
            if (folder / member).is_file():
                archive.write(folder / member, member)
    return card, target


def import_version(catalog: Catalog, path: Path, trust: Sequence[str]) -> Card:
    """Take a version in from a zip file, and make it the current one; ``trust`` names types, or EVERYTHING.

    Raises:
        RefusedModel: it is no such file, is damaged, needs trust that was not given, or its version is here already and
            is another one.
        BrokenModel: it cannot be loaded here.
    """
    files = _read(path)
    card = _card_of(files, catalog, path)
    _check_trust(files, card, trust, path)
    _check_not_another(catalog, card)
    with tempfile.TemporaryDirectory() as staging:
        artifact_file = Path(staging) / ARTIFACT_FILE
        artifact_file.write_bytes(files[ARTIFACT_FILE])
        # As a worker does it, from a folder of models where this is the only one.
        trial = Catalog(Path(staging) / "models", card.name)
        for target in (trial, catalog):
            target.publish(card, artifact_file, _text(files.get(SCHEMA_FILE), path), files.get(MODULE_FILE))
            if target is trial:
                Scorer.load(trial, trial.usable_card().name)
    return card


def _read(path: Path) -> dict[str, bytes]:
    """The members of a zip file by name, none that should not be there and none larger than it may be."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, path)
            return {member.filename: _unpacked(archive, member, path) for member in members}
    except FileNotFoundError:
        raise RefusedModel(f"there is no file {path}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise RefusedModel(f"{path} is not an exported model, or is damaged: {error}") from error


def _check_members(members: Sequence[zipfile.ZipInfo], path: Path) -> None:
    counts = Counter(member.filename for member in members)
    strange = [name for name in counts if name not in MEMBERS]
    if strange:
        raise RefusedModel(f"{path} holds {strange[0][:100]!r}, which no exported model does")
    if twice := [name for name, count in counts.items() if count > 1]:
        raise RefusedModel(f"{path} holds {twice[0]} more than once")
    if lacking := [name for name in _NEEDED if name not in counts]:
        raise RefusedModel(f"{path} is not an exported model: it holds no {lacking[0]}")
    if odd := [m.filename for m in members if stat.S_IFMT(m.external_attr >> 16) not in (0, stat.S_IFREG)]:
        raise RefusedModel(f"{path} holds {odd[0]} as something else than a file")


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    """A member's bytes; zipfile gives no more of them than its header says, and checks them against its checksum."""
    grows = member.file_size > _SMALL_BYTES and member.file_size > _MAX_GROWTH * max(member.compress_size, 1)
    if member.file_size > MEMBERS[member.filename] or grows:
        raise RefusedModel(f"{path} holds a {member.filename} of {member.file_size:,} bytes, which is not plausible")
    return archive.read(member)


def _card_of(files: dict[str, bytes], catalog: Catalog, path: Path) -> Card:
    """The card, which must be that of the artifact and of the module that come with it."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / CARD_FILE
        file.write_bytes(files[CARD_FILE])
        try:
            card = Card.load(file)
        except BrokenModel as error:
            raise RefusedModel(f"{path}: {CARD_FILE} is not a model card: {str(error).rpartition(': ')[2]}") from error
    catalog.check_name(card.name)
    if not _VERSION.fullmatch(card.version):
        raise RefusedModel(f"{path}: {card.version[:100]!r} is no version of a model")
    checksums = {ARTIFACT_FILE: card.artifact_sha256, MODULE_FILE: card.module_sha256}
    for name, expected in checksums.items():
        found = sha256_of(files[name]) if name in files else None
        if found != expected:
            raise RefusedModel(f"{path}: {name} was altered: its SHA-256 is {found}, the card says {expected}")
    return card


def _check_trust(files: dict[str, bytes], card: Card, trust: Sequence[str], path: Path) -> None:
    """Refuse what needs more trust than was given: types in the artifact, types that the card names, and a module."""
    if EVERYTHING in trust:
        return
    if MODULE_FILE in files:
        raise RefusedModel(f"{path} holds a module, which is a program: add --trust if you know who made the file")
    content = files[ARTIFACT_FILE]
    named = set(_untrusted(content, path)) | set(card.trusted) - set(trusted_types.known_safe(content))
    unknown = sorted(named - set(trust))
    if unknown:
        options = " ".join(f"--trust {name}" for name in unknown)
        raise RefusedModel(f"{path} holds types that are not known to be safe; if you know them, add: {options}")


def _untrusted(content: bytes, path: Path) -> list[str]:
    """The types in an artifact that are not known to be safe; nothing of it is loaded to find out."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise RefusedModel(f"{path}: {ARTIFACT_FILE} is not a skops file: {error}") from error
    if unpacked > _MAX_GROWTH * len(content) + _SMALL_BYTES:
        raise RefusedModel(f"{path}: {ARTIFACT_FILE} grows to {unpacked:,} bytes, which is not plausible")
    try:
        return list(trusted_types.untrusted(content))
    except Exception as error:
        raise RefusedModel(f"{path}: {ARTIFACT_FILE} is not a skops file: {error}") from error


def _check_not_another(catalog: Catalog, card: Card) -> None:
    """A version is what it is: one that jobs may have used is not replaced by another of the same name."""
    try:
        here = catalog.card(card.name, card.version)
    except UnknownModel:
        return
    except BrokenModel:
        return  # taking it in again repairs it
    if here != card:
        raise RefusedModel(f"{card.name} {card.version} is here already, and is another one; remove it first")


def _text(content: bytes | None, path: Path) -> str | None:
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError as error:
        raise RefusedModel(f"{path}: {SCHEMA_FILE} is not UTF-8") from error
