"""Which types in a skops archive are known to be safe, beyond those that skops itself trusts.

A type is trusted only in the form in which skops stores it (its *loader*), never by name alone: a name that is trusted
as an object, whose state is set, must not be called with arguments from the file. What is trusted this way

- holds data: estimators, kernels, splitters, losses and the like, whose constructors and states do nothing by
  themselves;
- is a function that computes from arrays and touches nothing else;
- is an array of indices that C code follows unchecked (trees, neighbour searches, sparse matrices): these are trusted
  because ``model.integrity`` checks them once they are loaded;
- is a booster of XGBoost, LightGBM or CatBoost, whose state is that library's own model format, read by its parser.
"""

import importlib
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import skops.io

SCHEMA_FILE = "schema.json"

OBJECT, DICT, TYPE, FUNCTION = "ObjectNode", "DictNode", "TypeNode", "FunctionNode"
DATA_LOADERS = {OBJECT, DICT, TYPE}
"""These make an instance without calling its constructor, or with a mapping, or only name a type."""

FIXED = {
    "builtins.NoneType": {TYPE},
    "collections.OrderedDict": {DICT, TYPE},
    "functools.partial": {"PartialNode"},
    "numpy.dtype": {"DTypeNode"},
    "scipy._lib.array_api_compat.numpy._aliases.asarray": {FUNCTION},
    "scipy.interpolate._bsplines.BSpline": {OBJECT},
    "sklearn.tree._tree.Tree": {"TreeNode"},
    "sklearn.utils._bunch.Bunch": {DICT},
    "sklearn.compose._column_transformer.make_column_selector": {OBJECT},
    "sklearn.impute._iterative._ImputerTriplet": {"TupleNode", OBJECT, TYPE},
    "sklearn.utils.validation.check_array": {FUNCTION},
    "sklearn.cluster._kmeans._kmeans_single_lloyd": {FUNCTION},
    "sklearn.cluster._kmeans._kmeans_single_elkan": {FUNCTION},
    "imblearn.utils._validation.ArraysTransformer": {OBJECT},
}
"""Single types and functions, with the loaders in which each is trusted."""

HOLDERS = (
    "sklearn._loss.link",
    "sklearn._loss.loss",
    "sklearn.calibration",
    "sklearn.cluster._bisect_k_means",
    "sklearn.ensemble._hist_gradient_boosting.binning",
    "sklearn.ensemble._hist_gradient_boosting.predictor",
    "sklearn.gaussian_process._gpc",
    "sklearn.gaussian_process.kernels",
    "sklearn.metrics._dist_metrics",
    "sklearn.metrics._scorer",
    "sklearn.model_selection._split",
    "sklearn.multiclass",
    "sklearn.neighbors._ball_tree",
    "sklearn.neighbors._kd_tree",
    "sklearn.neural_network._stochastic_optimizers",
    "sklearn.utils._metadata_requests",
)
"""Modules whose own classes all hold data."""

SPARSE = ("csr_matrix", "csc_matrix", "coo_matrix", "csr_array", "csc_array", "coo_array")

NUMPY_FUNCTIONS = (
    "abs", "all", "any", "argmax", "argmin", "around", "asarray", "average", "clip", "cumsum", "diff", "log", "max",
    "mean", "median", "min", "nan_to_num", "nanmax", "nanmean", "nanmedian", "nanmin", "nanstd", "nansum", "nanvar",
    "percentile", "prod", "quantile", "ravel", "reshape", "round", "squeeze", "std", "sum", "transpose", "var", "where",
)  # fmt: skip
"""Functions on arrays that aggregations and function transformers name; skops itself trusts ufuncs."""

FUNCTION_MODULES = ("sklearn.metrics", "sklearn.feature_selection")
"""Modules whose public functions compute scores of arrays."""

BOOSTERS = ("xgboost.core.Booster", "lightgbm.basic.Booster", "catboost.core.CatBoost")

ESTIMATOR_PACKAGES = ("sklearn", "imblearn", "xgboost", "lightgbm", "catboost")

OWN = ("model.native.onnx_model.OnnxClassifier", "model.native.onnx_model.OnnxRegressor")

EXTRAS = {
    "xgboost": "requirements-boosters.txt",
    "lightgbm": "requirements-boosters.txt",
    "catboost": "requirements-boosters.txt",
    "imblearn": "requirements-boosters.txt",
    "onnxruntime": "requirements-onnx.txt",
}
"""Optional libraries, and the requirements file that installs each."""


