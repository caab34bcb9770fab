"""The types of explanations, and the protocols of what computes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from model.columns import Floats, in_order

Classes = NDArray[np.int64]


class NotExplainable(ValueError):
    """Raised where a pipeline has no exact explanation; the text, a clause without a full stop, says why."""


class Unit(StrEnum):
    """The unit of effects and baseline: that in which the model adds up its parts."""

    LOG_ODDS = "log_odds"
    """Binary classifiers by log loss: ``decision_function`` or margin; its ``expit`` is the probability."""
    SCORE = "score"
    """Classifiers whose raw output has no simpler name: a margin, or a score for each of several classes."""
    PROBABILITY = "probability"
    """Trees and forests: ``predict_proba``."""
    TARGET = "target"
    """Regressors: ``predict``."""
    LOG_TARGET = "log_target"
    """Regressors with a log link (Poisson, gamma, Tweedie): the logarithm of ``predict``."""
    UNCALIBRATED_SCORE = "uncalibrated_score"
    """Calibrated classifiers: the raw output of the base model before calibration, averaged over the folds."""
    TRANSFORMED_TARGET = "transformed_target"
    """Regressors of a transformed target: the inner regressor's prediction, before the inverse transform."""


@dataclass(frozen=True)
class Explanation:
    """Effects on n records, relative to the average training record, in ``unit``.

    ``effects`` has the shape (n, features), ``baseline`` (n,): that of the class which each row's effects are about.
    """

    baseline: Floats
    effects: Floats
    unit: Unit

    @property
    def output(self) -> Floats:
        """The model's raw output, shape (n,)."""
        return np.asarray(self.baseline + self.effects.sum(axis=1), dtype=np.float64)

    @classmethod
    def joined(cls, parts: Sequence[tuple[NDArray[np.intp], Self]]) -> Self:
        """Return the explanations of parts of the records, each given with its records' places, as one."""
        baseline = in_order([(rows, part.baseline) for rows, part in parts])
        return cls(baseline, in_order([(rows, part.effects) for rows, part in parts]), parts[0][1].unit)


class Explainer(Protocol):
    """Explains the predictions of one fitted pipeline."""

    @property
    def unit(self) -> Unit:
        """The unit of effects and baselines."""

    def explain(self, inputs: Any, classes: Classes | None = None) -> Explanation:
        """Return the effects of the features on n records, in the form that the pipeline takes.

        ``classes``, shape (n,), are indices into the pipeline's ``classes_``: each row's effects add up to the raw
        output of its class. None stands for the second of two classes, or the predicted one of several.
        """


@dataclass(frozen=True, slots=True)
class Attribution:
    """Effects on every output of a model for n records, shape (n, features, outputs), and baselines, (outputs,).

    A regressor has one output, and so may a binary classifier: that of its second class, the first's being its
    negative.
    """

    effects: Floats
    baselines: Floats

    @property
    def totals(self) -> Floats:
        """The sums of effects and baselines, shape (n, outputs)."""
        return np.asarray(self.effects.sum(axis=1) + self.baselines)


class Attributor(Protocol):
    """Attributes the raw outputs of a fitted estimator to the features from which its columns come."""

    @property
    def unit(self) -> Unit:
        """The unit of effects and baselines."""

    @property
    def method(self) -> str:
        """The name of the method, as a model's page shows it."""

    @property
    def libraries(self) -> frozenset[str]:
        """The optional libraries that it needs."""

    @property
    def is_centred(self) -> bool:
        """Whether effects are relative to the average training record, not to columns of zeros."""

    @property
    def is_linear(self) -> bool:
        """Whether it takes no more than a product of matrices."""

    @property
    def cells(self) -> int:
        """How many numbers it holds at once for each record."""

    def attribute(self, inputs: Any) -> Attribution:
        """Return the effects on every output, for records as the estimator takes them."""

    def raw_outputs(self, inputs: Any) -> Floats:
        """Return the estimator's own output in the same unit, shape (n, outputs)."""
