"""Fitted pipelines as files: skops archives, the same bytes for the same pipeline, verified before they are read."""

import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import skops.io
from sklearn.exceptions import InconsistentVersionWarning
from skops.io.exceptions import UntrustedTypesFoundException

from model.errors import BrokenModel
from model.files import place_of, sha256_of, write_atomically

SCHEMA_FILE = "schema.json"
# What fitted splines and imputers consist of and skops does not trust by itself: plain data and an array function.
TRUSTED = (
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
)
# The oldest date a zip archive can hold: a time stamp would make every artifact, and so every version, differ.
FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def save(pipeline: Any, path: Path) -> str:
    """Write a fitted pipeline to `path`, atomically, and return the SHA-256 of the file (64 hex digits)."""
    content = dumps(pipeline)
    write_atomically(path, content)
    return sha256_of(content)


def dumps(pipeline: Any) -> bytes:
    """Return a fitted pipeline as a skops archive, the same bytes each time."""
    return _reproducible(skops.io.dumps(pipeline))


def load(path: Path, sha256: str, trusted: Sequence[str] = ()) -> Any:
    """Return the fitted pipeline in `path`; never unpickles.

    Raises BrokenModel where the file is missing, is not the one with checksum `sha256`, holds types that neither skops
    nor `TRUSTED` nor `trusted` names as safe, or was written by another scikit-learn version.
    """
    return loads(_verified(path, sha256), path, trusted)


def loads(content: bytes, path: Path, trusted: Sequence[str] = ()) -> Any:
    """Return the fitted pipeline in `content`, which was read from `path`; raises as `load` does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            return skops.io.loads(content, trusted=[*TRUSTED, *trusted])
    except UntrustedTypesFoundException as error:
        raise BrokenModel(f"{place_of(path)} holds types that are not safe to load: {error}") from error
    except InconsistentVersionWarning as error:
        made_by = error.original_sklearn_version
        detail = f"was made by scikit-learn {made_by}, not by the one here; train it again"
        raise BrokenModel(f"{place_of(path)} {detail}") from error
    except Exception as error:
        raise BrokenModel(f"{place_of(path)} is not a skops artifact that can be loaded: {error}") from error


def _verified(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokenModel(f"the artifact {place_of(path)} cannot be read: {error.strerror}") from error
    found = sha256_of(content)
    if found != sha256:
        raise BrokenModel(f"the artifact {place_of(path)} was altered: its SHA-256 is {found}, its card says {sha256}")
    return content


def _reproducible(archive: bytes) -> bytes:
    """Return a skops archive with its memory addresses replaced by running numbers and its dates fixed."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    renumbering = _Renumbering()
    schema = renumbering.of(json.loads(members.pop(SCHEMA_FILE)))
    members = {renumbering.files[name]: content for name, content in members.items()}
    members[SCHEMA_FILE] = json.dumps(schema, separators=(",", ":")).encode()
    return _zipped(members)


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(members):
            target.writestr(zipfile.ZipInfo(name, FIXED_DATE), members[name])
    return buffer.getvalue()


class _Renumbering:
    """Numbers objects (`__id__`) and files in the order in which the schema names them; skops uses `id()`."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self._ids: dict[int, int] = {}

    def of(self, node: Any) -> Any:
        """Return a copy of a JSON tree with every id and file name replaced."""
        if isinstance(node, list):
            return [self.of(child) for child in node]
        if isinstance(node, dict):
            return {key: self._member(key, child) for key, child in node.items()}
        return node

    def _member(self, key: str, child: Any) -> Any:
        if key == "__id__":
            return self._ids.setdefault(child, len(self._ids))
        if key == "file":
            suffix = Path(child).suffix
            return self.files.setdefault(child, f"{len(self.files)}{suffix}")
        return self.of(child)
