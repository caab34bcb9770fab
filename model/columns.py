"""Convert columns of validated values to what pandas and scikit-learn take. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.schema import Feature, FeatureKind, Value

Floats = NDArray[np.float64]
Column = tuple[NDArray[Any], NDArray[np.integer[Any]]]
"""A dictionary-coded column: its distinct values, and per row, shape (n,), the index of its value, from 0."""

CATEGORY_DTYPE = "category"
_WHOLE_NUMBERS = ("int", "uint")


def column_of(feature: Feature, values: Any) -> pd.Series:
    """Return values as the column that the pipeline takes, missing ones as NaN (dates: NaT).

    Numbers are float64, dates datetime64[us], booleans bool where none is missing, all others object; the feature's
    ``pandas_dtype`` names another dtype. As when pandas reads a CSV file, a column of whole numbers in which one is
    missing or has a fraction is one of floats.
    """
    dtype = feature.pandas_dtype
    if dtype and dtype.startswith(CATEGORY_DTYPE):
        return _categories(feature, values, dtype)
    match feature.kind:
        case FeatureKind.NUMBER:
            return _numbers(pd.Series(values, dtype=np.float64), dtype)
        case FeatureKind.DATE if dtype is None or dtype.startswith("datetime64"):
            return _dates(values, dtype or "datetime64[us]")
        case _:
            column = pd.Series(values, dtype=object)
    if dtype not in (None, "object", "bool"):
        return column.astype(dtype)
    if feature.kind is FeatureKind.BOOLEAN and column.notna().all():
        return column.astype(bool)
    return column.where(column.notna(), np.nan)


def category_dtype(feature: Feature) -> pd.CategoricalDtype:
    """Return the pandas dtype of a column of categories, in the pipeline's own type and order."""
    _, _, of = (feature.pandas_dtype or "").rstrip("]").partition("[")
    return pd.CategoricalDtype(pd.Index(list(feature.categories)).astype(of or "str"))


def _categories(feature: Feature, values: Any, dtype: str) -> pd.Series:
    places = {category: place for place, category in enumerate(feature.categories)}
    codes = [-1 if is_missing(value) else places.get(str(value), -1) for value in values]
    return pd.Series(pd.Categorical.from_codes(codes, dtype=category_dtype(feature)))


def _numbers(numbers: pd.Series, dtype: str | None) -> pd.Series:
    if dtype is None:
        return numbers
    if not dtype.lower().startswith(_WHOLE_NUMBERS):
        return numbers.astype(dtype)
    present = numbers.dropna()
    nullable = dtype[0].isupper()
    if len(present) < len(numbers) and not nullable:
        return numbers
    limits = np.iinfo(dtype.lower())
    fits = (present == present.round()) & present.between(float(limits.min), float(limits.max), inclusive="left")
    if not fits.all():
        return numbers.astype("Float64") if nullable else numbers
    return numbers.astype(dtype)


def _dates(values: Any, dtype: str) -> pd.Series:
    moments = pd.Series(pd.to_datetime(pd.Series(values, dtype=object), format="ISO8601"))
    unit, _, zone = dtype.removeprefix("datetime64[").rstrip("]").partition(", ")
    if zone:
        moments = moments.dt.tz_localize("UTC").dt.tz_convert(zone)
    return moments.dt.as_unit(unit)


def frame_of(records: Sequence[Mapping[str, Value]], features: Sequence[Feature]) -> pd.DataFrame:
    """Return validated records as a frame, one column per feature, as ``column_of`` makes it."""
    return pd.DataFrame(
        {feature.name: column_of(feature, [record[feature.name] for record in records]) for feature in features}
    )


def code_frame(frame: pd.DataFrame, features: Sequence[Feature]) -> dict[str, Column]:
    """Return the columns of ``frame`` dictionary-coded; raise KeyError where a feature has no column."""
    return {feature.name: _dictionary_encode(frame[feature.name]) for feature in features}


def code_records(records: Sequence[Mapping[str, Value]], features: Sequence[Feature]) -> dict[str, Column]:
    """Return validated records as coded columns, one distinct value per record: the fast path for a few."""
    codes = np.arange(len(records))
    return {
        feature.name: (np.array([record[feature.name] for record in records], dtype=object), codes)
        for feature in features
    }


def is_missing(value: Any) -> bool:
    """Return whether a value stands for a missing one: None, NaN or pandas' NA."""
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _dictionary_encode(column: pd.Series) -> Column:
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    return np.asarray(distinct, dtype=object), codes
