"""Validating whole columns: each distinct text is parsed once, by the rules of `Feature.parse`. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.schema import Fault, Feature, FeatureKind, Value

# Texts that Arrow's and Python's float parsers read alike; all others go through `Feature.parse`.
_PLAIN_NUMBER = r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$"
# Looking for a similar category is slow, and of little use past the first hundred misspellings.
_MOST_SUGGESTIONS = 100


@dataclass(frozen=True, slots=True)
class ParsedValues:
    """What the distinct texts of a column mean.

    `values`, shape (distinct,): float64 for numbers (NaN: missing), objects for categories (None: missing); of a text
    at fault, it is missing. `faults` maps the index of such a text to its fault.
    """

    values: NDArray[Any]
    faults: dict[int, Fault]


def parse_distinct(feature: Feature, texts: pa.StringArray) -> ParsedValues:
    """Parse the distinct texts of one feature's column."""
    if feature.kind is FeatureKind.NUMBER:
        return _parse_numbers(feature, texts)
    parsed, faults = _parse_each(feature, enumerate(texts.to_pylist()))
    values = np.empty(len(texts), dtype=object)
    for index, value in parsed.items():
        values[index] = value
    return ParsedValues(values, faults)


def _parse_numbers(feature: Feature, texts: pa.StringArray) -> ParsedValues:
    plain = pc.match_substring_regex(texts, _PLAIN_NUMBER)
    numbers = pc.cast(pc.if_else(plain, texts, pa.scalar(None, pa.string())), pa.float64())
    values = numbers.to_numpy(zero_copy_only=False).copy()
    fine = np.isfinite(values)
    fine &= (values >= _or(feature.minimum, -np.inf)) & (values <= _or(feature.maximum, np.inf))
    if feature.integer:
        fine &= values == np.floor(values)
    others = np.flatnonzero(~fine)
    parsed, faults = _parse_each(feature, zip(others.tolist(), texts.take(pa.array(others)).to_pylist(), strict=True))
    values[others] = np.nan
    for index, value in parsed.items():
        values[index] = np.nan if value is None else value
    return ParsedValues(values, faults)


def _or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else float(limit)


def _parse_each(feature: Feature, texts: Any) -> tuple[dict[int, Value], dict[int, Fault]]:
    values: dict[int, Value] = {}
    faults: dict[int, Fault] = {}
    for index, text in texts:
        value = feature.parse(text, suggest=len(faults) < _MOST_SUGGESTIONS)
        if isinstance(value, Fault):
            faults[index] = value
        else:
            values[index] = value
    return values, faults
