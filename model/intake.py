"""Pipelines as people bring them: skops archives, or pickles of those whom they trust."""

import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import skops.io
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from model import artifact
from model.errors import BrokenModel, RefusedModel

PICKLES = (".joblib", ".pkl", ".pickle")
EVERYTHING = "everything"
"""What `--trust` stands for without a type: the whole file, whatever it may do."""

RISK = (
    "a pickle can run any program on this machine when it is read, with your rights. Add --trust if you made the file "
    "yourself or know who did; better, have it saved with skops.io.dump"
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A fitted pipeline, its bytes as a skops archive, and the types in it beyond those that are always trusted."""

    pipeline: Any
    content: bytes
    trusted: tuple[str, ...]


def take(path: Path, trust: Sequence[str]) -> Taken:
    """Read a fitted pipeline from `path`; `trust` names types, or EVERYTHING.

    Raises RefusedModel where it cannot be read, needs trust that was not given, is not fitted, or is made by another
    scikit-learn version.
    """
    if not path.is_file():
        raise RefusedModel(f"there is no file {path}")
    if path.suffix.lower() in PICKLES:
        if EVERYTHING not in trust:
            raise RefusedModel(f"{path} is not read: {RISK}")
        content = _archived(_unpickled(path), path)
    else:
        content = path.read_bytes()
    trusted = _trusted(content, path, trust)
    pipeline = _restored(content, path, trusted)
    _check_fitted(pipeline, path)
    return Taken(pipeline, content, trusted)


def _unpickled(path: Path) -> Any:
    """Unpickle a file that its owner trusts. joblib reads plain pickles too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            return joblib.load(path)
    except InconsistentVersionWarning as error:
        made_by = error.original_sklearn_version
        raise RefusedModel(f"{path} was made by scikit-learn {made_by}, not by the one here; train it again") from error
    except ModuleNotFoundError as error:
        raise RefusedModel(f"{path} needs the module {error.name!r}, which is not installed here") from error
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, ValueError, TypeError, KeyError) as error:
        raise RefusedModel(f"{path} is not a pickle that can be read: {error}") from error


def _archived(pipeline: Any, path: Path) -> bytes:
    try:
        return artifact.dumps(pipeline)
    except Exception as error:
        raise RefusedModel(f"{path} holds what cannot be stored without pickle: {error}") from error


def _trusted(content: bytes, path: Path, trust: Sequence[str]) -> tuple[str, ...]:
    """The types that have to be trusted; raises RefusedModel with the list of those that are not."""
    try:
        found = skops.io.get_untrusted_types(data=content)
    except Exception as error:
        raise RefusedModel(f"{path} is not a skops file: {error}") from error
    needed = tuple(sorted(set(found) - set(artifact.TRUSTED)))
    unknown = [name for name in needed if name not in trust and EVERYTHING not in trust]
    if unknown:
        options = " ".join(f"--trust {name}" for name in unknown)
        raise RefusedModel(f"{path} holds types that are not known to be safe; if you know them, add: {options}")
    return needed


def _restored(content: bytes, path: Path, trusted: Sequence[str]) -> Any:
    """The pipeline as the workers will read it."""
    try:
        return artifact.loads(content, path, trusted)
    except BrokenModel as error:
        raise RefusedModel(str(error)) from error


def _check_fitted(pipeline: Any, path: Path) -> None:
    if not hasattr(pipeline, "predict"):
        raise RefusedModel(f"{path} holds a {type(pipeline).__name__}, which does not predict")
    try:
        check_is_fitted(pipeline)
    except (NotFittedError, TypeError) as error:
        raise RefusedModel(f"{path} is not fitted: {error}") from error
