"""A schema from a table: kinds, categories, ranges, titles and examples, as the training data shows them."""

import math
from collections.abc import Collection
from typing import Any

import pandas as pd

from model.errors import RefusedModel
from model.parsing import MISSING_MARKERS, parse_date, parse_number
from model.schema import Feature, FeatureKind

# More distinct texts than this are no categories that a person could choose from; of a short table, fewer.
MOST_CATEGORIES = 200
_FEW = 20
_BOOLEANS = {"true", "false"}


def infer_feature(name: str, texts: pd.Series, free_text: bool = False) -> Feature:
    """Return the feature that a column of texts, shape (n,), shows; `free_text` where the pipeline reads words.

    The limits of a number are wider than the data by half its range on either side, and not below zero where no value
    was; what is beyond the data itself shows in the comparison of each file with the training data. Raises RefusedModel
    where the column holds no values.
    """
    stripped = texts.str.strip()
    present = stripped[~stripped.str.casefold().isin(MISSING_MARKERS)]
    common: dict[str, Any] = {"name": name, "title": title_of(name)}
    if present.empty:
        raise RefusedModel(f"column {name!r} of the data holds no values, so that nothing can be learnt of it")
    if free_text:
        return Feature(**common, kind=FeatureKind.TEXT, example=str(present.iloc[0]))
    distinct = sorted(set(present))
    numbers = {text: parse_number(text) for text in distinct}
    if None not in numbers.values():
        return _number(common, present.map(numbers).astype(float))
    most_frequent = str(present.mode()[0])
    if {text.casefold() for text in distinct} <= _BOOLEANS:
        most = most_frequent.casefold() == "true"
        return Feature(**common, kind=FeatureKind.BOOLEAN, default=most, example=most)
    if all(map(parse_date, distinct)):
        return Feature(**common, kind=FeatureKind.DATE, default=distinct[-1], example=distinct[-1])
    if _are_categories(distinct, len(present)):
        typical = {"default": most_frequent, "example": most_frequent}
        return Feature(**common, **typical, kind=FeatureKind.CATEGORY, categories=tuple(distinct))
    return Feature(**common, kind=FeatureKind.TEXT, example=str(present.iloc[0]))


def title_of(name: str) -> str:
    """Return a name as people read it: `hours_per_week` → `Hours per week`."""
    words = " ".join(name.replace("_", " ").replace("-", " ").replace(".", " ").split())
    return words[:1].upper() + words[1:] or name


def _number(common: dict[str, Any], numbers: pd.Series) -> Feature:
    low, high = float(numbers.min()), float(numbers.max())
    margin = (high - low) / 2 or max(abs(high), 1.0)
    minimum, maximum = -_rounded_up(margin - low), _rounded_up(high + margin)
    if low >= 0:
        minimum = max(minimum, 0.0)
    integer = bool((numbers == numbers.round()).all())
    median = float(numbers.quantile(0.5, interpolation="lower"))
    # It stands in the form, where nobody wants to read fifteen digits.
    short = float(f"{median:.4g}")
    middle = _plain(short if not integer and low <= short <= high else median)
    limits = {"minimum": _plain(minimum), "maximum": _plain(maximum)}
    return Feature(**common, **limits, kind=FeatureKind.NUMBER, integer=integer, default=middle, example=middle)


def _are_categories(distinct: Collection[str], rows: int) -> bool:
    folded = {text.casefold() for text in distinct}
    few = len(distinct) <= _FEW or len(distinct) <= min(MOST_CATEGORIES, rows / 2)
    # Two that differ in case alone would be one to whoever types them.
    return few and len(folded) == len(distinct)


def _rounded_up(number: float) -> float:
    """Return the number rounded up to two significant digits."""
    if number == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(number))) - 1)
    return float(f"{math.ceil(number / step) * step:.12g}")


def _plain(number: float) -> int | float:
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
