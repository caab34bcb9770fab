"""Export a version of a model as one zip file, and import it on another machine.

An imported file is not trusted: neither the names and sizes of its members nor what its card says may be trusted. It is
published only after it has been loaded as a worker will load it.
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
# The members of an exported file, and how large each may be, in bytes.
MEMBERS = {ARTIFACT_FILE: 4096 * _MIB, CARD_FILE: 64 * _MIB, SCHEMA_FILE: 16 * _MIB, MODULE_FILE: 16 * _MIB}
_NEEDED = (ARTIFACT_FILE, CARD_FILE)
# A larger growth when unpacking is the mark of a zip bomb.
_MAX_GROWTH, _SMALL_BYTES = 100, _MIB
_VERSION = re.compile(r"[0-9a-f]{12}")


def export_version(catalog: Catalog, name: str, version: str | None, output: Path | None) -> tuple[Card, Path]:
    """Write a version (None: the current one) to a zip file; raise UnknownModel, BrokenModel or OSError."""
    card = catalog.usable_card(name, version)
    folder = catalog.artifact_path(card.name, card.version).parent
    target = output or Path(f"{card.name}-{card.version}.zip")
    with zipfile.ZipFile(target, "w") as archive:
        for member in MEMBERS:
            if (folder / member).is_file():
                archive.write(folder / member, member)
    return card, target


def import_version(catalog: Catalog, path: Path, trust: Sequence[str]) -> Card:
    """Import a version from a zip file and make it the current one; ``trust`` names types, or EVERYTHING.

    Raise RefusedModel where it is not such a file, is damaged, needs trust that was not given, or where another model
    has that name and version; BrokenModel where it cannot be loaded here.
    """
    files = _read(path)
    card = _verified_card(files, catalog, path)
    _check_trust(files, card, trust, path)
    _check_same_version(catalog, card)
    with tempfile.TemporaryDirectory() as staging:
        artifact_file = Path(staging) / ARTIFACT_FILE
        artifact_file.write_bytes(files[ARTIFACT_FILE])
        # Load it as a worker will, from a folder of models that holds nothing else, before it is published.
        trial = Catalog(Path(staging) / "models", card.name)
        for target in (trial, catalog):
            target.publish(card, artifact_file, _decode_schema(files.get(SCHEMA_FILE), path), files.get(MODULE_FILE))
            if target is trial:
                Scorer.load(trial, trial.usable_card().name)
    return card


def _read(path: Path) -> dict[str, bytes]:
    """Return the members of a zip file by name; refuse unknown ones and those larger than they may be."""
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
    unknown_members = [name for name in counts if name not in MEMBERS]
    if unknown_members:
        raise RefusedModel(f"{path} holds {unknown_members[0][:100]!r}, which no exported model does")
    # Programs differ in which of the two they read, so that one might be inspected and the other used.
    if duplicates := [name for name, count in counts.items() if count > 1]:
        raise RefusedModel(f"{path} holds {duplicates[0]} more than once")
    if missing := [name for name in _NEEDED if name not in counts]:
        raise RefusedModel(f"{path} is not an exported model: it holds no {missing[0]}")
    # The upper half of the attributes is the mode on Unix; a link could lead anywhere.
    if not_files := [m.filename for m in members if stat.S_IFMT(m.external_attr >> 16) not in (0, stat.S_IFREG)]:
        raise RefusedModel(f"{path} holds {not_files[0]} as something else than a file")


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    """Return a member's bytes; zipfile reads no more of them than its header says, and verifies their checksum."""
    grows = member.file_size > _SMALL_BYTES and member.file_size > _MAX_GROWTH * max(member.compress_size, 1)
    if member.file_size > MEMBERS[member.filename] or grows:
        raise RefusedModel(f"{path} holds a {member.filename} of {member.file_size:,} bytes, which is not plausible")
    return archive.read(member)


def _verified_card(files: dict[str, bytes], catalog: Catalog, path: Path) -> Card:
    """Return the card, which must match the artifact and the module beside it."""
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
        actual = sha256_of(files[name]) if name in files else None
        if actual != expected:
            raise RefusedModel(f"{path}: {name} was altered: its SHA-256 is {actual}, the card says {expected}")
    return card


def _check_trust(files: dict[str, bytes], card: Card, trust: Sequence[str], path: Path) -> None:
    """Refuse what needs more trust than was given: types in the artifact or named by the card, and a module."""
    if EVERYTHING in trust:
        return
    if MODULE_FILE in files:
        raise RefusedModel(f"{path} holds a module, which is a program: add --trust if you know who made the file")
    content = files[ARTIFACT_FILE]
    # The card's list too: a worker passes it to skops as trusted.
    named = set(_untrusted(content, path)) | set(card.trusted) - set(trusted_types.known_safe(content))
    unknown = sorted(named - set(trust))
    if unknown:
        options = " ".join(f"--trust {name}" for name in unknown)
        raise RefusedModel(f"{path} holds types that are not known to be safe; if you know them, add: {options}")


def _untrusted(content: bytes, path: Path) -> list[str]:
    """Return the types in an artifact that are not known to be safe, without loading any of them."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise RefusedModel(f"{path}: {ARTIFACT_FILE} is not a skops file: {error}") from error
    # The artifact is a zip itself, whose growth ``_unpacked`` has not seen.
    if unpacked > _MAX_GROWTH * len(content) + _SMALL_BYTES:
        raise RefusedModel(f"{path}: {ARTIFACT_FILE} grows to {unpacked:,} bytes, which is not plausible")
    try:
        return list(trusted_types.untrusted(content))
    except Exception as error:
        raise RefusedModel(f"{path}: {ARTIFACT_FILE} is not a skops file: {error}") from error


def _check_same_version(catalog: Catalog, card: Card) -> None:
    """Refuse to replace a version, which jobs may have used, with another one of the same name."""
    try:
        here = catalog.card(card.name, card.version)
    except UnknownModel:
        return
    except BrokenModel:
        return  # importing it again repairs it
    if here != card:
        raise RefusedModel(f"{card.name} {card.version} is here already, and is another one; remove it first")


def _decode_schema(content: bytes | None, path: Path) -> str | None:
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError as error:
        raise RefusedModel(f"{path}: {SCHEMA_FILE} is not UTF-8") from error
