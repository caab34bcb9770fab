"""Load a fitted pipeline from whatever file holds it: the estimator, and the bytes from which workers will load it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from sklearn.exceptions import InconsistentVersionWarning

from model import artifact, trusted_types
from model.custom_module import PREFIX, check_in_child, import_module, module_name
from model.errors import BrokenModel, RefusedModel
from model.integrity import Unsound
from model.native import boosters
from model.native.onnx_model import from_onnx
from model.native.tree_checks import check_archive
from model.onboarding import formats
from model.onboarding.bundles import unpack_bundle
from model.onboarding.estimators import check_model
from model.onboarding.formats import Format
from model.onboarding.mlflow_folder import is_mlflow, read_folder
from model.onboarding.pickles import MODULE_ADVICE, RISK, unpickle
from model.onboarding.unstorable import unstorable_part
from model.onboarding.versions import MOVED, check_silent_changes, check_version
from model.trust import EVERYTHING

# Similar estimators, for those that skops cannot store.
_REPLACEMENTS = {"Birch": "KMeans or MiniBatchKMeans"}


@dataclass(frozen=True)
class LoadedPipeline:
    """A fitted pipeline, and what its file says about it.

    ``pipeline`` is the estimator as given; ``content`` the skops archive that workers load, the same bytes for the same
    pipeline; ``trusted`` the types in it beyond those always trusted; ``module`` the source of its Python module. Where
    the file tells them, ``features`` are the names of its columns in order, ``dtypes`` their pandas dtypes (for those
    in an MLflow signature), and ``classes`` the names of its classes in order. ``notes`` are for the user; ``format``
    is that of the file.
    """

    pipeline: Any
    content: bytes
    trusted: tuple[str, ...] = ()
    module: bytes | None = None
    features: tuple[str, ...] | None = None
    dtypes: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    format: str = Format.SKOPS.value


@dataclass(frozen=True)
class _Source:
    """A file, and what may be trusted in reading it."""

    path: Path
    trust: Sequence[str]
    module: bytes | None
    module_path: Path | None
    trust_version: bool

    @property
    def trusts_everything(self) -> bool:
        return EVERYTHING in self.trust

    @property
    def module_names(self) -> dict[str, str]:
        """The names by which a file may refer to modules, and those under which they are imported."""
        if self.module is None or self.module_path is None:
            return MOVED
        return MOVED | dict.fromkeys(("__main__", self.module_path.stem), module_name(self.module))


def load_pipeline(
    path: Path,
    trust: Sequence[str] = (),
    *,
    module: Path | None = None,
    key: str | None = None,
    trust_version: bool = False,
) -> LoadedPipeline:
    """Read the fitted pipeline in a file, whose format is told by its content, or in an MLflow model's folder.

    ``trust`` names types, or EVERYTHING. ``module`` is a Python file with the pipeline's own classes and functions,
    ``key`` the entry of a dictionary that is the model; ``trust_version`` accepts another scikit-learn version.

    Raise RefusedModel, in one line that says what to do, where it cannot be read, needs trust that was not given, or is
    not one fitted model that predicts.
    """
    if str(path).startswith(("models:/", "runs:/")):
        raise RefusedModel(f"{path} is an MLflow address; give the folder of the model, the one with the file MLmodel")
    if path.is_dir():
        if not is_mlflow(path):
            raise formats.folder_refusal(path)
        folder_model = read_folder(path)
        loaded = load_pipeline(folder_model.file, trust, module=module, key=key, trust_version=trust_version)
        features = folder_model.features or loaded.features
        notes = (*folder_model.notes, *loaded.notes)
        return replace(
            loaded, features=features, dtypes=folder_model.dtypes, notes=notes, format=f"mlflow {loaded.format}"
        )
    if not path.is_file():
        raise RefusedModel(f"there is no file {path}")
    return _from_file(_Source(path, trust, _read_module(module, trust), module, trust_version), key)


def _from_file(source: _Source, key: str | None) -> LoadedPipeline:
    content = formats.read(source.path)
    file_format = formats.format_of(content, source.path)
    bundle = unpack_bundle(_READERS[file_format](content, source), source.path, key)
    estimator = _read_native(lambda: boosters.estimator_of(bundle.model), source.path)
    check_model(estimator, source.path)
    # Whatever the file was, workers only ever load this archive.
    archive = _archive(estimator, source)
    trusted = _types_to_trust(archive, source, file_format)
    _check_loads(archive, source, trusted)
    return LoadedPipeline(
        pipeline=estimator,
        content=archive,
        trusted=trusted,
        module=source.module,
        features=bundle.features or boosters.feature_names(estimator) or _fitted_names(estimator),
        classes=bundle.classes,
        notes=tuple(bundle.notes),
        format=file_format.value,
    )


def _fitted_names(estimator: Any) -> tuple[str, ...] | None:
    """Return the names of an ONNX model's inputs; a pipeline's own are found by inspecting it."""
    if not type(estimator).__module__.startswith("model.native."):
        return None
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(map(str, names))


def _read_module(module: Path | None, trust: Sequence[str]) -> bytes | None:
    """Return the source of a module after importing it, for which trust is needed."""
    if module is None:
        return None
    if EVERYTHING not in trust:
        raise RefusedModel(
            f"{module} is not imported: it can run any program on this machine. Add --trust if you know it"
        )
    try:
        source = module.read_bytes()
    except OSError as error:
        raise RefusedModel(f"the module {module} cannot be read: {error.strerror}") from error
    try:
        check_in_child(source, module.name)
        import_module(source, module.name)
    except BrokenModel as error:
        raise RefusedModel(f"{error}; install what it needs here and for the workers, or correct it") from error
    return source


def _import_module(source: _Source) -> ModuleType | None:
    return None if source.module is None else import_module(source.module)


def _read_pickle(content: bytes, source: _Source) -> Any:
    if not source.trusts_everything:
        raise RefusedModel(f"{source.path} is not read: {RISK}")
    return unpickle(content, source.path, _import_module(source), source.trust_version)


def _read_skops(content: bytes, source: _Source) -> Any:
    try:
        content = artifact.canonical(content, source.module_names)
        _refuse_missing_library(content, source)
        _refuse_unknown_names(content, source)
        # skops checks this too; here, the message names the options that would accept the types.
        trusted = _types_to_trust(content, source, Format.SKOPS)
    except RefusedModel:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise RefusedModel(f"{source.path} is not a skops file that can be read: {reason}; save it again") from error
    # Before loading: a booster's library follows the indices in its trees unchecked, and may crash this process.
    _read_native(lambda: check_archive(content), source.path)
    try:
        return artifact.loads(content, source.path, trusted)
    except BrokenModel as error:
        made_by = _made_by(error)
        if made_by is None:
            raise RefusedModel(str(error)) from error
    check_version(made_by, source.path, source.trust_version)
    try:
        # A second time, now that the owner accepts the version: the first attempt stopped at it.
        pipeline = artifact.loads(content, source.path, trusted, other_versions=True)
    except BrokenModel as error:
        raise RefusedModel(f"{error}; it was made by scikit-learn {made_by}: train it again") from error
    check_silent_changes(pipeline, made_by, source.path)
    return pipeline


def _refuse_missing_library(content: bytes, source: _Source) -> None:
    if library := trusted_types.missing_library(content):
        raise RefusedModel(f"{source.path} {trusted_types.needs(library)}")


def _made_by(error: BrokenModel) -> str | None:
    """Return the scikit-learn version for which a file was refused, if that was the reason."""
    cause = error.__cause__
    return str(cause.original_sklearn_version) if isinstance(cause, InconsistentVersionWarning) else None


def _read_native(read: Any, path: Path) -> Any:
    """Return what a library reads from its own format, or raise the refusal that says why it does not."""
    try:
        return read()
    except RefusedModel as error:
        raise RefusedModel(f"{path} cannot be added: {error}") from error
    except Unsound as error:
        raise RefusedModel(f"{path} holds {error}; save the model again") from error
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        raise RefusedModel(f"{path} {trusted_types.needs(library)}") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise RefusedModel(f"{path} cannot be read by its library: {reason}; save it again") from error


def _read_lightgbm(content: bytes, source: _Source) -> Any:
    return _read_native(lambda: boosters.from_lightgbm(content.decode()), source.path)


_READERS: Mapping[Format, Any] = {
    Format.PICKLE: _read_pickle,
    Format.SKOPS: _read_skops,
    Format.XGBOOST: lambda content, source: _read_native(lambda: boosters.from_xgboost(content), source.path),
    Format.LIGHTGBM: _read_lightgbm,
    Format.CATBOOST: lambda content, source: _read_native(lambda: boosters.from_catboost(content), source.path),
    Format.ONNX: lambda content, source: _read_native(lambda: from_onnx(content), source.path),
}


def _archive(estimator: Any, source: _Source) -> bytes:
    """Return the estimator as a skops archive; raise RefusedModel where only pickle can store a part of it."""
    try:
        content = artifact.dumps(estimator, source.module_names)
    except Exception as error:
        if part := unstorable_part(estimator):
            raise RefusedModel(f"{source.path} holds {part}, fit it again and save it") from error
        reason = " ".join(str(error).split())[:200]
        instead = next((f" with {other}" for name, other in _REPLACEMENTS.items() if name in reason), "")
        raise RefusedModel(
            f"{source.path} holds a part that cannot be stored without pickle ({reason.rstrip('.')}); replace that "
            f"part of the pipeline{instead}, fit it again and save it"
        ) from error
    _refuse_unknown_names(content, source)
    return content


def _refuse_unknown_names(content: bytes, source: _Source) -> None:
    """Refuse functions and classes that no module defines: a script's, lambdas, and nested functions."""
    for node in trusted_types.nodes_of(trusted_types.schema_of(content)):
        module, name = str(node.get("__module__")), str(node.get("__class__"))
        if "<lambda>" in name or "<locals>" in name:
            raise RefusedModel(
                f"{source.path} holds a lambda or a function within a function; define it at the top of a Python file, "
                "use that in the pipeline, and give the file with --module"
            )
        if module == "__main__":
            raise RefusedModel(f"{source.path} needs {name!r} of the script that made it (`__main__`); {MODULE_ADVICE}")
        if module.startswith(PREFIX) and not hasattr(_import_module(source), name):
            raise RefusedModel(f"{source.path} needs {name!r}, which the module given with --module does not define")
        if source.module is None and node["__loader__"] == trusted_types.FUNCTION and _is_local(module, name):
            raise RefusedModel(f"{source.path} needs the function {name!r} of {module!r}; {MODULE_ADVICE}")


