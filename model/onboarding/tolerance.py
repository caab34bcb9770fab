"""Try what a pipeline accepts beyond its training data: missing values, and values that it has never seen."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.columns import CATEGORY_DTYPE, column_of
from model.errors import ScoringFailed
from model.schema import Feature, FeatureKind, UnseenPolicy
from model.scorer import Scorer

# Unusual values are put into copies of so many records.
_RECORDS = 8
_UNSEEN_TEXT = "a value that never occurred in training"
# So many of a feature's categories are tried in another spelling, or with another digit, since a pipeline that reads
# ``17.3%`` or ``07:31`` takes such texts only.
_MAX_RESPELT = 3
_DATE_FORMATS = ("%d.%m.%Y", "%m/%d/%Y", "%d %B %Y", "%Y%m%d")


def with_tolerance(scorer: Scorer, values: pd.DataFrame) -> tuple[Feature, ...]:
    """Return the scorer's features with what the pipeline turns out to accept.

    ``values``, shape (n, features), are validated values of records that it predicts. A missing value on which it
    raises is rejected, any other accepted. Unseen values are rejected where it raises on each that is tried; otherwise
    it is asked about each. Another spelling of a category is that category only where training had such spellings, or
    the pipeline raises on it.
    """
    features = scorer.card.features
    missing = _accepted(scorer, values, [(feature, [None]) for feature in features])
    limited = [feature for feature in features if _is_limited(feature)]
    categories = [feature for feature in features if feature.kind is FeatureKind.CATEGORY]
    spaced = _accepted(scorer, values, [(f, _respelt(f, " {}".format)) for f in categories if not f.ignore_spaces])
    cased = _accepted(scorer, values, [(f, _respelt(f, str.swapcase)) for f in categories if not f.ignore_case])
    # A respelt category that the pipeline accepts is an unseen value that it accepts.
    unseen = _accepted(scorer, values, [(f, _unseen_values(f)) for f in limited]) | spaced | cased
    return tuple(
        feature.model_copy(
            update={
                "missing_allowed": feature.name in missing,
                "ignore_spaces": feature.name not in spaced,
                "ignore_case": feature.name not in cased,
                "unseen": UnseenPolicy.REJECT if feature in limited and feature.name not in unseen else feature.unseen,
            }
        )
        for feature in features
    )


def _is_limited(feature: Feature) -> bool:
    """Return whether some values are unseen ones to the feature."""
    return feature.kind in (FeatureKind.NUMBER, FeatureKind.CATEGORY) or feature.has_dates_as_texts


def _unseen_values(feature: Feature) -> list[Any]:
    match feature.kind:
        case FeatureKind.NUMBER:
            return _unseen_numbers(feature)
        case FeatureKind.CATEGORY if _is_category(feature):
            return [None]
        case FeatureKind.CATEGORY:
            return [_UNSEEN_TEXT, *_respelt(feature, _with_another_digit)]
        case _:
            day = date.fromisoformat(str(feature.default))
            return [_UNSEEN_TEXT, *(day.strftime(form) for form in _DATE_FORMATS)]


def _unseen_numbers(feature: Feature) -> list[Any]:
    """Return numbers far beyond the range, where the pipeline may answer NaN, just beyond it, and between others."""
    low, high = feature.minimum or 0, feature.maximum or 0
    far, near = max(1, round(high - low)), 1 if feature.integer else (high - low) / 100 or 0.01
    beyond = [float(number) for number in (high + far, low - far, high + near, low - near)]
    # The last is a fraction in the middle of the range, where only its not being a whole number is unusual.
    return [*beyond, (low + high) // 2 + 0.5] if feature.integer else beyond


def _is_category(feature: Feature) -> bool:
    """Return whether the column is one of pandas' categories, which can hold no other value: it is missing there."""
    return (feature.pandas_dtype or "").startswith(CATEGORY_DTYPE)


def _respelt(feature: Feature, respell: Callable[[str], str]) -> list[Any]:
    """Return some of a feature's categories spelt otherwise, without those that are categories, too."""
    texts = [text for text in map(respell, feature.categories) if text not in feature.categories]
    if _is_category(feature) and texts:
        return [None]
    return texts[:: max(1, len(texts) // _MAX_RESPELT)][:_MAX_RESPELT]


def _with_another_digit(text: str) -> str:
    """Return a text with its last digit, if any, raised by one."""
    place = next((at for at in reversed(range(len(text))) if text[at] in "0123456789"), None)
    return text if place is None else f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"


def _accepted(scorer: Scorer, values: pd.DataFrame, tried: Sequence[tuple[Feature, list[Any]]]) -> set[str]:
    """Return the names of the features for which the pipeline accepts at least one of the values that are tried."""
    records = values.head(_RECORDS)
    # They are prepared once: with hundreds of columns, that takes longer than predicting.
    prepared, accepted = scorer.prepared(records), set[str]()
    for at in range(max((len(each) for _, each in tried), default=0)):
        unusual = [(f, each[at]) for f, each in tried if len(each) > at and f.name not in accepted]
        accepted |= _accepted_together(scorer, records, prepared, unusual)
    return accepted


def _accepted_together(
    scorer: Scorer, records: pd.DataFrame, prepared: pd.DataFrame, unusual: list[tuple[Feature, Any]]
) -> set[str]:
    """Return the names of the features for which the pipeline accepts an unusual value, found by bisection.

    All are tried at once, each in a record of its own, since most pipelines accept all of them or fail on a few.
    """
    accepted, pending = set[str](), [unusual] if unusual else []
    while pending:
        batch = pending.pop()
        # The few records are used over and over, so that each unusual value has a copy of one.
        places = np.arange(len(batch)) % len(records)
        columns = {
            feature.name: column_of(feature, _with_value(records[feature.name], places, at, value))
            for at, (feature, value) in enumerate(batch)
        }
        try:
            scorer.predict_prepared(prepared.take(places).reset_index(drop=True).assign(**columns))
        except ScoringFailed:
            middle = len(batch) // 2
            pending += [batch[:middle], batch[middle:]] if middle else []
        else:
            accepted |= {feature.name for feature, _ in batch}
    return accepted


def _with_value(column: pd.Series, places: NDArray[np.int64], at: int, value: Any) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy(dtype=object)[places]
    values[at] = value
    return values
