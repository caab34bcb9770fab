"""Read pickles that their owner trusts: plain ones, joblib's, cloudpickle's, with the owner's own classes."""

import io
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from model.errors import RefusedModel
from model.onboarding.versions import MOVED, check_silent_changes, check_version
from model.trusted_types import EXTRAS, how_to_install

RISK = (
    "a pickle can run any program on this machine when it is read, with your rights. Add --trust if you made the file "
    "yourself or know who did; better, have it saved with skops.io.dump"
)
MODULE_ADVICE = "give the Python file that defines it with --module"
_MAX_PACKAGES = 8
_MISSING: dict[str, str] = {
    "statsmodels": "statsmodels results are not supported; refit the model with scikit-learn, which has these families",
    "torch": "PyTorch modules are not supported; export the model to ONNX and add that file",
    "tensorflow": "Keras models are not supported; export the model to ONNX and add that file",
    "keras": "Keras models are not supported; export the model to ONNX and add that file",
    "pyspark": "Spark models are not supported; export the model to ONNX and add that file",
}


def unpickle(content: bytes, path: Path, module: ModuleType | None, trust_version: bool) -> Any:
    """Return what a pickle holds, for a file ``path`` that its owner trusts; its code runs here.

    Classes and functions of ``__main__``, and of modules that are not installed, are looked up in ``module``.

    Raise RefusedModel whatever happens, even if the pickle exits the program.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            # The first part of another version ends this attempt: only its warning tells which version that is.
            return _load(content, module)
    except InconsistentVersionWarning as warning:
        made_by = warning.original_sklearn_version
        check_version(made_by, path, trust_version)
    except BaseException as error:
        raise _refusal(error, path, module) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            pipeline = _load(content, module)
    except BaseException as error:
        detail = " ".join(str(error).split())[:200]
        message = f"{path}, made by scikit-learn {made_by}, cannot be read by the one here; train it again ({detail})"
        raise RefusedModel(message) from error
    check_silent_changes(pipeline, made_by, path)
    return pipeline


def _load(content: bytes, module: ModuleType | None) -> Any:
    known = {name: import_module(target) for name, target in MOVED.items()}
    if module is not None:
        known["__main__"] = module
    # Each attempt finds one missing package.
    for _ in range(_MAX_PACKAGES):
        with _aliased_modules(known):
            try:
                return joblib.load(io.BytesIO(content))
            except ModuleNotFoundError as error:
                if module is None or error.name is None or error.name in known:
                    raise
                # A package that is not installed here: look for its classes in the module.
                known[error.name] = module
    raise ModuleNotFoundError("it needs too many modules")


@contextmanager
def _aliased_modules(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Make modules available under other names while a pickle is read."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                # Nobody else may find the owner's module under the name of a package that is not installed.
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def _refusal(error: BaseException, path: Path, module: ModuleType | None) -> RefusedModel:
    """Return what a failed attempt means, in one line."""
    if isinstance(error, RefusedModel):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name:
        return RefusedModel(f"{path} needs {_missing_module(error.name, module)}")
    if isinstance(error, AttributeError):
        return RefusedModel(f"{path} {_missing_name(error, module)}")
    if isinstance(error, SystemExit):
        return RefusedModel(
            f"{path} ends the program when it is read (exit status {error.code}); it is not just a model"
        )
    if isinstance(error, KeyboardInterrupt):
        return RefusedModel(f"reading {path} was interrupted")
    return RefusedModel(f"{path} is not a pickle that can be read here: {_one_line(error)}; save it with skops.io.dump")


def _missing_module(name: str, module: ModuleType | None) -> str:
    root = name.partition(".")[0]
    if root in _MISSING:
        return f"{root}, which is not installed here; {_MISSING[root]}"
    if root in {"sklearn", "numpy", "scipy", "pandas"}:
        return f"{name}, which is not in the {root} here; train it again with that"
    how = how_to_install(root) if root in EXTRAS or module is None else "install it here and for the workers"
    return f"the module {name!r}, which is not installed here; {how}"


def _missing_name(error: AttributeError, module: ModuleType | None) -> str:
    if "module 'sklearn." in str(error):
        return "holds a part of scikit-learn that is not in the version here, so another one made it; train it again"
    if module is not None:
        return f"needs {error.name!r}, which the module given with --module does not define"
    if "__main__" in str(error) + repr(getattr(error, "obj", "")):
        return f"needs {error.name or str(error)!r} of the script that made it (`__main__`); {MODULE_ADVICE}"
    return f"is not a pickle that can be read here: {_one_line(error)}; save it with skops.io.dump"


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