def _is_local(module: str, name: str) -> bool:
    """Return whether a function that was just stored cannot be found again under its name."""
    return module in sys.modules and not hasattr(sys.modules[module], name)


def _types_to_trust(content: bytes, source: _Source, file_format: Format) -> tuple[str, ...]:
    """Return the types that have to be trusted; raise RefusedModel with the list of those that are not."""
    needed = trusted_types.untrusted(content)
    unknown = [name for name in needed if name not in source.trust and not source.trusts_everything]
    if unknown:
        options = " ".join(f"--trust {name}" for name in unknown)
        raise RefusedModel(f"{source.path} holds types that are not known to be safe; if you know them, add: {options}")
    local = [name for name in needed if source.module is None and _is_elsewhere(name)]
    if local and file_format is not Format.SKOPS:
        raise RefusedModel(f"{source.path} needs {local[0]!r}, which workers do not have; {MODULE_ADVICE}")
    return needed


def _is_elsewhere(name: str) -> bool:
    """Return whether a type is in no installed library, but in a file beside the script that trained the model."""
    root = name.partition(".")[0]
    return root not in packages_distributions() and root not in sys.stdlib_module_names and root != "model"


def _check_loads(content: bytes, source: _Source, trusted: Sequence[str]) -> None:
    """Load the archive once as workers will."""
    try:
        artifact.loads(content, source.path, trusted)
    except BrokenModel as error:
        raise RefusedModel(str(error)) from error
