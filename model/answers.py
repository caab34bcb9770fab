"""Compare two answers to a record: labels have to be equal, numbers to a millionth. Pure."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-6
"""Relative; for a classifier's scores absolute, too: probabilities are written with 6 decimals."""
SPREAD_SHARE = 1e-9
"""Absolute for all other numbers, as a share of the largest: a target may be of any size. Of float32, TOLERANCE is."""

Part = str | float


def same_answers(one: Sequence[Part], other: Sequence[Part], absolute: Sequence[float] = ()) -> bool:
    """Return whether two sequences of a record's predictions and scores are the same.

    ``absolute``: how far each of them may differ near 0, as ``absolute_tolerance`` says; else a millionth.
    """
    tolerances = absolute or [TOLERANCE] * len(one)
    return len(one) == len(other) == len(tolerances) and all(map(_same, one, other, tolerances))


def absolute_tolerance(numbers: NDArray[Any]) -> float:
    """Return how far numbers near 0 may differ, from all of a model's numbers of the same kind."""
    largest = float(np.abs(numbers).max(initial=0.0))
    with np.errstate(over="ignore"):
        is_single = bool((numbers.astype(np.float32) == numbers).all())
    return largest * (TOLERANCE if is_single else SPREAD_SHARE)


def format_answer(answer: Sequence[Part]) -> str:
    """Return predictions and scores as messages show them."""
    return ", ".join(repr(part) if isinstance(part, str) else f"{part:.6g}" for part in answer)


def _same(one: Part, other: Part, absolute: float) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=absolute)
