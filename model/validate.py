"""Validate whole columns: each distinct text is parsed once, by the rules of ``Feature.read``. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.faults import Faults, all_shown
from model.parsing import (
    COMMA_NUMBER_PATTERN,
    DECIMAL_POINT,
    NUMBER_PATTERN,
    OTHER_MARK,
    TWO_MEANINGS_PATTERN,
    NumberFormat,
)
from model.schema import Fault, FaultCode, Feature, FeatureKind, UnseenPolicy, Value, Warned

# Texts that Arrow's and Python's float parsers read alike, and that no float overflows on, if they are not too long;
# all others go through ``Feature.read``.
_PLAIN_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$"
_MAX_PLAIN_NUMBER = 200
_ANY_NUMBER = {".": f"^(?:{NUMBER_PATTERN})$", ",": f"^(?:{COMMA_NUMBER_PATTERN})$"}
_TWO_MEANINGS = f"^(?:{TWO_MEANINGS_PATTERN})$"
# Texts that messages show unchanged between apostrophes: ASCII, without apostrophes, backslashes and spaces around.
_PLAIN_WORD = r"^[!-&(-\[\]-~]([ -&(-\[\]-~]*[!-&(-\[\]-~])?$"
# Looking for a similar category is slow, and past the first hundred misspellings of little use.
_MAX_SUGGESTIONS = 100
# Texts that are read faster one by one than all at once.
_FEW_TEXTS = 20

Mask = NDArray[np.bool_]
IndexedFaults = tuple[NDArray[np.int64], Faults]
"""Ascending indices of texts, and the fault of each."""


@dataclass(frozen=True, slots=True)
class ParsedValues:
    """What the distinct texts of a column mean.

    ``values``, shape (distinct,), are float64 for numbers (NaN: missing), objects for all others (None: missing); a
    text at fault is missing. ``at_fault``, shape (f,), are the ascending indices of such texts, ``faults`` what is
    wrong with each. ``unusual``, shape (w,), are the ascending indices of texts whose value never occurred in training
    and is scored all the same, ``warnings`` what is unusual about each.
    """

    values: NDArray[Any]
    at_fault: NDArray[np.int64]
    faults: Faults
    unusual: NDArray[np.int64]
    warnings: Faults

    def without_those_of(self, other: Self) -> Self:
        """Return a copy without the faults and warnings of texts for which ``other`` has one."""
        faults = np.flatnonzero(~np.isin(self.at_fault, other.at_fault))
        warnings = np.flatnonzero(~np.isin(self.unusual, other.unusual))
        return replace(
            self,
            at_fault=self.at_fault[faults],
            faults=self.faults.take(faults),
            unusual=self.unusual[warnings],
            warnings=self.warnings.take(warnings),
        )


def parse_distinct(
    feature: Feature, texts: pa.StringArray, numbers: NumberFormat = DECIMAL_POINT, suggest: bool = True
) -> ParsedValues:
    """Parse the distinct texts of a feature's column: those of the usual kinds, right or wrong, all at once.

    Unless told not to ``suggest`` any, the first faults of unknown categories name a similar one.
    """
    max_suggestions = _MAX_SUGGESTIONS if suggest else 0
    values: NDArray[Any] = np.empty(len(texts), dtype=object)
    unusual: dict[FaultCode, Mask] = {}
    if feature.kind is FeatureKind.NUMBER:
        values, unusual = _numbers(feature, texts, numbers)
    elif feature.kind is FeatureKind.CATEGORY and feature.limits_reject and not feature.has_numeric_categories:
        few = max(max_suggestions, _FEW_TEXTS)
        unusual = _unknown_categories(feature, texts, max_suggestions) if len(texts) > few else {}
    is_known = np.any([*unusual.values(), _is_number(values)], axis=0)
    read = _read_each(feature, texts, np.flatnonzero(~is_known), values, numbers, max_suggestions)
    at_fault, warned = [read.faults], [read.warnings]
    for code, mask in unusual.items():
        places = np.flatnonzero(mask)
        group = warned if _is_scored(feature, code) else at_fault
        group.append((places, _faults(feature, code, texts.filter(pa.array(mask)))))
        if group is at_fault and values.dtype == np.float64:
            # The value of a text at fault is missing; a warned number stays.
            values[places] = np.nan
    return ParsedValues(values, *_in_order(at_fault), *_in_order(warned))


def _is_scored(feature: Feature, code: FaultCode) -> bool:
    """Return whether a number that never occurred in training is scored as it is."""
    return feature.unseen is UnseenPolicy.WARN and code not in (FaultCode.NOT_A_NUMBER, FaultCode.AMBIGUOUS_NUMBER)


def _in_order(parts: Sequence[IndexedFaults]) -> IndexedFaults:
    """Return the faults of all parts in the order of their texts."""
    parts = [part for part in parts if len(part[0])] or list(parts[:1])
    if len(parts) == 1:
        return parts[0]
    places = np.concatenate([places for places, _ in parts])
    order = np.argsort(places)
    return places[order], Faults.joined([faults for _, faults in parts]).take(order)


def _numbers(
    feature: Feature, texts: pa.StringArray, format_: NumberFormat
) -> tuple[NDArray[np.float64], dict[FaultCode, Mask]]:
    """Return the plain numbers (NaN for other texts), and masks of the texts that are wrong in a usual way."""
    written = _with_point(texts, format_)
    short = pc.less_equal(pc.binary_length(texts), _MAX_PLAIN_NUMBER)
    plain = pc.and_(pc.match_substring_regex(written, _PLAIN_NUMBER), short)
    # A number such as -999 may mean "missing"; ``Feature.read`` decides.
    if feature.missing_words:
        plain = pc.and_not(plain, pc.is_in(texts, value_set=pa.array(feature.missing_words, pa.string())))
    numbers = pc.cast(pc.if_else(plain, written, pa.scalar(None, pa.string())), pa.float64())
    # A copy, since Arrow's memory may not be written to.
    values = numbers.to_numpy(zero_copy_only=False).copy()
    ambiguous = _ambiguous(feature, texts, format_)
    values[ambiguous] = np.nan
    is_known = np.isfinite(values)
    whole = is_known & (values == np.floor(values)) if feature.integer else is_known
    within = (values >= _limit(feature.minimum, -np.inf)) & (values <= _limit(feature.maximum, np.inf))
    # The usual case: nothing but numbers within their limits.
    if (whole & within).all():
        return values, {}
    unusual: dict[FaultCode, Mask] = {FaultCode.AMBIGUOUS_NUMBER: ambiguous} if ambiguous.any() else {}
    if feature.unseen is UnseenPolicy.MISSING:  # ``Feature.read`` decides
        values[~(whole & within)] = np.nan
    else:
        values[~is_known] = np.nan
        unusual |= {FaultCode.NOT_AN_INTEGER: is_known & ~whole, FaultCode.OUT_OF_RANGE: whole & ~within}
    places = np.flatnonzero(~is_known & ~ambiguous)
    return values, unusual | {FaultCode.NOT_A_NUMBER: _not_numbers(feature, texts, places, format_.decimal)}


def _with_point(texts: pa.StringArray, format_: NumberFormat) -> pa.StringArray:
    """Return what ``NumberFormat.plain`` makes of each text."""
    if format_.decimal == ".":
        return texts
    plain = pc.replace_substring(pc.replace_substring(texts, ".", ""), ",", ".")
    return pc.if_else(pc.match_substring_regex(texts, _ANY_NUMBER[","]), plain, "")


def _ambiguous(feature: Feature, texts: pa.StringArray, format_: NumberFormat) -> Mask:
    """Return which texts are ambiguous numbers; not those that mean a missing value."""
    if format_.is_certain:
        return np.zeros(len(texts), np.bool_)
    mask = _matches(texts, _TWO_MEANINGS)
    if format_.decimal == ".":
        mask |= _matches(texts, _ANY_NUMBER[","]) & _mask(pc.match_substring(texts, ","))
    return mask & _meaningless_words(feature, texts)


def _not_numbers(feature: Feature, texts: pa.StringArray, places: NDArray[np.int64], decimal: str) -> Mask:
    """Return which of the texts at some indices are no numbers; not those whose fault may have a hint."""
    subset = texts.take(pa.array(places))
    wrong = _meaningless_words(feature, subset) & ~_matches(subset, _ANY_NUMBER[decimal])
    mask = np.zeros(len(texts), np.bool_)
    # A number with the other mark gets a hint, which ``Feature.read`` words.
    mask[places] = wrong & ~_mask(pc.match_substring(subset, OTHER_MARK[decimal]))
    return mask


def _unknown_categories(feature: Feature, texts: pa.StringArray, max_suggestions: int) -> dict[FaultCode, Mask]:
    """Return which texts are unknown categories, without those for which a similar one is looked for."""
    unknown = _meaningless_words(feature, texts)
    # The first ones are read one by one, each for a suggestion.
    return {FaultCode.UNKNOWN_CATEGORY: unknown & (np.cumsum(unknown) > max_suggestions)}


def _meaningless_words(feature: Feature, texts: pa.StringArray) -> Mask:
    """Return which texts are plain words that mean neither a category nor a missing value."""
    # Only of plain ASCII is ``utf8_lower`` the same as ``str.casefold``.
    words = pa.array(sorted(feature.words), pa.string())
    return _matches(texts, _PLAIN_WORD) & ~_mask(pc.is_in(pc.utf8_lower(texts), value_set=words))


def _matches(texts: pa.StringArray, pattern: str) -> Mask:
    return _mask(pc.match_substring_regex(texts, pattern))


def _mask(column: pa.BooleanArray) -> Mask:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _is_number(values: NDArray[Any]) -> Mask:
    return np.isfinite(values) if values.dtype == np.float64 else np.zeros(len(values), np.bool_)


def _limit(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else float(limit)


def _faults(feature: Feature, code: FaultCode, texts: pa.StringArray) -> Faults:
    """Return the faults that ``Feature.read`` finds in texts that are all wrong in one way."""
    values = all_shown(texts)
    mark = "" if code in (FaultCode.NOT_AN_INTEGER, FaultCode.OUT_OF_RANGE) else "'"
    details = pc.binary_join_element_wise(mark, values, mark + feature.verdict(code), "")
    return Faults.alike(feature.name, code, values, details)


@dataclass(frozen=True, slots=True)
class _ReadTexts:
    """The faults and warnings of texts that were read one by one."""

    faults: IndexedFaults
    warnings: IndexedFaults


def _read_each(
    feature: Feature,
    texts: pa.StringArray,
    places: NDArray[np.int64],
    values: NDArray[Any],
    numbers: NumberFormat,
    max_suggestions: int,
) -> _ReadTexts:
    """Read the texts at some indices one by one into ``values``."""
    faults: dict[int, Fault] = {}
    warnings: dict[int, Fault] = {}
    missing = None if values.dtype == object else np.nan
    for place, text in zip(places.tolist(), texts.take(pa.array(places)).to_pylist(), strict=True):
        result = feature.read(text, len(faults) + len(warnings) < max_suggestions, numbers)
        value: Value = None
        if isinstance(result, Fault):
            faults[place] = result
        elif isinstance(result, Warned):
            warnings[place], value = result.fault, result.value
        else:
            value = result
        values[place] = missing if value is None else value
    return _ReadTexts(*(_indexed_faults(feature, by_index) for by_index in (faults, warnings)))


def _indexed_faults(feature: Feature, by_index: dict[int, Fault]) -> IndexedFaults:
    return np.fromiter(by_index, np.int64, len(by_index)), Faults.of(feature.name, list(by_index.values()))
