"""Explain XGBoost, LightGBM and CatBoost models by these libraries' own exact contributions.

These are TreeSHAP (S. Lundberg, G. Erion & S. Lee 2018, arXiv:1802.03888): ``pred_contribs`` in XGBoost, where linear
boosters have coefficient times value instead, ``pred_contrib`` in LightGBM, ``ShapValues`` in CatBoost. None of the
libraries is imported here before a model of theirs has been loaded.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier

from model.columns import Floats
from model.explanation.column_lineage import Lineage
from model.explanation.explanation import Attribution, NotExplainable, Unit
from model.explanation.trees import summed

# Objectives by the unit of their margin; the margin of any other is a score.
_UNITS = {
    "xgboost": {
        Unit.LOG_ODDS: ("binary:logistic", "binary:logitraw"),
        Unit.LOG_TARGET: ("count:poisson", "reg:gamma", "reg:tweedie"),
        Unit.TARGET: ("reg:squarederror", "reg:absoluteerror", "reg:quantileerror", "reg:pseudohubererror"),
    },
    "lightgbm": {
        Unit.LOG_ODDS: ("binary",),
        Unit.LOG_TARGET: ("poisson", "gamma", "tweedie"),
        Unit.TARGET: ("regression", "regression_l1", "l2", "l1", "mse", "mae", "huber", "fair", "quantile", "mape"),
    },
    "catboost": {
        Unit.LOG_ODDS: ("Logloss", "CrossEntropy"),
        Unit.LOG_TARGET: ("Poisson", "Tweedie"),
        Unit.TARGET: ("RMSE", "MAE", "Quantile", "MAPE", "Huber", "LogCosh", "Expectile", "Lq"),
    },
}


class BoostedModel:
    """Attribute the margin of a fitted booster, in its scikit-learn interface, to features."""

    is_centred = True
    is_linear = False

    def __init__(self, model: Any, columns: Lineage) -> None:
        """Raise NotExplainable where the model is of no known library."""
        library = library_of(model)
        if library is None:
            raise NotExplainable(f"{type(model).__name__} is not a boosting model that can be explained")
        self._model = model
        self._sums = columns.sums
        self._library = library
        self.libraries = frozenset({library})
        self.method = f"the exact contributions of {type(model).__name__} itself"
        self.unit = _unit(library, model)

    @property
    def cells(self) -> int:
        """Every column, for each class."""
        return int(self._sums.shape[0]) * (len(self._model.classes_) if is_classifier(self._model) else 1)

    def attribute(self, inputs: Any) -> Attribution:
        """Return the effects on every margin, relative to the mean over the training records."""
        contributions = _CONTRIBUTIONS[self._library](self._model, inputs)
        # For each output a contribution of each column, and last the baseline, the same for every record.
        width = self._sums.shape[0] + 1
        by_output = np.asarray(contributions, dtype=np.float64).reshape(len(contributions), -1, width)
        values = by_output.transpose(0, 2, 1)
        return Attribution(summed(values[:, :-1], self._sums), values[0, -1])

    def raw_outputs(self, inputs: Any) -> Floats:
        """Return the margin."""
        margin = np.asarray(_MARGINS[self._library](self._model, inputs), dtype=np.float64)
        return margin.reshape(len(margin), -1)


def library_of(model: Any) -> str | None:
    """Return the boosting library whose scikit-learn interface a model implements, or None."""
    for kind in type(model).__mro__:
        if (package := kind.__module__.partition(".")[0]) in _UNITS:
            return package
    return None


def _unit(library: str, model: Any) -> Unit:
    objective = _OBJECTIVES[library](model)
    unit = next((unit for unit, names in _UNITS[library].items() if objective in names), Unit.SCORE)
    if is_classifier(model):
        return unit if unit is Unit.LOG_ODDS and len(model.classes_) == 2 else Unit.SCORE
    # A regressor with a logistic objective predicts probabilities, so that its margin is neither target nor logarithm.
    return Unit.SCORE if unit is Unit.LOG_ODDS else unit


def _dense(inputs: Any) -> Any:
    """Return a dense matrix: to XGBoost, what a sparse one leaves out is missing, not 0."""
    return inputs.toarray() if issparse(inputs) else inputs


def _xgboost_objective(model: Any) -> str:
    learner = json.loads(model.get_booster().save_config())["learner"]
    if int(learner["learner_model_param"]["num_target"]) > 1:
        raise NotExplainable(f"this {type(model).__name__} has several targets")
    return str(learner["objective"]["name"])


def _lightgbm_objective(model: Any) -> str | None:
    parameters = model.get_params()
    # With these the margin is in another unit: log-odds divided by a factor, or the square root of the target.
    if parameters.get("sigmoid", 1) != 1 or parameters.get("reg_sqrt"):
        return None
    return model.objective_ if isinstance(model.objective_, str) else None


def _catboost_objective(model: Any) -> str:
    loss = str(model.get_all_params()["loss_function"]).partition(":")[0]
    if loss.startswith("Multi") and not is_classifier(model):
        raise NotExplainable(f"this {type(model).__name__} has several targets")
    return loss


def _xgboost_predict(model: Any, inputs: Any, **options: bool) -> Floats:
    import xgboost  # noqa: PLC0415 - optional

    matrix = xgboost.DMatrix(
        inputs, missing=model.missing, enable_categorical=True, feature_types=model.feature_types, nthread=model.n_jobs
    )
    # After early stopping, the booster still has the trees of later rounds, which the model does not predict with.
    best = None if model.booster == "gblinear" else getattr(model, "best_iteration", None)
    rounds = (0, 0) if best is None else (0, best + 1)
    return np.asarray(model.get_booster().predict(matrix, iteration_range=rounds, **options))


def _catboost_pool(model: Any, inputs: Any) -> Any:
    import catboost  # noqa: PLC0415 - optional

    return catboost.Pool(
        _dense(inputs), cat_features=model.get_cat_feature_indices(), text_features=model.get_text_feature_indices()
    )


_OBJECTIVES: dict[str, Callable[[Any], str | None]] = {
    "xgboost": _xgboost_objective,
    "lightgbm": _lightgbm_objective,
    "catboost": _catboost_objective,
}
_CONTRIBUTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "xgboost": lambda model, inputs: _xgboost_predict(model, inputs, pred_contribs=True),
    "lightgbm": lambda model, inputs: model.predict(_dense(inputs), pred_contrib=True),
    "catboost": lambda model, inputs: model.get_feature_importance(_catboost_pool(model, inputs), type="ShapValues"),
}
_MARGINS: dict[str, Callable[[Any, Any], Any]] = {
    "xgboost": lambda model, inputs: _xgboost_predict(model, inputs, output_margin=True),
    "lightgbm": lambda model, inputs: model.predict(inputs, raw_score=True),
    "catboost": lambda model, inputs: model.predict(_catboost_pool(model, inputs), prediction_type="RawFormulaVal"),
}