def untrusted(content: bytes) -> tuple[str, ...]:
    """Return the sorted names in a skops archive that are not known to be safe; raise what skops raises."""
    schema = schema_of(content)
    return tuple(sorted(set(skops.io.get_untrusted_types(data=content)) - set(_safe_names(schema))))


def known_safe(content: bytes) -> tuple[str, ...]:
    """Return the names in a skops archive that are known to be safe here, whether or not skops trusts them."""
    return tuple(sorted(_safe_names(schema_of(content))))


def schema_of(content: bytes) -> Any:
    """Return the JSON tree that describes a skops archive; raise BadZipFile, KeyError or ValueError."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return json.loads(archive.read(SCHEMA_FILE))


def nodes_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a schema: the mappings that name a loader, a module and a class or function."""
    pending = [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if isinstance(part.get("__loader__"), str):
                yield part
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)


def missing_library(content: bytes) -> str | None:
    """Return the first library that an archive names and that is not installed here, or None."""
    roots = {str(node.get("__module__")).partition(".")[0] for node in nodes_of(schema_of(content))}
    return next(
        (root for root in sorted(roots) if root not in {"", "None", "__main__"} and not _is_installed(root)), None
    )


def needs(library: str) -> str:
    """Return the clause that says of a file that it needs a library that is missing."""
    return f"needs {library}, which is not installed here; {how_to_install(library)}"


def how_to_install(library: str) -> str:
    """Return what to do about a library that is missing."""
    if library in EXTRAS:
        return f"install it with: pip install -r {EXTRAS[library]}"
    return f"if it is a file of your own, give it with --module {library}.py; else install it here and for the workers"


def _safe_names(schema: Any) -> set[str]:
    loaders = defaultdict(set)
    for node in nodes_of(schema):
        loaders[f"{node.get('__module__')}.{node.get('__class__')}"].add(node["__loader__"])
    # skops trusts by name alone, so that a name must be safe in every form in which the file uses it.
    return {name for name, forms in loaders.items() if all(_is_safe(name, form) for form in forms)}


def _is_safe(name: str, loader: str) -> bool:
    if name in FIXED:
        return loader in FIXED[name]
    module, _, attribute = name.rpartition(".")
    if loader == "SparseMatrixNode":
        return module.startswith("scipy.sparse.") and attribute in SPARSE
    if loader == FUNCTION:
        return name in _functions()
    return loader in DATA_LOADERS and _holds_data(name, loader)


def _holds_data(name: str, loader: str) -> bool:
    module, _, attribute = name.rpartition(".")
    if name in OWN or name in BOOSTERS:
        return loader == OBJECT
    if module in HOLDERS:
        return _own_class(module, attribute) is not None
    return loader != DICT and _is_estimator(module, attribute)


def _is_estimator(module: str, attribute: str) -> bool:
    """Return whether a class is an estimator or a sampler of a known library, defined in that module."""
    if module.partition(".")[0] not in ESTIMATOR_PACKAGES or {"tests", "conftest", "testing"} & set(module.split(".")):
        return False
    cls = _own_class(module, attribute)
    bases = {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__} if cls else set()
    return bool(bases & {"sklearn.base.BaseEstimator", "catboost.core.CatBoost"})


def _own_class(module: str, attribute: str) -> type | None:
    """Return a class by name if an installed library defines it in that module."""
    if not _is_installed(module.partition(".")[0]):
        return None
    try:
        cls = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return None
    return cls if isinstance(cls, type) and _is_defined_in(cls, module) else None


def _is_defined_in(cls: type, module: str) -> bool:
    # Cython omits the package of some modules.
    return module == cls.__module__ or module.endswith(f".{cls.__module__}")


def _is_installed(package: str) -> bool:
    if sys.modules.get(package) is not None:
        return True
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


@cache
def _functions() -> frozenset[str]:
    names = {f"numpy.{name}" for name in NUMPY_FUNCTIONS}
    for module in map(importlib.import_module, FUNCTION_MODULES):
        members = [getattr(module, name) for name in module.__all__]
        names |= {f"{member.__module__}.{member.__name__}" for member in members if _is_function(member)}
    return frozenset(names)


def _is_function(member: Any) -> bool:
    return callable(member) and not isinstance(member, type) and hasattr(member, "__module__")
