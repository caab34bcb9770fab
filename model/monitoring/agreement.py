"""How far two models agree on the same rows: what is counted in each chunk, and what the counts mean. Pure.

Imports no numpy, since the web process loads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from model.card import Card, ModelKind, Scores

ROWS, EQUAL, DIFFERENCE = "agreement:rows", "agreement:equal", "agreement:difference"
"""Names of counts in a job's summary: rows scored, rows with equal predictions, the sum of differences."""

LARGEST_DIFFERENCE = 2**30
"""The most units that one row counts for, so that sums stay integers that the store can hold."""

_UNITS = 1_000_000


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two models agree on ``rows`` rows.

    ``equal`` is the number of rows with the same prediction, and ``share`` their share, for classifiers of the same
    classes. ``mean_difference`` is the mean absolute difference of their probabilities (with more than two classes,
    half the sum over the classes), or of the predictions of regressors. What is undefined for the two models is None.
    """

    rows: int
    equal: int | None
    share: float | None
    mean_difference: float | None


def same_classes(first: Card, second: Card) -> bool:
    """Return whether both are classifiers of the same classes, in any order."""
    return bool(first.classes) and set(first.classes) == set(second.classes)


def difference_unit(first: Card, second: Card) -> float | None:
    """Return the unit in which differences are counted, or None where the two have no comparable scores.

    It is a millionth of 1, or of the range of the first regressor's predictions.
    """
    if first.kind is second.kind is ModelKind.REGRESSOR:
        edges = first.prediction_edges
        # The range makes the unit fit targets of any size.
        return ((edges[-1] - edges[0] if edges else 0.0) or 1.0) / _UNITS
    both = first.scores is second.scores is Scores.PROBABILITY
    return 1 / _UNITS if both and same_classes(first, second) else None


def agreement(first: Card, second: Card, counts: Mapping[str, int]) -> Agreement | None:
    """Return the agreement that a job's counts show; None where no row was scored."""
    rows = counts.get(ROWS, 0)
    if not rows:
        return None
    equal = counts.get(EQUAL, 0) if same_classes(first, second) else None
    unit = difference_unit(first, second)
    return Agreement(
        rows=rows,
        equal=equal,
        share=None if equal is None else equal / rows,
        mean_difference=None if unit is None else counts.get(DIFFERENCE, 0) * unit / rows,
    )
