"""Columns of records on their way into a pipeline: from validated values to what pandas and scikit-learn take. Pure."""

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

AS_CATEGORY, AS_OBJECT = "category", "object"


def column_of(feature: Feature, values: Any) -> pd.Series:
    """Return values as the column a pipeline takes, missing ones as NaN (dates: NaT).

    Numbers are float64, dates datetime64[us], booleans bool where none is missing, all others object; `given_as` of the
    feature names another dtype.
    """
    match feature.kind:
        case FeatureKind.NUMBER:
            return pd.Series(values, dtype=np.float64)
        case FeatureKind.DATE if feature.given_as != AS_OBJECT:
            return pd.Series(pd.to_datetime(pd.Series(values, dtype=object), format="ISO8601")).astype("datetime64[us]")
        case _:
            column = pd.Series(values, dtype=object)
    if feature.given_as == AS_CATEGORY:
        return column.astype(pd.CategoricalDtype(list(feature.categories)))
    if feature.kind is FeatureKind.BOOLEAN and column.notna().all():
        return column.astype(bool)
    return column.where(column.notna(), np.nan)


def frame_of(records: Sequence[Mapping[str, Value]], features: Sequence[Feature]) -> pd.DataFrame:
    """Return validated records as a frame, one column per feature, as `column_of` makes them."""
    return pd.DataFrame(
        {feature.name: column_of(feature, [record[feature.name] for record in records]) for feature in features}
    )


def code_frame(frame: pd.DataFrame, features: Sequence[Feature]) -> dict[str, Column]:
    """Return the columns of `frame` dictionary-coded; raises KeyError where a feature has no column."""
    return {feature.name: _coded(frame[feature.name]) for feature in features}


def code_records(records: Sequence[Mapping[str, Value]], features: Sequence[Feature]) -> dict[str, Column]:
    """Return validated records as coded columns, one distinct value per record: the quick way for a few records."""
    codes = np.arange(len(records))
    return {
        feature.name: (np.array([record[feature.name] for record in records], dtype=object), codes)
        for feature in features
    }


def is_missing(value: Any) -> bool:
    """Tell whether a value stands for a missing one: None, NaN or pandas' NA."""
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _coded(column: pd.Series) -> Column:
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    return np.asarray(distinct, dtype=object), codes
