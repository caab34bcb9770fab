"""What a pipeline takes beyond its training data: missing values, and values that it has never seen. It is asked."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.columns import CATEGORY_DTYPE, column_of
from model.errors import ScoringFailed
from model.schema import Feature, FeatureKind, UnseenPolicy
from model.scorer import Scorer

# Odd values are put into copies of so many records.
_RECORDS = 8
_UNSEEN_TEXT = "a value that never occurred in training"


def with_tolerance(scorer: Scorer, values: pd.DataFrame) -> tuple[Feature, ...]:
    """Return the scorer's features, told apart by whether the pipeline answers without a value and to an unseen one.

    ``values``, shape (n, features), are validated values of records that it answers. What it raises on, a missing value
    or an unseen one, is rejected; what it answers is taken.
    """
    features = scorer.card.features
    lacking = _taken(scorer, values, features, lambda _: None)
    judged = [feature for feature in features if feature.kind in (FeatureKind.NUMBER, FeatureKind.CATEGORY)]
    unseen = _taken(scorer, values, judged, _unseen_value)
    return tuple(
        feature.model_copy(
            update={
                "missing_allowed": feature.name in lacking,
                "unseen": UnseenPolicy.REJECT
                if feature in judged and feature.name not in unseen
                else UnseenPolicy.WARN,
            }
        )
        for feature in features
    )


def _unseen_value(feature: Feature) -> Any:
    if feature.kind is FeatureKind.CATEGORY:
        # A column of pandas' categories has no place for another one: it is missing there.
        return None if (feature.pandas_dtype or "").startswith(CATEGORY_DTYPE) else _UNSEEN_TEXT
    low, high = feature.minimum or 0, feature.maximum or 0
    return float(high + max(1, round(high - low)))


def _taken(
    scorer: Scorer, values: pd.DataFrame, features: Sequence[Feature], odd: Callable[[Feature], Any]
) -> set[str]:
    """The names of the features of which the pipeline takes an odd value, found by halves.

    All are asked about at once, each in a record of its own, since most pipelines take all of them or stop at a few.
    The records are prepared once: of hundreds of columns that takes longer than to predict.
    """
    some = values.head(_RECORDS)
    base, taken, waiting = scorer.prepared(some), set[str](), [list(features)] if features else []
    while waiting:
        part = waiting.pop()
        places = np.arange(len(part)) % len(some)
        columns = {
            feature.name: column_of(feature, _with_odd_value(some[feature.name], places, at, odd(feature)))
            for at, feature in enumerate(part)
        }
        try:
            scorer.predict_prepared(base.take(places).reset_index(drop=True).assign(**columns))
        except ScoringFailed:
            middle = len(part) // 2
            waiting += [part[:middle], part[middle:]] if middle else []
        else:
            taken |= {feature.name for feature in part}
    return taken


def _with_odd_value(column: pd.Series, places: NDArray[np.int64], at: int, value: Any) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy(dtype=object)[places]
    values[at] = value
    return values
