"""Find how the texts of a table became the frame that a pipeline was fitted on, among the usual readings.

A CSV file does not say whether ``007`` was a number, ``NA`` a category or a missing value, or whether spaces were kept.
Two things do: the values that a fitted pipeline knows, and whether it predicts at all. Without either, the reading is
that of ``read_csv`` with its defaults.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from model.onboarding.known_values import KnownValues
from model.onboarding.training_data import TrainingData, as_pandas_reads
from model.parsing import parse_date, parse_number

Reading = Callable[[Sequence[str]], pd.Series]

# Rows on which a reading is tried first.
_TRIED_ROWS = 500
# Columns with more distinct texts are not read as categories.
_MAX_CATEGORIES = 1000
# So few words stand for missing values, each in so many rows at least.
_MAX_UNKNOWN = 5
_OFTEN = 10


def _stripped(texts: Sequence[str]) -> list[str]:
    return [text.strip() for text in texts]


# How a column comes out of ``read_csv`` and the usual steps after it, from the most common to the rarest.
_READINGS: tuple[Reading, ...] = (
    as_pandas_reads,
    lambda texts: as_pandas_reads(texts, dtype="str"),
    lambda texts: as_pandas_reads(_stripped(texts)),
    lambda texts: as_pandas_reads(_stripped(texts), missing=["?"]),
    lambda texts: as_pandas_reads(texts, no_missing=True),
    lambda texts: as_pandas_reads(texts, dtype="str", no_missing=True),
    lambda texts: as_pandas_reads(_stripped(texts), no_missing=True),
    lambda texts: as_pandas_reads(_stripped(texts), dtype="str"),
    lambda texts: as_pandas_reads(texts).astype("str"),
    lambda texts: pd.to_datetime(as_pandas_reads(texts), format="ISO8601"),
)


def user_frame(
    data: TrainingData,
    names: Sequence[str],
    known: Mapping[str, KnownValues],
    answers: Callable[[pd.DataFrame], bool],
) -> pd.DataFrame | None:
    """Return the named columns, shape (n, features), as the pipeline was fitted on them; None where no reading works.

    ``known`` are the values that the pipeline knows, by column; ``answers`` tells whether it predicts a frame. A
    reading of which it predicts every row is preferred to one of which it predicts the rows without missing values.
    Columns whose dtype the user or the file gives stay as they are.
    """
    frame = data.frame[list(names)].copy()
    inferred = (
        []
        if data.exact
        else [name for name in names if name not in data.dtypes or _needs_categories(frame[name], known.get(name))]
    )
    for name in inferred:
        if name in known:
            frame[name] = known_reading(data.texts[name], frame[name], known[name])
    undecided = [name for name in inferred if name not in known or not known[name].values]
    incomplete = []
    for change in _changes():
        candidate = change(frame, data.texts, undecided)
        if candidate is None:
            continue
        # Most wrong readings already fail on the first rows, which take no time.
        if answers(candidate.head(_TRIED_ROWS)) and answers(candidate):
            return candidate
        incomplete.append(candidate)
    return next(
        (candidate for candidate in incomplete if len(candidate.dropna()) and answers(candidate.dropna())), None
    )


def _needs_categories(column: pd.Series, known: KnownValues | None) -> bool:
    """Return whether a column that the user declared a category still needs those that the pipeline knows."""
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    return is_category and known is not None and known.as_category and bool(known.values)


def known_reading(texts: pd.Series, default: pd.Series, known: KnownValues) -> pd.Series:
    """Return the reading of a column of which the pipeline knows most values; of equal ones, the most common."""
    if not known.values:
        return default.astype("category") if known.as_category else default
    # Every reading parses the distinct texts only, and is then spread over the rows.
    codes, distinct = pd.factorize(texts)
    best, most = default, known.match(default)
    for reading in _READINGS:
        if most == (1.0, 1.0):
            break
        try:
            values = reading(distinct.tolist())
        except (TypeError, ValueError, OverflowError):
            continue
        column = pd.Series(values.array.take(codes), index=texts.index)
        # Only where it is better: the readings are ordered from the most common one.
        if (match := known.match(column)) > most:
            best, most = column, match
    best = _without_unknown(best, known)
    return _as_categories(best, known.values) if known.as_category else best


def _without_unknown(column: pd.Series, known: KnownValues) -> pd.Series:
    """Return a column with the few frequent values as missing that training would have shown, had they been values.

    So it is after ``read_csv(na_values=…)``. A rare value may be one of records that were held out.
    """
    if not (known.learnt and known.missing):
        return column
    counts = column.value_counts(dropna=True)
    unknown = counts[~counts.index.isin(list(known.values))]
    if not 0 < len(unknown) <= _MAX_UNKNOWN or unknown.min() < _OFTEN:
        return column
    return column.mask(column.isin(unknown.index))


def _as_categories(column: pd.Series, values: Sequence[Any]) -> pd.Series:
    categories = pd.Index(list(values))
    # A gap makes whole numbers floats: mapping takes 1.0 for the category 1, and unknown values for missing.
    known = column if column.dtype == categories.dtype else column.map({value: value for value in values})
    return known.astype(pd.CategoricalDtype(categories))


Change = Callable[[pd.DataFrame, pd.DataFrame, Sequence[str]], pd.DataFrame | None]


def _changes() -> Iterator[Change]:
    """Yield what people do to a frame after reading it: each returns a frame, or None where it changes nothing."""
    yield lambda frame, texts, names: frame
    yield from (
        _numbers_with_words,
        _strip_spaces,
        _categories,
        _dates,
        _categories_and_dates,
        _empty_texts,
        _all_texts,
    )


def _numbers_with_words(frame: pd.DataFrame, texts: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame | None:
    """Read columns of texts that are mostly numbers as numbers: ``to_numeric(errors="coerce")``."""
    return _changed(frame, _texts_of(frame, names), lambda name: _coerced(texts[name]))


def _coerced(texts: pd.Series) -> pd.Series | None:
    numbers = texts.str.strip().map(parse_number).astype(np.float64)
    return numbers if numbers.notna().mean() > 0.5 else None


def _strip_spaces(frame: pd.DataFrame, texts: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame | None:
    """Strip the spaces around texts, and read a question mark as missing."""

    def strip(name: str) -> pd.Series | None:
        codes, distinct = pd.factorize(texts[name])
        values = as_pandas_reads(_stripped(distinct.tolist()), missing=["?"])
        return pd.Series(values.array.take(codes), index=frame.index)

    return _changed(frame, _texts_of(frame, names), strip)


def _categories(frame: pd.DataFrame, texts: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame | None:
    def categories(name: str) -> pd.Series | None:
        return frame[name].astype("category") if frame[name].nunique() <= _MAX_CATEGORIES else None

    return _changed(frame, _texts_of(frame, names), categories)


def _dates(frame: pd.DataFrame, texts: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame | None:
    return _changed(frame, _texts_of(frame, names), lambda name: _parsed_dates(frame[name]))


def _parsed_dates(column: pd.Series) -> pd.Series | None:
    present = column.dropna().unique()
    if not len(present) or not all(parse_date(str(text)) for text in present):
        return None
    return pd.to_datetime(column, format="ISO8601")


def _categories_and_dates(frame: pd.DataFrame, texts: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame | None:
    dated = _dates(frame, texts, names)
    return None if dated is None else _categories(dated, texts, names)


def _empty_texts(frame: pd.DataFrame, texts: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame | None:
    """Read the missing values of columns of texts as empty texts: ``fillna("")``."""
    absent = [name for name in _texts_of(frame, names) if frame[name].isna().any()]
    return _changed(frame, absent, lambda name: frame[name].fillna(""))


def _all_texts(frame: pd.DataFrame, texts: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame | None:
    """Read every column as texts: ``read_csv(dtype=str)``."""
    texts_already = set(_texts_of(frame, names))
    others = [name for name in names if name not in texts_already]
    return _changed(frame, others, lambda name: as_pandas_reads(texts[name].tolist(), dtype="str"))


def _texts_of(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [name for name in names if pd.api.types.is_string_dtype(frame[name]) or frame[name].dtype == object]


def _changed(
    frame: pd.DataFrame, names: Sequence[str], change: Callable[[str], pd.Series | None]
) -> pd.DataFrame | None:
    columns = {name: column for name in names if (column := change(name)) is not None}
    return frame.assign(**columns) if columns else None
