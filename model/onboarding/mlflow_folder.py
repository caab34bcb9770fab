"""MLflow models: read the folder's description and the one file that holds the model, without MLflow's own loader.

The layout is that of MLflow's documentation (mlflow.org/docs/latest/ml/model): a YAML file ``MLmodel`` with a flavor
for each way of loading the model and, usually, a signature with the names and types of the inputs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from model.errors import RefusedModel

DESCRIPTION = "MLmodel"
_FLAVORS = {"sklearn": "pickled_model", "xgboost": "data", "lightgbm": "data", "catboost": "data", "onnx": "data"}
"""Supported flavors, and the key under which each names its file."""

_DTYPES = {
    "double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool", "string": "str",
    "datetime": "datetime64[ns]",
}  # fmt: skip


@dataclass(frozen=True)
class MlflowModel:
    """The file that holds the model, and the names and pandas dtypes of the inputs in its signature."""

    file: Path
    features: tuple[str, ...] | None
    dtypes: Mapping[str, str]
    notes: tuple[str, ...]


def is_mlflow(folder: Path) -> bool:
    """Return whether a folder holds an MLflow model."""
    return (folder / DESCRIPTION).is_file()


def read_folder(folder: Path) -> MlflowModel:
    """Return what an MLflow model's folder says; raise RefusedModel where it holds no supported model."""
    description = _read_description(folder)
    flavors = description.get("flavors")
    flavors = flavors if isinstance(flavors, dict) else {}
    flavor = next((name for name in _FLAVORS if isinstance(flavors.get(name), dict)), None)
    if flavor is None:
        # Nearly every model has the flavor ``python_function`` too, which does not say what kind of model it is.
        available = ", ".join(str(name) for name in flavors if name != "python_function") or "python_function alone"
        raise RefusedModel(
            f"{folder} is an MLflow model of {available}; sklearn, xgboost, lightgbm, catboost and onnx are "
            "supported; log it as one of these (others can mostly be exported to ONNX)"
        )
    file = _file(folder, flavor, flavors[flavor])
    features, dtypes = _inputs(description.get("signature"), folder)
    notes = []
    if flavors[flavor].get("code"):
        notes.append("the model was logged with code of its own; give the file that it needs with --module")
    return MlflowModel(file, features, dtypes, tuple(notes))


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        description = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RefusedModel(f"{path} cannot be read: {reason}; log the model again") from error
    if not isinstance(description, dict):
        raise RefusedModel(f"{path} is not a description of a model; log the model again")
    return description


def _file(folder: Path, flavor: str, options: Mapping[str, Any]) -> Path:
    name = options.get(_FLAVORS[flavor]) or options.get("data")
    if not isinstance(name, str):
        raise RefusedModel(f"{folder / DESCRIPTION} names no file for its flavor {flavor}; log the model again")
    file = (folder / name).resolve()
    # The folder may come from elsewhere: its description must not pick files of this machine.
    if not file.is_relative_to(folder.resolve()):
        raise RefusedModel(f"{folder / DESCRIPTION} names a file outside its folder: {name}")
    if not file.is_file():
        raise RefusedModel(f"{folder} has no file {name}, which its MLmodel names; copy the whole folder")
    return file


def _inputs(signature: Any, folder: Path) -> tuple[tuple[str, ...] | None, dict[str, str]]:
    """Return the names of the columns, and their dtypes; a signature of tensors has none."""
    inputs = signature.get("inputs") if isinstance(signature, dict) else None
    try:
        columns = json.loads(inputs) if isinstance(inputs, str) else inputs
    except ValueError as error:
        raise RefusedModel(
            f"{folder / DESCRIPTION}: its signature is not JSON: {error}; log the model again"
        ) from error
    if not isinstance(columns, list) or not all(isinstance(column, dict) and "name" in column for column in columns):
        return None, {}
    if any(column.get("type") == "tensor" for column in columns):
        return None, {}
    names = tuple(str(column["name"]) for column in columns)
    dtypes = {str(column["name"]): _DTYPES[column["type"]] for column in columns if column.get("type") in _DTYPES}
    return names or None, dtypes
