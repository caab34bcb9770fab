"""Compare two answers to a record: labels have to be equal, numbers to a millionth. Pure."""

import math
from collections.abc import Sequence

TOLERANCE = 1e-6
"""Relative and absolute: probabilities are written with 6 decimals."""

Part = str | float


def same_answers(one: Sequence[Part], other: Sequence[Part]) -> bool:
    """Return whether two sequences of a record's predictions and scores are the same."""
    return len(one) == len(other) and all(map(_same, one, other))


def format_answer(answer: Sequence[Part]) -> str:
    """Return predictions and scores as messages show them."""
    return ", ".join(repr(part) if isinstance(part, str) else f"{part:.6g}" for part in answer)


def _same(one: Part, other: Part) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
