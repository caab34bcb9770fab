"""A schema is inferred from the user's table."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from model.columns import column_of
from model.errors import RefusedModel
from model.monitoring.training_summary import summarise
from model.onboarding.schema_inference import infer_feature, with_distinct_titles


def test_features_whose_titles_would_be_equal_are_told_apart_by_their_names() -> None:
    numbers = pd.Series([1.0, 2.0, 3.0])
    features = [infer_feature(name, numbers.astype(str), numbers) for name in ("A b", "a_b", "hours_per_week")]
    assert [feature.title for feature in features] == ["A b", "A b", "Hours per week"]
    titles = [feature.title for feature in with_distinct_titles(features)]
    assert titles == ["A b (A b)", "A b (a_b)", "Hours per week"]


@pytest.mark.parametrize(
    ("values", "dtype", "odd"),
    [
        ([1, 2, None], pa.int64(), [7.5]),
        ([1, 255], pa.uint8(), [256.0]),
        ([0.5, None], pa.float64(), []),
        ([True, None], pa.bool_(), []),
        (["a", "b", None], pa.string(), []),
        (["a", "b"], pa.large_string(), []),
        ([pd.Timestamp("2024-01-02"), None], pa.timestamp("us"), []),
        ([pd.Timestamp("2024-01-02").date(), None], pa.date32(), []),
    ],
)
def test_columns_of_arrow_dtypes_keep_them(values: list[object], dtype: pa.DataType, odd: list[float]) -> None:
    column = pd.Series(pd.array(values, dtype=pd.ArrowDtype(dtype)))
    texts = column.astype(object).map(str).where(column.notna(), "")
    feature = infer_feature("x", texts, column)
    read = [None if text == "" else feature.parse(text) for text in texts]
    pd.testing.assert_series_equal(column_of(feature, read), column)
    if odd:
        assert column_of(feature, [*read, *odd]).dtype == pd.ArrowDtype(pa.float64())


def test_a_dtype_that_has_no_name_is_refused_in_one_line() -> None:
    column = pd.Series(pd.array([Decimal("1.50")], dtype=pd.ArrowDtype(pa.decimal128(10, 2))))
    with pytest.raises(
        RefusedModel, match=r"column 'x' is of the dtype decimal128\(10, 2\)\[pyarrow\], which"
    ) as raised:
        infer_feature("x", column.astype(str), column)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "values", [2.0**60 + np.arange(12), 2.0**60 + 256 * np.arange(5), np.full(3, -1e300), [0.0], [3, 4]]
)
def test_numbers_too_large_to_be_told_apart_have_bins(values: list[float]) -> None:
    numbers = pd.Series(values, dtype=float)
    histogram = summarise(pd.DataFrame({"x": numbers}), [infer_feature("x", numbers.astype(str), numbers)])[
        "x"
    ].histogram
    assert histogram
    assert sum(histogram.counts) == len(numbers)
    assert (np.diff(histogram.edges) > 0).all()
