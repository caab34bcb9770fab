"""Store fitted pipelines as skops archives: the same bytes for the same pipeline, verified before they are read."""

import io
import json
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.exceptions import InconsistentVersionWarning
from skops.io.exceptions import UntrustedTypesFoundException

from model import integrity, trusted_types
from model.custom_module import import_module, verified
from model.errors import BrokenModel
from model.files import place_of, sha256_of, write_atomically
from model.trusted_types import SCHEMA_FILE, nodes_of

# The oldest date that a zip archive can hold: with the time of writing, each artifact would be another version.
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
# Bytes in which the header of an ``.npy`` file is looked for.
_HEADER = 4096
# Nodes of values: whether two places share one object or hold equal ones depends on how the pipeline was made.
_VALUES = {"JsonNode", "TypeNode", "FunctionNode", "BytesNode"}


def save(pipeline: Any, path: Path) -> str:
    """Write a fitted pipeline to ``path``, atomically, and return the SHA-256 of the file (64 hex digits)."""
    content = dumps(pipeline)
    write_atomically(path, content)
    return sha256_of(content)


def dumps(pipeline: Any, modules: Mapping[str, str] | None = None) -> bytes:
    """Return a fitted pipeline as a skops archive, the same bytes each time.

    ``modules`` maps names of modules to those by which the archive refers to their classes and functions.
    """
    return canonical(skops.io.dumps(pipeline), modules)


def load(
    path: Path, sha256: str, trusted: Sequence[str] = (), module: Path | None = None, module_sha256: str | None = None
) -> Any:
    """Return the fitted pipeline in ``path``; never unpickle.

    ``module``, with the checksum ``module_sha256``, is the Python module that the pipeline needs (None: it needs none).

    Raise BrokenModel where a file is missing or does not have its checksum, where the archive holds types that neither
    skops nor ``trusted_types`` nor ``trusted`` names as safe, or indices out of bounds, where another scikit-learn
    version wrote it, or where a library that it needs is not installed.
    """
    content = _verified(path, sha256)
    if module is not None and module_sha256 is not None:
        # Before the archive, which refers to the module's classes by the name under which it is imported here.
        import_module(verified(_read(module), module_sha256), place_of(module))
    return loads(content, path, trusted)


def loads(content: bytes, path: Path, trusted: Sequence[str] = (), other_versions: bool = False) -> Any:
    """Return the fitted pipeline in ``content``, which was read from ``path``; raise as ``load`` does.

    ``other_versions`` accepts archives that another scikit-learn version has written.
    """
    try:
        _check_libraries(content, path)
        safe = trusted_types.known_safe(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if other_versions else "error", InconsistentVersionWarning)
            # Only trusted types are made. What their C code would follow is checked before anything predicts.
            pipeline = skops.io.loads(content, trusted=[*safe, *trusted])
        integrity.check(pipeline)
    except BrokenModel:
        raise
    except UntrustedTypesFoundException as error:
        raise BrokenModel(f"{place_of(path)} holds types that are not safe to load: {error}") from error
    except InconsistentVersionWarning as error:
        made_by = error.original_sklearn_version
        detail = f"was made by scikit-learn {made_by}, not by the one here; train it again"
        raise BrokenModel(f"{place_of(path)} {detail}") from error
    except Exception as error:
        raise BrokenModel(f"{place_of(path)} is not a skops artifact that can be loaded: {error}") from error
    return pipeline


def _check_libraries(content: bytes, path: Path) -> None:
    if library := trusted_types.missing_library(content):
        raise BrokenModel(f"{place_of(path)} {trusted_types.needs(library)}")


def canonical(archive: bytes, modules: Mapping[str, str] | None = None) -> bytes:
    """Return a skops archive in its canonical form: no addresses, no dates, sets sorted, ``modules`` renamed."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(members.pop(SCHEMA_FILE))
    renumbering = _Renumbering(_shared_ids(schema), modules or {})
    schema = renumbering.of(schema)
    # Only members that the schema names: nothing else is ever loaded.
    members = {renumbering.files[name]: _zero_gaps(name, members[name]) for name in renumbering.files}
    members[SCHEMA_FILE] = json.dumps(schema, separators=(",", ":")).encode()
    return _zip(members)


def _verified(path: Path, sha256: str) -> bytes:
    content = _read(path)
    actual = sha256_of(content)
    if actual != sha256:
        raise BrokenModel(f"the artifact {place_of(path)} was altered: its SHA-256 is {actual}, its card says {sha256}")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BrokenModel(f"the artifact {place_of(path)} cannot be read: {error.strerror}") from error


def _zero_gaps(name: str, content: bytes) -> bytes:
    """Return an array whose records, such as a tree's nodes, have zeros in the gaps between their fields."""
    # The header names the dtype: most arrays need not be loaded.
    if not name.endswith(".npy") or b"|V" not in content[:_HEADER]:
        return content
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None or array.ndim != 1:
        return content
    # Not zeros_like, which leaves the gaps uninitialised.
    zeroed = np.zeros(array.shape, array.dtype)
    for field in array.dtype.names:
        zeroed[field] = array[field]
    # As bytes: ``np.save`` copies records field by field into a buffer of its own, whose gaps are arbitrary again.
    return content[: len(content) - array.nbytes] + zeroed.view(np.uint8).tobytes()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # Uncompressed, so that the bytes do not depend on a version of zlib.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(members):
            target.writestr(zipfile.ZipInfo(name, FIXED_DATE), members[name])
    return buffer.getvalue()


def _shared_ids(schema: Any) -> set[int]:
    """Return the ids of objects that occur in more than one place; no others, and no values, need an id."""
    counts = Counter(node.get("__id__") for node in nodes_of(schema) if node["__loader__"] not in _VALUES)
    return {number for number, count in counts.items() if number is not None and count > 1}


class _Renumbering:
    """Numbers shared objects and files in the order in which the schema names them; skops uses ``id()``."""

    def __init__(self, shared: set[int], modules: Mapping[str, str]) -> None:
        self.files: dict[str, str] = {}
        self._shared_ids = shared
        self._modules = modules
        self._ids: dict[int, int] = {}

    def of(self, node: Any) -> Any:
        """Return a copy of a JSON tree with ids, file names and names of modules replaced."""
        if isinstance(node, list):
            return [self.of(child) for child in node]
        if not isinstance(node, dict):
            return node
        if not isinstance(node.get("__loader__"), str):
            return {key: self.of(child) for key, child in node.items()}
        kept = {key: child for key, child in node.items() if key != "__id__" or self._is_shared(node)}
        # The order of a set of texts differs between processes, since Python salts their hashes.
        if node["__loader__"] == "SetNode":
            kept["content"] = sorted(node["content"], key=_sort_key)
        return {key: self._member(key, child) for key, child in kept.items()}

    def _is_shared(self, node: dict[str, Any]) -> bool:
        return node["__loader__"] not in _VALUES and node["__id__"] in self._shared_ids

    def _member(self, key: str, child: Any) -> Any:
        if key == "__id__":
            # From 1: to skops, 0 means no id.
            return self._ids.setdefault(child, len(self._ids) + 1)
        if key == "__module__":
            return self._modules.get(child, child)
        if key == "file":
            suffix = Path(child).suffix
            return self.files.setdefault(child, f"{len(self.files)}{suffix}")
        return self.of(child)


def _sort_key(node: Any) -> str:
    """Return a text by which the members of a set are sorted: their own order differs between processes."""
    return json.dumps([node.get("__class__"), node.get("content")], sort_keys=True, default=str)
