"""Which input each column comes from that a fitted encoder makes, so that effects of columns sum back to inputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, SplineTransformer

Origins = list[int]


class UntraceableColumns(ValueError):
    """Raised where a column of an encoder comes from several inputs, or nobody can say from which."""


def origins_of(encoder: Any, inputs: Origins, width: int) -> Origins:
    """Return, for each of the `width` columns that a fitted encoder (None: none) makes, where it comes from.

    `inputs`: where each column that the encoder takes comes from. Raises UntraceableColumns, whose text names the step
    that mixes its columns.
    """
    origins = _traced(encoder, inputs, width)
    if len(origins) != width:
        raise UntraceableColumns(f"{type(encoder).__name__} makes {width} columns of its {len(inputs)} in unknown ways")
    return origins


def _traced(step: Any, inputs: Origins, width: int) -> Origins:
    if step is None or isinstance(step, str) or _keeps_columns(step):
        return inputs
    if isinstance(step, Pipeline):
        return _through_steps(step, inputs, width)
    if isinstance(step, ColumnTransformer):
        return _side_by_side(step, inputs, width)
    if len(set(inputs)) == 1:
        return inputs[:1] * width
    return _spread(step, inputs)


def _keeps_columns(step: Any) -> bool:
    if isinstance(step, FunctionTransformer):
        return step.func is None
    return isinstance(step, OneToOneFeatureMixin)


def _through_steps(pipeline: Pipeline, inputs: Origins, width: int) -> Origins:
    steps = [step for _, step in pipeline.steps]
    widths = [getattr(after, "n_features_in_", width) for after in steps[1:]] + [width]
    for step, made in zip(steps, widths, strict=True):
        inputs = origins_of(step, inputs, made)
    return inputs


def _side_by_side(columns: ColumnTransformer, inputs: Origins, width: int) -> Origins:
    names = getattr(columns, "feature_names_in_", np.arange(columns.n_features_in_))
    by_name = pd.Series(inputs, index=names)
    made = np.full(width, -1)
    for name, step, selected in columns.transformers_:
        place = columns.output_indices_[name]
        if step != "drop" and place.stop > place.start:
            made[place] = origins_of(step, _selected(by_name, selected), place.stop - place.start)
    return [int(origin) for origin in made]


def _selected(by_name: pd.Series, columns: Any) -> Origins:
    """Return the origins of the columns that a ColumnTransformer selects by names, positions, a mask or a slice."""
    if isinstance(columns, str) or np.isscalar(columns):
        columns = [columns]
    labels = [columns.start, columns.stop] if isinstance(columns, slice) else list(columns)
    named = any(isinstance(label, str) for label in labels)
    return list((by_name.loc if named else by_name.iloc)[columns])


def _spread(step: Any, inputs: Origins) -> Origins:
    """Return the origins of an encoder that makes several columns, or none, of each of its inputs."""
    if isinstance(step, SelectorMixin):
        return [inputs[index] for index in step.get_support(indices=True)]
    if isinstance(step, SimpleImputer):
        return _imputed(step, inputs)
    counts = _counts(step, len(inputs))
    return [origin for origin, count in zip(inputs, counts, strict=True) for _ in range(count)]


def _imputed(imputer: SimpleImputer, inputs: Origins) -> Origins:
    kept = [origin for origin, value in zip(inputs, imputer.statistics_, strict=True) if not pd.isna(value)]
    known = inputs if imputer.keep_empty_features else kept
    return known + ([inputs[index] for index in imputer.indicator_.features_] if imputer.add_indicator else [])


def _counts(step: Any, inputs: int) -> Sequence[int]:
    if isinstance(step, OneHotEncoder):
        return [_one_hot_columns(step, index) for index in range(inputs)]
    if isinstance(step, KBinsDiscretizer):
        return [1] * inputs if step.encode == "ordinal" else list(step.n_bins_)
    if isinstance(step, SplineTransformer):
        return [step.n_features_out_ // inputs] * inputs
    raise UntraceableColumns(f"{type(step).__name__} may mix its columns, so that effects cannot be told by feature")


def _one_hot_columns(encoder: OneHotEncoder, index: int) -> int:
    count = len(encoder.categories_[index])
    # There only where the encoder was told to group rare categories, which it does in one column.
    rare = getattr(encoder, "infrequent_categories_", None)
    if rare is not None and rare[index] is not None:
        count -= len(rare[index]) - 1
    dropped = encoder.drop_idx_ is not None and encoder.drop_idx_[index] is not None
    return count - dropped
