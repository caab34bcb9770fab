"""Infer a schema from the user's frame and the texts it was read from: kinds, categories, ranges, pandas dtypes."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from model.columns import CATEGORY_DTYPE, dtype_of
from model.errors import RefusedModel
from model.parsing import DAY_DIGITS, MISSING_MARKERS, TRUE_FALSE, parse_date
from model.schema import Feature, FeatureKind, UnseenPolicy

# With more distinct texts than this, nobody could choose among them; in a short table, fewer.
MAX_CATEGORIES = 200
_FEW = 20
# The texts that pandas' ``read_csv`` reads as missing values, as its documentation lists them.
_PANDAS_MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"}
    | {"NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)


def infer_feature(
    name: str, texts: pd.Series, values: pd.Series, free_text: bool = False, known: Sequence[Any] = ()
) -> Feature:
    """Return the feature that a column shows.

    ``texts``, shape (n,), are its values as a CSV file holds them, ``values``, shape (n,), as the pipeline was fitted
    on them; ``free_text``: the pipeline splits them into words. ``known`` are values that the pipeline knows, whether
    or not they occur in the data. Limits are the range of both: values beyond never occurred in training. Raise
    RefusedModel where the column holds values of a kind that no record could hold.
    """
    present = values.dropna()
    if isinstance(values.dtype, pd.ArrowDtype):
        _check_dtype(name, values)
    # Whether the pipeline accepts missing and unseen values is tried later: see ``tolerance``.
    common: dict[str, Any] = {
        "name": name, "title": title_of(name), "missing_allowed": True, "unseen": UnseenPolicy.WARN,
    }  # fmt: skip
    if present.empty:
        return Feature(**common, kind=FeatureKind.NUMBER, pandas_dtype=_dtype_name(values))
    if isinstance(values.dtype, pd.CategoricalDtype):
        return _of_categories(common, texts, values)
    # Before numbers: to pandas, booleans are numeric.
    if pd.api.types.is_bool_dtype(present) or _holds_booleans(present):
        return _boolean(common, texts, values)
    if pd.api.types.is_numeric_dtype(values):
        return _number(common, values, known)
    if pd.api.types.is_datetime64_any_dtype(values):
        typical = {"default": _last_date(present), "example": _last_date(present)}
        return Feature(**common, **typical, kind=FeatureKind.DATE, pandas_dtype=str(values.dtype))
    if not all(isinstance(value, str) for value in present.unique()):
        kinds = ", ".join(sorted({type(value).__name__ for value in present.unique()})[:3])
        raise RefusedModel(f"column {name!r} holds values of the kinds {kinds}; say one with --dtypes {name}=…")
    return _of_texts(common, texts, values, free_text, known)


def _check_dtype(name: str, values: pd.Series) -> None:
    """Raise RefusedModel where a column's Arrow dtype cannot be made again from its name, as each call has to."""
    try:
        is_same = dtype_of(_dtype_name(values)) == values.dtype
    except (TypeError, NotImplementedError, ValueError):
        is_same = False
    if not is_same:
        raise RefusedModel(
            f"column {name!r} is of the dtype {values.dtype}, which is not supported; convert it before "
            "the pipeline is fitted, for example to float64 or str"
        )


def with_missing_words_of(feature: Feature, texts: pd.Series, values: pd.Series) -> Feature:
    """Return a feature with the words that are missing values in a column, where these are not only the usual ones."""
    unusual = any(text.strip().casefold() not in MISSING_MARKERS for text in texts[values.isna()].unique())
    if not unusual or feature.kind not in (FeatureKind.NUMBER, FeatureKind.CATEGORY):
        return feature
    if isinstance(values.dtype, pd.CategoricalDtype):
        return feature
    return feature.model_copy(update={"missing_words": _missing_words(texts, values)})


def with_distinct_titles(features: Sequence[Feature]) -> list[Feature]:
    """Return the features, with their names behind titles that would be equal (``A b`` and ``a_b``)."""
    counts = Counter(feature.title.casefold() for feature in features)
    return [
        feature
        if counts[feature.title.casefold()] == 1
        else feature.model_copy(update={"title": f"{feature.title} ({feature.name})"})
        for feature in features
    ]


def title_of(name: str) -> str:
    """Return a name as people read it: ``hours_per_week`` → ``Hours per week``."""
    words = " ".join(name.replace("_", " ").replace("-", " ").replace(".", " ").split())
    return words[:1].upper() + words[1:] or name


