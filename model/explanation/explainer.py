"""The entry point to explanations: the explainer of a fitted pipeline, or why there is none."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, VotingClassifier, VotingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from model.columns import Floats
from model.explanation import boosting, linear, trees
from model.explanation.column_lineage import Lineage
from model.explanation.composites import Averaged, Prepared, columns_of
from model.explanation.explanation import Attribution, Attributor, Classes, Explainer, Explanation, NotExplainable, Unit
from model.schema import Feature

Averages = Mapping[str, Sequence[float]]
"""The mean effects over the training records on each output, by feature: what explanations are relative to."""

# How many numbers are held at once while explaining: 16 MB of them.
CELLS_AT_ONCE = 2_000_000
# Meta-estimators that predict with the one estimator in this attribute.
_WRAPPED_AS = {
    FixedThresholdClassifier: "estimator_",
    TunedThresholdClassifierCV: "estimator_",
    FrozenEstimator: "estimator",
}


def explainer_of(pipeline: Any, features: Sequence[Feature], averages: Averages | None = None) -> Explainer | None:
    """Return the explainer of a fitted pipeline that takes these features, or None where there is an ``obstacle``.

    ``averages`` are those of ``PipelineExplainer.average_effects`` over the training records; without them, effects of
    linear models are relative to a record whose encoded columns are all zero.
    """
    try:
        return PipelineExplainer.of(pipeline, features, averages)
    except NotExplainable:
        return None


def obstacle(pipeline: Any, features: Sequence[Feature]) -> str | None:
    """Return why a fitted pipeline cannot be explained, a clause without a full stop, or None where it can be."""
    try:
        PipelineExplainer.of(pipeline, features)
    except NotExplainable as error:
        return str(error)
    return None


@dataclass(frozen=True)
class PipelineExplainer:
    """Explains a fitted pipeline by an attributor of its raw outputs."""

    pipeline: Any
    features: tuple[str, ...]
    attributor: Attributor
    averages: Averages | None = None

    @classmethod
    def of(cls, pipeline: Any, features: Sequence[Feature], averages: Averages | None = None) -> "PipelineExplainer":
        """Find the attributor of a pipeline; raise NotExplainable where a part of it stands in the way."""
        attributor = _attributor(pipeline, Lineage.of(pipeline, features))
        return cls(pipeline, tuple(feature.name for feature in features), attributor, averages)

    @property
    def unit(self) -> Unit:
        """The unit of effects and baselines."""
        return self.attributor.unit

    def explain(self, inputs: Any, classes: Classes | None = None) -> Explanation:
        """Return the effects of the features on n records: see ``Explainer.explain``."""
        if not len(inputs):
            return Explanation(np.empty(0), np.empty((0, len(self.features))), self.unit)
        chosen = self._predicted(inputs) if classes is None else classes
        parts = [_select_classes(attribution, chosen[rows]) for rows, attribution in self._attributions(inputs)]
        baselines, effects = zip(*parts, strict=True)
        return Explanation(np.concatenate(baselines), np.concatenate(effects), self.unit)

    def average_effects(self, inputs: Any) -> dict[str, tuple[float, ...]]:
        """Return the ``averages`` over the training records; empty where effects are relative to them already."""
        if self.attributor.is_centred:
            return {}
        uncentred = replace(self, averages=None)
        total = sum(attribution.effects.sum(axis=0) for _, attribution in uncentred._attributions(inputs))
        means = np.asarray(total) / len(inputs)
        return {name: tuple(row) for name, row in zip(self.features, means.tolist(), strict=True)}

    def attribution(self, inputs: Any) -> Attribution:
        """Return the effects on every output for a few records."""
        return self._centred(self.attributor.attribute(inputs))

    def _attributions(self, inputs: Any) -> Iterator[tuple[slice, Attribution]]:
        """Yield effects by slices of the records, as many at once as ``CELLS_AT_ONCE`` allows."""
        rows = max(1, CELLS_AT_ONCE // self.attributor.cells)
        for start in range(0, len(inputs), rows):
            place = slice(start, start + rows)
            yield place, self.attribution(inputs.iloc[place] if isinstance(inputs, pd.DataFrame) else inputs[place])

    def _centred(self, attribution: Attribution) -> Attribution:
        if not self.averages:
            return attribution
        averages = np.array([self.averages[name] for name in self.features], dtype=np.float64)
        return Attribution(attribution.effects - averages, attribution.baselines + averages.sum(axis=0))

    def _predicted(self, inputs: Any) -> Classes:
        """Return the second of two classes, the predicted one of several, the one output of a regressor."""
        names = np.asarray(getattr(self.pipeline, "classes_", ()))
        if len(names) <= 2:
            return np.ones(len(inputs), np.int64)
        places = {name: place for place, name in enumerate(names.tolist())}
        return np.array([places[name] for name in np.ravel(self.pipeline.predict(inputs)).tolist()], np.int64)


def _select_classes(attribution: Attribution, classes: Classes) -> tuple[Floats, Floats]:
    """Return baselines, shape (n,), and effects, (n, features), on the output of the class of each row."""
    if len(attribution.baselines) == 1:
        # The only output is that of the second class; that of the first is its negative.
        signs = np.where(classes == 0, -1.0, 1.0)
        return signs * attribution.baselines[0], signs[:, np.newaxis] * attribution.effects[:, :, 0]
    return attribution.baselines[classes], attribution.effects[np.arange(len(classes)), :, classes]


def _attributor(model: Any, columns: Lineage) -> Attributor:
    """Return the attributor of a fitted estimator that takes these columns; raise NotExplainable."""
    if isinstance(model, Pipeline):
        return _of_pipeline(model, columns)
    if (wrapped := _wrapped(model)) is not None:
        return _attributor(wrapped, columns)
    for kind, build in _COMPOSITES.items():
        if isinstance(model, kind):
            return build(model, columns)
    for module, build_model in ((linear, linear.LinearModel), (trees, trees.TreeModel)):
        if isinstance(model, module.MODELS):
            return build_model(model, columns)
    if boosting.library_of(model):
        return boosting.BoostedModel(model, columns)
    raise NotExplainable(f"nothing explains a {type(model).__name__} exactly")


def _wrapped(model: Any) -> Any:
    """Return the estimator with which a model predicts, if it only searches, tunes or freezes one."""
    if (best := getattr(model, "best_estimator_", None)) is not None:
        return best
    return next((getattr(model, name) for kind, name in _WRAPPED_AS.items() if isinstance(model, kind)), None)


def _of_pipeline(pipeline: Pipeline, columns: Lineage) -> Attributor:
    *before, (_, last) = pipeline.steps
    # Samplers of imbalanced-learn do nothing when predicting.
    steps = [step for _, step in before if not (step is None or isinstance(step, str) or hasattr(step, "fit_resample"))]
    if not steps:
        return _attributor(last, columns)
    made = columns.through(Pipeline(before), getattr(last, "n_features_in_", None))
    return Prepared([step.transform for step in steps], _attributor(last, made))


def _of_calibrated(model: Any, columns: Lineage) -> Attributor:
    # Calibration is not additive, so that the scores before it are explained.
    parts = [_attributor(fold.estimator, columns) for fold in model.calibrated_classifiers_]
    return Averaged(parts, Unit.UNCALIBRATED_SCORE)


def _of_transformed(model: Any, columns: Lineage) -> Attributor:
    inner = _require_unit(_attributor(model.regressor_, columns), Unit.TARGET, model)
    is_plain = model.func is None and model.transformer is None
    return Averaged([inner], Unit.TARGET if is_plain else Unit.TRANSFORMED_TARGET)


def _of_voting(model: Any, columns: Lineage) -> Attributor:
    if getattr(model, "voting", "soft") != "soft":
        raise NotExplainable(f"this {type(model).__name__} counts votes, which are no sum of effects")
    unit = Unit.PROBABILITY if isinstance(model, VotingClassifier) else Unit.TARGET
    parts = [_require_unit(_attributor(part, columns), unit, model) for part in model.estimators_]
    return Averaged(parts, unit, model._weights_not_none)


def _of_bagging(model: Any, columns: Lineage) -> Attributor:
    unit = Unit.PROBABILITY if isinstance(model, BaggingClassifier) else Unit.TARGET
    parts = []
    for part, taken in zip(model.estimators_, model.estimators_features_, strict=True):
        inner = _require_unit(_attributor(part, columns.of_columns(taken)), unit, model)
        parts.append(Prepared([partial(columns_of, columns=taken)], inner))
    return Averaged(parts, unit)


def _require_unit(part: Attributor, unit: Unit, whole: Any) -> Attributor:
    if part.unit is not unit:
        raise NotExplainable(f"this {type(whole).__name__} averages outputs in another unit than its parts add up in")
    return part


_COMPOSITES: dict[type, Callable[[Any, Lineage], Attributor]] = {
    CalibratedClassifierCV: _of_calibrated,
    TransformedTargetRegressor: _of_transformed,
    VotingClassifier: _of_voting,
    VotingRegressor: _of_voting,
    BaggingClassifier: _of_bagging,
    BaggingRegressor: _of_bagging,
}
