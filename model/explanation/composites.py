"""Explain estimators that are made of others: behind an encoder, averaged, or fitted on some of the columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import pandas as pd

from model.columns import Floats
from model.explanation.explanation import Attribution, Attributor, Unit


@dataclass(frozen=True)
class Prepared:
    """An estimator that takes what ``steps`` make of the records, one after another."""

    steps: Sequence[Callable[[Any], Any]]
    inner: Attributor

    @property
    def unit(self) -> Unit:
        """The estimator's."""
        return self.inner.unit

    @property
    def method(self) -> str:
        """The estimator's."""
        return self.inner.method

    @property
    def libraries(self) -> frozenset[str]:
        """The estimator's."""
        return self.inner.libraries

    @property
    def is_centred(self) -> bool:
        """The estimator's."""
        return self.inner.is_centred

    @property
    def is_linear(self) -> bool:
        """The estimator's."""
        return self.inner.is_linear

    @property
    def cells(self) -> int:
        """The estimator's."""
        return self.inner.cells

    def attribute(self, inputs: Any) -> Attribution:
        """Return the estimator's effects."""
        return self.inner.attribute(self._transform(inputs))

    def raw_outputs(self, inputs: Any) -> Floats:
        """Return the estimator's raw outputs."""
        return self.inner.raw_outputs(self._transform(inputs))

    def _transform(self, inputs: Any) -> Any:
        return reduce(lambda transformed, step: step(transformed), self.steps, inputs)


@dataclass(frozen=True)
class Averaged:
    """The weighted mean of the raw outputs of several estimators, all in the same unit.

    Shapley values are linear in the model, so that the effects on a mean are the means of the effects.
    """

    parts: Sequence[Attributor]
    unit: Unit
    weights: Sequence[float] | None = None

    @property
    def method(self) -> str:
        """The methods of the parts, each named once."""
        return ", ".join(dict.fromkeys(part.method for part in self.parts))

    @property
    def libraries(self) -> frozenset[str]:
        """Those of all parts."""
        return frozenset().union(*(part.libraries for part in self.parts))

    @property
    def is_centred(self) -> bool:
        """Whether all parts are."""
        return all(part.is_centred for part in self.parts)

    @property
    def is_linear(self) -> bool:
        """Whether all parts are."""
        return all(part.is_linear for part in self.parts)

    @cached_property
    def cells(self) -> int:
        """Those of the largest part: the parts are computed one after another."""
        return max(part.cells for part in self.parts)

    def attribute(self, inputs: Any) -> Attribution:
        """Return the mean of the parts' effects."""
        attributions = [part.attribute(inputs) for part in self.parts]
        effects = np.average([part.effects for part in attributions], axis=0, weights=self.weights)
        baselines = np.average([part.baselines for part in attributions], axis=0, weights=self.weights)
        return Attribution(effects, baselines)

    def raw_outputs(self, inputs: Any) -> Floats:
        """Return the mean of the parts' raw outputs."""
        answers = [part.raw_outputs(inputs) for part in self.parts]
        return np.asarray(np.average(answers, axis=0, weights=self.weights))


def columns_of(inputs: Any, columns: Sequence[int]) -> Any:
    """Return some columns of a frame or array, by their indices, as an array without names."""
    return (inputs.to_numpy() if isinstance(inputs, pd.DataFrame) else inputs)[:, list(columns)]
