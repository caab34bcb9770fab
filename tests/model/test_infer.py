"""What a column of texts shows of a feature: its limits, and the value that stands in the form."""

import pandas as pd
import pytest

from model.infer import infer_feature


@pytest.mark.parametrize(
    ("numbers", "default"),
    [
        ([0.038075906433423026, 0.05068011873981862, 0.061696206518683294], 0.05068),
        ([3, 17, 20_001], 17),
        ([123_456, 123_457, 123_458], 123_457),
        ([1.00001, 1.00002, 1.00003], 1.00002),
        ([-0.0000123456, 0.5, 1.5], 0.5),
        ([1e40, 2e40], 1e40),
    ],
)
def test_the_number_in_the_form_is_short_and_one_that_the_data_could_hold(numbers: list[float], default: float) -> None:
    feature = infer_feature("length", pd.Series(map(repr, numbers)))
    assert feature.default == default == feature.example
    assert min(numbers) <= default <= max(numbers)


@pytest.mark.parametrize(
    ("numbers", "limits"),
    [
        ([0, 10], (0, 15)),
        ([-1, 10], (-6.5, 16)),
        ([5, 5], (0, 10)),
        ([0, 0], (0, 1)),
        ([0.5, 1.234], (0.13, 1.7)),
        ([1_000, 90_000], (0, 140_000)),
    ],
)
def test_the_limits_are_wider_than_the_data_and_round(numbers: list[float], limits: tuple[float, float]) -> None:
    feature = infer_feature("length", pd.Series(map(repr, numbers)))
    assert (feature.minimum, feature.maximum) == pytest.approx(limits)
