"""XGBoost, LightGBM and CatBoost models in their own formats, as the scikit-learn estimators of these libraries.

The estimator predicts as the library's wrapper would have, had that been saved: a classifier with the classes 0, 1, …
(or those that the file names), or a regressor.
"""

import json
from typing import Any

import numpy as np

from model.errors import RefusedModel
from model.native.tree_checks import check_catboost, check_lightgbm, check_xgboost

_XGBOOST_CLASSIFIERS = ("binary:", "multi:")
_LIGHTGBM_CLASSIFIERS = {"binary": 2, "multiclass": None, "multiclassova": None}
_UNNAMED = ("Column_{}", "f{}", "{}")


def estimator_of(model: Any) -> Any:
    """Return a booster or a bare CatBoost model as an estimator; anything else unchanged."""
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    if kind == "xgboost.core.Booster":
        return from_xgboost(bytes(model.save_raw("ubj")))
    if kind == "lightgbm.basic.Booster":
        # Up to its best iteration, with which the booster itself predicts.
        return from_lightgbm(model.model_to_string())
    if kind == "catboost.core.CatBoost":
        return from_catboost(model._serialize_model())
    return model


def from_xgboost(content: bytes) -> Any:
    """Return an XGBoost model, JSON or UBJSON, as its estimator; raise RefusedModel, or what XGBoost raises."""
    import xgboost  # noqa: PLC0415

    check_xgboost(content)
    booster = xgboost.Booster(model_file=bytearray(content))
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    categorical = "c" in (booster.feature_types or ())
    if objective == "multi:softmax":
        # The same trees; the estimator itself takes the most probable class.
        booster.set_param({"objective": "multi:softprob"})
        content = bytes(booster.save_raw("ubj"))
    if objective.startswith(_XGBOOST_CLASSIFIERS):
        estimator = xgboost.XGBClassifier(enable_categorical=categorical)
    elif objective.startswith("rank:"):
        estimator = xgboost.XGBRanker(enable_categorical=categorical)
    elif objective.startswith("survival:"):
        raise RefusedModel(f"it is a survival model ({objective}), whose predictions are no class and no plain number")
    else:
        estimator = xgboost.XGBRegressor(enable_categorical=categorical)
    estimator.load_model(bytearray(content))
    return estimator


def from_lightgbm(text: str) -> Any:
    """Return a LightGBM model as its estimator; raise what LightGBM raises.

    LightGBM's estimators cannot load a model; these attributes are where they keep what they need of one.
    """
    import lightgbm  # noqa: PLC0415
    from lightgbm.compat import _LGBMLabelEncoder  # noqa: PLC0415

    check_lightgbm(text)
    booster = lightgbm.Booster(model_str=text)
    objective, *options = _lightgbm_objective(text)
    classes = _LIGHTGBM_CLASSIFIERS.get(objective, 0)
    if classes is None:
        classes = int(dict(option.split(":") for option in options if ":" in option)["num_class"])
    estimator = lightgbm.LGBMClassifier() if classes else lightgbm.LGBMRegressor()
    estimator._Booster = booster
    estimator._objective = objective
    estimator._n_features = estimator._n_features_in = booster.num_feature()
    estimator._best_iteration = -1
    estimator._fitted_with_feature_names = named(booster.feature_name()) is not None
    estimator.fitted_ = True
    if classes:
        estimator._le = _LGBMLabelEncoder().fit(np.arange(classes))
        estimator._classes = estimator._le.classes_
        estimator._class_map = {index: index for index in range(classes)}
        estimator._n_classes = classes
    return estimator


def from_catboost(content: bytes) -> Any:
    """Return a CatBoost model as its estimator; raise what CatBoost raises."""
    import catboost  # noqa: PLC0415

    check_catboost(content)
    model = catboost.CatBoost().load_model(blob=content)
    estimator = catboost.CatBoostClassifier() if len(model.classes_) else catboost.CatBoostRegressor()
    return estimator.load_model(blob=content)


def named(names: Any) -> tuple[str, ...] | None:
    """Return the names of a model's features, or None where the library only numbered them."""
    names = tuple(map(str, names)) if names is not None else ()
    numbered = any(names == tuple(pattern.format(place) for place in range(len(names))) for pattern in _UNNAMED)
    return None if numbered else names


def feature_names(estimator: Any) -> tuple[str, ...] | None:
    """Return the names of the features on which a booster's estimator was fitted, in order, where it has any."""
    kind = type(estimator).__module__.partition(".")[0]
    if kind == "xgboost":
        return named(estimator.get_booster().feature_names)
    if kind == "lightgbm":
        return named(estimator.feature_name_)
    if kind == "catboost":
        return named(estimator.feature_names_)
    return None


def _lightgbm_objective(text: str) -> list[str]:
    for line in text.splitlines():
        if line.startswith("objective="):
            return line.removeprefix("objective=").split()
        if line.startswith("Tree="):
            break
    return ["custom"]
