"""Try what a pipeline accepts beyond its training data: missing values, and values that it has never seen."""

from collections.abc import Callable, Sequence
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


def with_tolerance(scorer: Scorer, values: pd.DataFrame) -> tuple[Feature, ...]:
    """Return the scorer's features with ``missing_allowed`` and ``unseen`` as the pipeline turns out to accept them.

    ``values``, shape (n, features), are validated values of records that it predicts. A missing or unseen value on
    which it raises is rejected, any other accepted.
    """
    features = scorer.card.features
    missing = _accepted(scorer, values, features, lambda _: None)
    limited = [feature for feature in features if feature.kind in (FeatureKind.NUMBER, FeatureKind.CATEGORY)]
    unseen = _accepted(scorer, values, limited, _unseen_value)
    return tuple(
        feature.model_copy(
            update={
                "missing_allowed": feature.name in missing,
                "unseen": UnseenPolicy.REJECT
                if feature in limited and feature.name not in unseen
                else UnseenPolicy.WARN,
            }
        )
        for feature in features
    )


def _unseen_value(feature: Feature) -> Any:
    if feature.kind is FeatureKind.CATEGORY:
        # A pandas column of categories can hold no other value: it is missing there.
        return None if (feature.pandas_dtype or "").startswith(CATEGORY_DTYPE) else _UNSEEN_TEXT
    low, high = feature.minimum or 0, feature.maximum or 0
    return float(high + max(1, round(high - low)))


def _accepted(
    scorer: Scorer, values: pd.DataFrame, features: Sequence[Feature], unusual_value: Callable[[Feature], Any]
) -> set[str]:
    """Return the names of the features for which the pipeline accepts an unusual value, found by bisection.

    All are tried at once, each in a record of its own, since most pipelines accept all of them or fail on a few. The
    records are prepared once: with hundreds of columns, that takes longer than predicting.
    """
    records = values.head(_RECORDS)
    prepared, accepted, pending = scorer.prepared(records), set[str](), [list(features)] if features else []
    while pending:
        batch = pending.pop()
        places = np.arange(len(batch)) % len(records)
        columns = {
            feature.name: column_of(feature, _with_value(records[feature.name], places, at, unusual_value(feature)))
            for at, feature in enumerate(batch)
        }
        try:
            scorer.predict_prepared(prepared.take(places).reset_index(drop=True).assign(**columns))
        except ScoringFailed:
            middle = len(batch) // 2
            pending += [batch[:middle], batch[middle:]] if middle else []
        else:
            accepted |= {feature.name for feature in batch}
    return accepted


def _with_value(column: pd.Series, places: NDArray[np.int64], at: int, value: Any) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy(dtype=object)[places]
    values[at] = value
    return values
