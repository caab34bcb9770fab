"""Explanations of estimators that are made of others: behind an encoder, averaged, or of part of the columns."""

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
    """An estimator that is given what ``steps`` make of the records, one after another."""

    steps: Sequence[Callable[[Any], Any]]
    inner: Attributor

    @property
    def unit(self) -> Unit:
        """That of the estimator."""
        return self.inner.unit

    @property
    def method(self) -> str:
        """That of the estimator."""
        return self.inner.method

    @property
    def libraries(self) -> frozenset[str]:
        """Those of the estimator."""
        return self.inner.libraries

    @property
    def is_centred(self) -> bool:
        """As the estimator's are."""
        return self.inner.is_centred

    @property
    def is_linear(self) -> bool:
        """Whether the estimator is."""
        return self.inner.is_linear

    @property
    def cells(self) -> int:
        """Those of the estimator."""
        return self.inner.cells

    def attribute(self, inputs: Any) -> Attribution:
        """Return the estimator's effects."""
        return self.inner.attribute(self._made_of(inputs))

    def raw_outputs(self, inputs: Any) -> Floats:
        """Return what the estimator answers."""
        return self.inner.raw_outputs(self._made_of(inputs))

    def _made_of(self, inputs: Any) -> Any:
        return reduce(lambda made, step: step(made), self.steps, inputs)


@dataclass(frozen=True)
class Averaged:
    """The weighted mean of several estimators' raw outputs; there is at least one, and all are in the same unit."""

    parts: Sequence[Attributor]
    unit: Unit
    weights: Sequence[float] | None = None

    @property
    def method(self) -> str:
        """Those of the parts, each named once."""
        return ", ".join(dict.fromkeys(part.method for part in self.parts))

    @property
    def libraries(self) -> frozenset[str]:
        """Those of all parts."""
        return frozenset().union(*(part.libraries for part in self.parts))

    @property
    def is_centred(self) -> bool:
        """Whether those of all parts are."""
        return all(part.is_centred for part in self.parts)

    @property
    def is_linear(self) -> bool:
        """Whether all parts are."""
        return all(part.is_linear for part in self.parts)

    @cached_property
    def cells(self) -> int:
        """Those of the largest part: one is asked after the other."""
        return max(part.cells for part in self.parts)

    def attribute(self, inputs: Any) -> Attribution:
        """Return the mean of the parts' effects."""
        found = [part.attribute(inputs) for part in self.parts]
        effects = np.average([each.effects for each in found], axis=0, weights=self.weights)
        return Attribution(effects, np.average([each.baselines for each in found], axis=0, weights=self.weights))

    def raw_outputs(self, inputs: Any) -> Floats:
        """Return the mean of what the parts answer."""
        answers = [part.raw_outputs(inputs) for part in self.parts]
        return np.asarray(np.average(answers, axis=0, weights=self.weights))


def columns_of(inputs: Any, columns: Sequence[int]) -> Any:
    """Return some columns of a frame or array, by their places, as an array without names."""
    return (inputs.to_numpy() if isinstance(inputs, pd.DataFrame) else inputs)[:, list(columns)]
