"""Variants of a test of which ``make test`` takes a few; ``make check-slow`` runs the others."""

from typing import Any

import pytest


def slow(*values: Any) -> list[Any]:
    """Return parameters for ``pytest.mark.parametrize`` that are left to ``make check-slow``.

    A tuple stands for several arguments of a test.
    """
    return [
        pytest.param(*value, marks=pytest.mark.slow)
        if isinstance(value, tuple)
        else pytest.param(value, marks=pytest.mark.slow)
        for value in values
    ]
