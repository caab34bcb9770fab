"""What an explanation is, and what makes one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.columns import Floats

Classes = NDArray[np.int64]


class NotExplainable(ValueError):
    """Raised where a pipeline has no exact explanation; the text, a clause without a full stop, says why."""


class Unit(StrEnum):
    """What effects and baseline are measured in: the unit in which the model adds up its parts."""

    LOG_ODDS = "log_odds"
    """Binary classifiers by log loss: ``decision_function`` or margin; its ``expit`` is the probability."""
    SCORE = "score"
    """Classifiers whose raw output is nothing simpler: a margin, or one of several classes."""
    PROBABILITY = "probability"
    """Trees and forests: ``predict_proba``."""
    TARGET = "target"
    """Regressors: ``predict``."""
    LOG_TARGET = "log_target"
    """Regressors of counts and amounts (Poisson, gamma, Tweedie): the logarithm of ``predict``."""
    UNCALIBRATED_SCORE = "uncalibrated_score"
    """Calibrated classifiers: the raw output of the base model before calibration, averaged over the folds."""
    TRANSFORMED_TARGET = "transformed_target"
    """Regressors of a transformed target: what the inner regressor predicts, before it is transformed back."""


@dataclass(frozen=True)
class Explanation:
    """Effects of n records, relative to the average training record, in ``unit``.

    ``effects`` has the shape (n, features), ``baseline`` (n,): that of the class each row is about.
    """

    baseline: Floats
    effects: Floats
    unit: Unit

    @property
    def output(self) -> Floats:
        """The model's raw output, shape (n,)."""
        return np.asarray(self.baseline + self.effects.sum(axis=1), dtype=np.float64)


class Explainer(Protocol):
    """Explains the answers of one fitted pipeline."""

    @property
    def unit(self) -> Unit:
        """What effects and baselines are measured in."""

    def explain(self, inputs: Any, classes: Classes | None = None) -> Explanation:
        """Return the effects of the features on n records, given as the pipeline takes them.

        ``classes``, shape (n,): the class, an index into the pipeline's ``classes_``, whose raw output each row's effects
        add up to. Where it is None, that is the second of two classes, or the predicted one of several.
        """


@dataclass(frozen=True, slots=True)
class Attribution:
    """The effects of n records on every output of a model, shape (n, features, outputs), and baselines, (outputs,).

    A regressor has one output, and so may a binary classifier: that of its second class, the other's being its
    negative.
    """

    effects: Floats
    baselines: Floats

    @property
    def totals(self) -> Floats:
        """What effects and baselines sum up to, shape (n, outputs)."""
        return np.asarray(self.effects.sum(axis=1) + self.baselines)


class Attributor(Protocol):
    """Attributes the raw outputs of a fitted estimator to the features that its columns come from."""

    @property
    def unit(self) -> Unit:
        """What effects and baselines are measured in."""

    @property
    def method(self) -> str:
        """How it does so, as a model's page names it."""

    @property
    def libraries(self) -> frozenset[str]:
        """What has to be installed beyond what every installation has."""

    @property
    def is_centred(self) -> bool:
        """Whether effects are relative to the average training record, rather than to columns of zeros."""

    @property
    def is_linear(self) -> bool:
        """Whether it takes no more than a product of matrices."""

    @property
    def cells(self) -> int:
        """How many numbers it holds at a time for each record."""

    def attribute(self, inputs: Any) -> Attribution:
        """Return the effects on every output, of records as the estimator takes them."""

    def raw_outputs(self, inputs: Any) -> Floats:
        """Return what the estimator itself answers in the same unit, shape (n, outputs)."""
