"""Convert columns of validated values to what pandas and scikit-learn take. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from model.card import InputForm
from model.feature import DATE_DTYPES, Feature, FeatureKind, Value

Floats = NDArray[np.float64]
Column = tuple[NDArray[Any], NDArray[np.integer[Any]]]
"""A dictionary-coded column: its distinct values, and per row, shape (n,), the index of its value, from 0."""

CATEGORY_DTYPE = "category"
_WHOLE_NUMBERS = ("int", "uint")
_ARROW = "[pyarrow]"


def column_of(feature: Feature, values: Any) -> pd.Series:
    """Return values as the column that the pipeline takes, missing ones as NaN (dates: NaT).

    Numbers are float64, dates datetime64[us], booleans bool, all others object; the feature's ``pandas_dtype`` names
    another dtype. Where a value does not fit it (see ``fits``), the whole column is of a wider one, as when pandas
    reads a CSV file: floats instead of whole numbers, objects instead of booleans. ``parts_of`` divides the rows.
    """
    dtype = feature.pandas_dtype
    if dtype and dtype.startswith(CATEGORY_DTYPE):
        return _categories(feature, values, dtype)
    match feature.kind:
        case FeatureKind.NUMBER:
            return _numbers(pd.Series(values, dtype=np.float64), dtype)
        case FeatureKind.DATE if dtype is None or dtype.startswith(DATE_DTYPES):
            return _dates(values, dtype or "datetime64[us]")
        case _:
            column = pd.Series(values, dtype=object)
    if dtype not in (None, "object", "bool"):
        return column.astype(dtype_of(dtype))
    if _is_plain_boolean(feature) and column.notna().all():
        return column.astype(bool)
    return column.where(column.notna(), np.nan)


def fits(feature: Feature, column: pd.Series) -> NDArray[np.bool_]:
    """Return which values of a column, shape (n,), the dtype that it had in training can hold."""
    if _is_plain_boolean(feature):
        return np.asarray(column.notna(), np.bool_)
    if _is_whole(feature):
        return _whole_numbers_fit(column.astype(np.float64), str(feature.pandas_dtype))
    return np.ones(len(column), np.bool_)


def parts_of(frame: pd.DataFrame, features: Sequence[Feature]) -> list[tuple[NDArray[np.intp], pd.DataFrame]]:
    """Divide a frame of columns as ``column_of`` makes them, so that no row's dtypes depend on another row.

    Return the places of each part's rows and these as a frame: first those that fit the dtypes of the training data,
    then for each set of columns that have to be wider those that need it. Nearly always all rows are one part.
    """
    widened = [feature for feature in features if _is_widened(feature, frame)]
    if not widened:
        return [(np.arange(len(frame)), frame)]
    misfits = np.column_stack([~fits(feature, frame[feature.name]) for feature in widened])
    # ``np.unique`` sorts, so that rows that fit everywhere (all False) come first.
    patterns, pattern_of = np.unique(misfits, axis=0, return_inverse=True)
    parts = []
    for number in range(len(patterns)):
        rows = np.flatnonzero(pattern_of.reshape(-1) == number)
        part = frame.iloc[rows].reset_index(drop=True)
        columns = {feature.name: column_of(feature, part[feature.name].array) for feature in widened}
        parts.append((rows, part.assign(**columns)))
    return parts


def in_order(parts: Sequence[tuple[NDArray[np.intp], NDArray[Any]]]) -> NDArray[Any]:
    """Return the answers to parts of the rows, each given with its rows' places, in the order of the rows."""
    if len(parts) == 1:
        return parts[0][1]
    return np.concatenate([answers for _, answers in parts])[np.argsort(np.concatenate([rows for rows, _ in parts]))]


def dtype_of(name: str) -> Any:
    """Return the pandas dtype of a name as a feature holds it; raise TypeError where no dtype can be made of it."""
    # By this name, pandas means a dtype of its own, which is not the one that has the name.
    if name == "string" + _ARROW:
        return pd.ArrowDtype(pa.string())
    return pd.api.types.pandas_dtype(name)


def category_dtype(feature: Feature) -> pd.CategoricalDtype:
    """Return the pandas dtype of a column of categories, in the pipeline's own type and order."""
    _, _, of = (feature.pandas_dtype or "").rstrip("]").partition("[")
    return pd.CategoricalDtype(pd.Index(list(feature.categories)).astype(of or "str"))


def _categories(feature: Feature, values: Any, dtype: str) -> pd.Series:
    places = {category: place for place, category in enumerate(feature.categories)}
    # To pandas, the code -1 is a missing value.
    codes = [-1 if is_missing(value) else places.get(str(value), -1) for value in values]
    return pd.Series(pd.Categorical.from_codes(codes, dtype=category_dtype(feature)))


def _numbers(numbers: pd.Series, dtype: str | None) -> pd.Series:
    if dtype is None:
        return numbers
    if dtype.lower().startswith(_WHOLE_NUMBERS) and not _whole_numbers_fit(numbers, dtype).all():
        if dtype.endswith(_ARROW):
            return numbers.astype(dtype_of("double" + _ARROW))
        # A nullable column stays nullable: what is missing in it is ``pd.NA``, not NaN.
        return numbers.astype("Float64") if _is_nullable(dtype) else numbers
    return numbers.astype(dtype_of(dtype))


def _whole_numbers_fit(numbers: pd.Series, dtype: str) -> NDArray[np.bool_]:
    limits = np.iinfo(dtype.lower().removesuffix(_ARROW))
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    # As a float, the largest number of 64 bits is one more, which does not fit.
    fitting = (values == np.round(values)) & (values >= float(limits.min)) & (values < float(limits.max) + 1)
    return np.asarray(fitting | np.isnan(values) if _is_nullable(dtype) else fitting, np.bool_)


def _is_nullable(dtype: str) -> bool:
    return dtype[0].isupper() or dtype.endswith(_ARROW)


def _is_whole(feature: Feature) -> bool:
    return feature.kind is FeatureKind.NUMBER and (feature.pandas_dtype or "").lower().startswith(_WHOLE_NUMBERS)


def _is_plain_boolean(feature: Feature) -> bool:
    return feature.kind is FeatureKind.BOOLEAN and feature.pandas_dtype in (None, "bool")


def _is_widened(feature: Feature, frame: pd.DataFrame) -> bool:
    if _is_plain_boolean(feature):
        return bool(frame[feature.name].dtype != bool)
    return _is_whole(feature) and str(frame[feature.name].dtype) != feature.pandas_dtype


def _dates(values: Any, dtype: str) -> pd.Series:
    if dtype.endswith(_ARROW):
        return _dates(values, "datetime64[us]").astype(dtype_of(dtype))
    # With this format, a column may mix days and times; otherwise the first value sets the format of all.
    moments = pd.Series(pd.to_datetime(pd.Series(values, dtype=object), format="ISO8601"))
    unit, _, zone = dtype.removeprefix("datetime64[").rstrip("]").partition(", ")
    if zone:
        # Validated times are in UTC, without a zone.
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


def as_input(frame: pd.DataFrame, form: InputForm) -> Any:
    """Return a frame in the form that the pipeline takes."""
    match form:
        case InputForm.FRAME:
            return frame
        case InputForm.ARRAY:
            return frame.to_numpy()
        case InputForm.TEXTS:
            return frame.iloc[:, 0].to_numpy()