def _of_texts(
    common: dict[str, Any], texts: pd.Series, values: pd.Series, free_text: bool, known: Sequence[Any]
) -> Feature:
    present = values.dropna()
    distinct = sorted({*map(str, present.unique()), *(value for value in known if isinstance(value, str))})
    dtype = _dtype_name(values)
    typical = str(present.mode()[0])
    dates = not free_text and all(len(text) == DAY_DIGITS and parse_date(text) for text in distinct)
    if dates:
        return Feature(**common, kind=FeatureKind.DATE, default=distinct[-1], example=distinct[-1], pandas_dtype=dtype)
    if not free_text and _are_categories(distinct, len(present)):
        return Feature(
            **common, **_spelling(distinct, texts[values.notna()]), kind=FeatureKind.CATEGORY,
            categories=tuple(distinct), default=typical, example=typical, pandas_dtype=dtype,
        )  # fmt: skip
    words = _missing_words(texts, values)
    example = next((text for text in map(str, present) if text.strip()), "")
    return Feature(**common, kind=FeatureKind.TEXT, example=example, missing_words=words, pandas_dtype=dtype)


def _missing_words(texts: pd.Series, values: pd.Series) -> tuple[str, ...]:
    """Return the exact texts that mean "no value": pandas' own, except those that are values in the data."""
    absent = values.isna()
    # What is a value in the data, such as the country ``NA``, stays one.
    declared = set(texts[absent].unique()) | (_PANDAS_MISSING - set(texts[~absent].unique()))
    return tuple(sorted(declared))


def _spelling(categories: Sequence[str], texts: pd.Series) -> dict[str, bool]:
    """Return which differences from their category the texts of the data have, so that these make none."""
    exact, stripped = set(categories), {category.strip() for category in categories}
    others = [text.strip() for text in map(str, texts.unique()) if text not in exact]
    folded = {category.casefold() for category in stripped}
    return {
        "ignore_spaces": any(text in stripped for text in others),
        "ignore_case": any(text not in stripped and text.casefold() in folded for text in others),
    }


def _of_categories(common: dict[str, Any], texts: pd.Series, values: pd.Series) -> Feature:
    known = values.cat.categories
    typical = str(values.mode()[0])
    dtype = "category" if not pd.api.types.is_numeric_dtype(known) else f"category[{known.dtype}]"
    if pd.api.types.is_bool_dtype(known):
        dtype = "category[bool]"
    names = tuple(map(str, known.tolist()))
    spelling = _spelling(names, texts[values.notna()]) if dtype == CATEGORY_DTYPE else {}
    return Feature(
        **common, **spelling, kind=FeatureKind.CATEGORY, categories=names, default=typical, example=typical,
        pandas_dtype=dtype,
    )  # fmt: skip


def _boolean(common: dict[str, Any], texts: pd.Series, values: pd.Series) -> Feature:
    typical = bool(values.dropna().mode()[0])
    if not texts[values.notna()].str.casefold().isin(TRUE_FALSE).all():  # its words in training were others, too
        common = {**common, "unseen": UnseenPolicy.REJECT}
    dtype = None if values.dtype == bool else _dtype_name(values)
    return Feature(**common, kind=FeatureKind.BOOLEAN, default=typical, example=typical, pandas_dtype=dtype)


def _number(common: dict[str, Any], values: pd.Series, known: Sequence[Any]) -> Feature:
    numbers = values.dropna().astype("float64")
    others = [float(value) for value in known if isinstance(value, int | float) and not isinstance(value, bool)]
    low, high = min([float(numbers.min()), *others]), max([float(numbers.max()), *others])
    integer = bool((numbers == numbers.round()).all())
    # A value that occurs: the mean of two, such as 2.5 children, may be impossible.
    median = float(numbers.quantile(0.5, interpolation="lower"))
    # It prefills the form, where nobody wants to read fifteen digits.
    short = float(f"{median:.4g}")
    middle = plain_number(short if not integer and low <= short <= high else median)
    limits = {"minimum": plain_number(low), "maximum": plain_number(high)}
    dtype = None if values.dtype == "float64" else str(values.dtype)
    return Feature(
        **common, **limits, kind=FeatureKind.NUMBER, integer=integer, default=middle, example=middle, pandas_dtype=dtype
    )


def plain_number(number: float) -> int | float:
    """Return a whole number as int, any other unchanged."""
    # From 2**53 on, floats skip whole numbers, so that ``int`` would show digits that the data never had.
    return int(number) if math.isfinite(number) and number.is_integer() and abs(number) < 2**53 else number


def _dtype_name(values: pd.Series) -> str:
    return "object" if values.dtype == object else str(values.dtype)


def _holds_booleans(present: pd.Series) -> bool:
    return present.dtype == object and all(isinstance(value, bool) for value in present.unique())


def _last_date(present: pd.Series) -> str:
    moment = pd.Timestamp(present.max())
    moment = moment.tz_convert("UTC").tz_localize(None) if moment.tzinfo else moment
    text = str(moment.isoformat())
    return text.removesuffix("T00:00:00")


def _are_categories(distinct: Sequence[str], rows: int) -> bool:
    few = len(distinct) <= _FEW or len(distinct) <= min(MAX_CATEGORIES, rows / 2)
    return few and not any("\n" in text or len(text) > MAX_CATEGORIES for text in distinct)
