"""Find the one model in a file's content: the model itself, or a dictionary or list that also holds other things."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import LabelEncoder

from model.errors import RefusedModel

# Keys under which people save the names of columns and of classes beside the model.
_FEATURES = {
    "features", "feature_names", "feature_names_in", "feature_columns", "feature_cols", "feature_list", "columns",
    "cols", "input_columns", "input_features", "model_columns", "x_columns", "predictors",
}  # fmt: skip
_CLASSES = {"classes", "class_names", "target_names", "labels", "label_names"}
_BOOSTERS = {"xgboost.core.Booster", "lightgbm.basic.Booster", "catboost.core.CatBoost"}


@dataclass(frozen=True)
class Bundle:
    """A model and what its file says of it: the names of its columns and of its classes."""

    model: Any
    features: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)


def unpack_bundle(content: Any, path: Path, key: str | None) -> Bundle:
    """Return the one model in ``content``; ``key`` names it where there are several. Raise RefusedModel."""
    parts = _parts(content)
    if parts is None:
        if key is not None:
            raise RefusedModel(f"{path} holds a {type(content).__name__}, which has no keys; leave out --key")
        return Bundle(content)
    models = [name for name, value in parts.items() if _is_model(value)]
    model_key = _choose_key(parts, models, path, key)
    others = {name: value for name, value in parts.items() if name not in {model_key, *models}}
    notes = [f"the model is {model_key!r} of {path.name}"]
    classes = _class_names(others)
    encoder = _target_encoder(parts[model_key], others)
    if encoder is not None:
        # Taken out, because it has ``transform`` and would be refused below as a transformer beside the model.
        classes = tuple(map(str, others.pop(encoder).classes_))
        notes.append(f"its classes are those of {encoder!r}")
    _refuse_transformers(others, model_key, path)
    notes += [
        f"{name!r} is not used: thresholds are given in the schema" for name in others if "thresh" in name.lower()
    ]
    return Bundle(parts[model_key], _feature_names(others), classes, notes)


def _parts(content: Any) -> dict[str, Any] | None:
    # A class of one's own may derive from ``dict`` or ``list`` and be the model itself.
    if isinstance(content, Mapping) and not hasattr(content, "predict"):
        return {str(name): value for name, value in content.items()}
    if isinstance(content, list | tuple) and not hasattr(content, "predict"):
        return {str(place): value for place, value in enumerate(content)}
    return None


def _is_model(value: Any) -> bool:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return not isinstance(value, type) and (hasattr(value, "predict") or kind in _BOOSTERS)


def _choose_key(parts: Mapping[str, Any], models: list[str], path: Path, key: str | None) -> str:
    keys = ", ".join(map(repr, parts)) or "nothing"
    if key is not None:
        if key not in parts:
            raise RefusedModel(f"{path} has no key {key!r}; there are: {keys}")
        return key
    if not models:
        raise RefusedModel(f"{path} holds no model, but {keys}; save the fitted pipeline itself")
    if len(models) > 1:
        raise RefusedModel(f"{path} holds several models; name one with --key: {', '.join(map(repr, models))}")
    return models[0]


def _target_encoder(model: Any, others: Mapping[str, Any]) -> str | None:
    """Return the key of the target's encoder, if there is one only and it has as many classes as the model."""
    encoders = [
        name for name, value in others.items() if isinstance(value, LabelEncoder) and hasattr(value, "classes_")
    ]
    classes = getattr(model, "classes_", None)
    if len(encoders) != 1 or classes is None or np.ndim(classes) != 1:
        return None
    # Only a model that was fitted on 0, 1, … can have got its target from the encoder.
    numbered = np.array_equal(np.asarray(classes), np.arange(len(classes)))
    return encoders[0] if numbered and len(others[encoders[0]].classes_) == len(classes) else None


def _refuse_transformers(others: Mapping[str, Any], model_key: str, path: Path) -> None:
    for name, value in others.items():
        inside = (
            list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else []
        )
        for part in (value, *inside):
            # pandas' own objects, such as a saved sample, have a method of this name too.
            if hasattr(part, "transform") and not isinstance(part, pd.Series | pd.DataFrame | type):
                raise RefusedModel(
                    f"{path} holds a {type(part).__name__} ({name!r}) beside the model ({model_key!r}), and does not "
                    "say in which order and to which columns they apply; put them into one Pipeline, for example with "
                    "make_pipeline(scaler, model), and save that"
                )


def _feature_names(others: Mapping[str, Any]) -> tuple[str, ...] | None:
    return next(
        (_as_names(value) for name, value in others.items() if name.lower() in _FEATURES and _as_names(value)), None
    )


def _class_names(others: Mapping[str, Any]) -> tuple[str, ...] | None:
    return next(
        (_as_names(value) for name, value in others.items() if name.lower() in _CLASSES and _as_names(value)), None
    )


def _as_names(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, np.ndarray | pd.Index | pd.Series):
        value = value.tolist()
    texts = isinstance(value, list | tuple) and value and all(isinstance(text, str) for text in value)
    return tuple(value) if texts else None
