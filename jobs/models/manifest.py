"""What a version of a model consists of: the names, sizes and checksums of its files. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from jobs.errors import SharingRefused
from jobs.settings import MIB

CARD_FILE, MODULE_FILE = "card.json", "module.py"
FILES = (CARD_FILE, "model.skops", "schema.toml", MODULE_FILE)
"""The files that a version may have."""
EVERYTHING = "everything"
FOLDER = "models/"
"""The folder of all models in the storage."""
BLOCK_BYTES = 8 * MIB
"""Files are stored in blocks of so many bytes."""
_SLASHES_WITH_ATTEMPT = "models/name/version/attempt/sha256/number".count("/")
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file of a version: its size in bytes and its SHA-256, which also names its bytes in the storage."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the description of a file with this content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of one version of a model, and the version of scikit-learn that made it.

    ``attempt`` names the attempt at publishing it that succeeded: each has objects of its own, so that what is left of
    others can be deleted. It is empty for what versions without it have published.
    """

    name: str
    version: str
    files: Mapping[str, SharedFile]
    library: str = ""
    attempt: str = ""

    @classmethod
    def of(cls, name: str, version: str, contents: Mapping[str, bytes]) -> Self:
        """Return the manifest of a version with these files."""
        files = {file: SharedFile.of(content) for file, content in contents.items()}
        library = card_member(contents, "libraries", {}).get("scikit-learn", "")
        return cls(check_name(name), check_name(version), files, str(library))

    def encode(self) -> bytes:
        """Encode as JSON."""
        files = {name: [file.size, file.sha256] for name, file in self.files.items()}
        document = {"files": files, "library": self.library, **({"attempt": self.attempt} if self.attempt else {})}
        return json.dumps(document, sort_keys=True).encode()

    @classmethod
    def decode(cls, name: str, version: str, stored: bytes) -> Self:
        """Decode what ``encode`` returned; raise ``SharingRefused`` where it names what no version has."""
        document = json.loads(stored)
        files = {file: SharedFile(int(size), str(sha256)) for file, (size, sha256) in document["files"].items()}
        if not {CARD_FILE} <= set(files) <= set(FILES):
            raise SharingRefused(f"{name} {version} in the store has files that no version of a model has")
        if not all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in files.values()):
            raise SharingRefused(f"{name} {version} in the store has an invalid checksum")
        attempt = check_name(str(document["attempt"])) if "attempt" in document else ""
        return cls(check_name(name), check_name(version), files, str(document.get("library", "")), attempt)

    @property
    def folder(self) -> str:
        """The folder of the version's objects in the storage."""
        within = f"{FOLDER}{self.name}/{self.version}/"
        return f"{within}{self.attempt}/" if self.attempt else within

    def blocks(self, name: str) -> list[str]:
        """Return the keys of the blocks of a file, in order."""
        file = self.files[name]
        # Named by their content: of two hosts that publish one version with different cards, neither harms the other.
        return [f"{self.folder}{file.sha256}/{number}" for number in range(-(-max(file.size, 1) // BLOCK_BYTES))]

    def all_blocks(self) -> list[str]:
        """Return the keys of the blocks of all files."""
        return [block for name in self.files for block in self.blocks(name)]


def folder_of(block: str) -> str:
    """Return the folder of the attempt that wrote a block."""
    return "/".join(block.split("/")[:4]) + "/"


def is_of_attempt(block: str) -> bool:
    """Return whether an attempt wrote a block, rather than code from before there were any."""
    return block.count("/") == _SLASHES_WITH_ATTEMPT


def check_name(name: str) -> str:
    """Return the name of a model or a version; raise ``SharingRefused`` where it could lead out of a folder."""
    if not _SAFE.fullmatch(name):
        raise SharingRefused(f"{name[:100]!r} is no name of a model or a version")
    return name


def card_member(contents: Mapping[str, bytes], member: str, default: Any) -> Any:
    """Return a member of the card among the files of a version."""
    try:
        card = json.loads(contents[CARD_FILE])
    except (KeyError, ValueError) as error:
        raise SharingRefused("the version has no card that can be read") from error
    return card.get(member) or default


def check_trust(manifest: Manifest, contents: Mapping[str, bytes], trusted: frozenset[str]) -> None:
    """Check that this host trusts whatever a version needs beyond the types that are always trusted.

    What the card names is all that a worker would trust besides these: an artifact with more is refused when it is
    loaded.

    Raises:
        SharingRefused: with the setting to change.
    """
    if EVERYTHING in trusted:
        return
    needed = set(map(str, card_member(contents, "trusted", [])))
    if MODULE_FILE in manifest.files:
        needed.add(manifest.files[MODULE_FILE].sha256)
    if unknown := sorted(needed - trusted):
        names = ", ".join(unknown)
        what = "a module, which is a program, or types" if MODULE_FILE in manifest.files else "types"
        raise SharingRefused(
            f"{manifest.name} {manifest.version} needs {what} that this host does not trust; if you know who made it, "
            f"add to SCORELINE_TRUSTED_TYPES: {names}"
        )


def is_newer(library: str, other: str) -> bool:
    """Return whether one version of a library is newer than another."""
    return _numbers(library) > _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
