"""Trace each column that a fitted encoder makes to the input it comes from, so that effects can be summed by input."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    TargetEncoder,
)

from model.explanation.explanation import NotExplainable
from model.schema import Feature, normalise_name

Origins = list[int]

# These are one-to-one in name only: each value is divided by the norm of its row.
_BY_ROW = (Normalizer, TfidfTransformer)


class UntraceableColumns(NotExplainable):
    """Raised where a column of an encoder comes from several inputs, or it is not known from which."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The columns that an estimator takes, and where each comes from.

    ``origins`` are indices into ``names``, of which the first ``features`` are the model's features; the others are
    columns that the estimator was fitted on and the model does not have.
    """

    names: tuple[str, ...]
    features: int
    origins: tuple[int, ...]

    @classmethod
    def of(cls, pipeline: Any, features: Sequence[Feature]) -> "Lineage":
        """Return the columns that a fitted pipeline is given."""
        own = [feature.name for feature in features]
        if (named := getattr(pipeline, "feature_names_in_", None)) is None:
            return cls(tuple(own), len(own), tuple(range(len(own))))
        # LightGBM replaces characters in the names of columns by underscores.
        if [*map(normalise_name, own)] == [normalise_name(str(name)) for name in named]:
            named = own
        names = dict.fromkeys([*own, *map(str, named)])
        places = {name: place for place, name in enumerate(names)}
        return cls(tuple(names), len(own), tuple(places[str(name)] for name in named))

    def through(self, encoder: Any, width: int | None = None) -> "Lineage":
        """Return the columns that an encoder makes, ``width`` of them if known; raise UntraceableColumns."""
        inputs = self._in_order_of(getattr(encoder, "feature_names_in_", ()))
        return replace(self, origins=tuple(origins_of(encoder, inputs, width)))

    def _in_order_of(self, names: Sequence[str]) -> Origins:
        """Return the origins in the order of an encoder that looks its columns up by name."""
        places = {self.names[origin]: origin for origin in self.origins}
        if len(places) == len(self.origins) and places.keys() == set(names):
            return [places[name] for name in names]
        return list(self.origins)

    def of_columns(self, columns: Iterable[int]) -> "Lineage":
        """Return some of the columns, by their indices."""
        return replace(self, origins=tuple(self.origins[column] for column in columns))

    @property
    def sums(self) -> csr_array:
        """The matrix, shape (columns, features), that sums effects of columns to effects of features.

        Raises UntraceableColumns where a column does not come from a feature.
        """
        if unknown := [origin for origin in self.origins if origin >= self.features]:
            raise UntraceableColumns(f"the model takes the column {self.names[unknown[0]]!r}, which is no feature")
        places = np.arange(len(self.origins))
        return csr_array(
            (np.ones(len(places)), (places, np.array(self.origins, np.int64))), shape=(len(places), self.features)
        )


def origins_of(encoder: Any, inputs: Origins, width: int | None = None) -> Origins:
    """Return the origin of each column that a fitted encoder makes; None as the encoder passes columns through.

    ``inputs`` are the origins of the columns that it takes, ``width`` is how many it makes, where that is known. A
    value that an imputer fills in counts as its own column's. Raise UntraceableColumns, which names the step that mixes
    columns.
    """
    origins = _trace(encoder, inputs, width)
    if width is not None and len(origins) != width:
        raise UntraceableColumns(f"{type(encoder).__name__} makes {width} columns of its {len(inputs)} in unknown ways")
    return origins


def _trace(step: Any, inputs: Origins, width: int | None) -> Origins:
    if _keeps_columns(step):
        return inputs
    if isinstance(step, Pipeline):
        return _through_steps(step, inputs, width)
    if isinstance(step, ColumnTransformer):
        return _through_column_transformer(step, inputs)
    if isinstance(step, FeatureUnion):
        parts = [part for _, part in step.transformer_list if not (isinstance(part, str) and part == "drop")]
        return [origin for part in parts for origin in origins_of(part, inputs)]
    # Whatever a step makes of a single input comes from it.
    if len(set(inputs)) == 1:
        return inputs[:1] * (_width_of(step) if width is None else width)
    return _one_to_several(step, inputs)


def _keeps_columns(step: Any) -> bool:
    """Return whether each output column is the input column at the same index."""
    # Samplers change rows, and only in training.
    if step is None or isinstance(step, str) or hasattr(step, "fit_resample"):
        return True
    if isinstance(step, FunctionTransformer):
        by_value = isinstance(step.func, np.ufunc) and step.func.nin == 1
        return bool(step.func is None or by_value or step.feature_names_out == "one-to-one")
    if isinstance(step, TargetEncoder):
        return bool(step.target_type_ != "multiclass")
    return isinstance(step, OneToOneFeatureMixin) and not isinstance(step, _BY_ROW)


def _through_steps(pipeline: Pipeline, inputs: Origins, width: int | None) -> Origins:
    steps = [step for _, step in pipeline.steps]
    for place, step in enumerate(steps):
        # A step makes as many columns as the next step takes; some steps do not say.
        after = (getattr(later, "n_features_in_", None) for later in steps[place + 1 :])
        inputs = origins_of(step, inputs, next((count for count in after if count is not None), width))
    return inputs


def _through_column_transformer(columns: ColumnTransformer, inputs: Origins) -> Origins:
    names = getattr(columns, "feature_names_in_", np.arange(columns.n_features_in_))
    # So that columns can be selected as ColumnTransformer does it: by name or by place.
    by_name = pd.Series(inputs, index=names)
    origin_by_output: dict[int, int] = {}
    for name, step, selected in columns.transformers_:
        place = columns.output_indices_[name]
        if place.stop > place.start and not (isinstance(step, str) and step == "drop"):
            origins = origins_of(step, _selected(by_name, selected), place.stop - place.start)
            origin_by_output.update(zip(range(place.start, place.stop), origins, strict=True))
    return [origin_by_output[place] for place in sorted(origin_by_output)]


def _selected(by_name: pd.Series, columns: Any) -> Origins:
    """Return the origins of the columns that a ColumnTransformer selects by names, indices, a mask or a slice."""
    if isinstance(columns, str) or np.isscalar(columns):
        columns = [columns]
    labels = [columns.start, columns.stop] if isinstance(columns, slice) else list(columns)
    named = any(isinstance(label, str) for label in labels)
    return list((by_name.loc if named else by_name.iloc)[columns])


def _width_of(step: Any) -> int:
    try:
        return len(step.get_feature_names_out())
    except (AttributeError, ValueError) as error:
        raise UntraceableColumns(f"{type(step).__name__} does not say how many columns it makes") from error


def _one_to_several(step: Any, inputs: Origins) -> Origins:
    """Return the origins of an encoder that makes several columns, or none, of each input."""
    if isinstance(step, SelectorMixin):
        return [inputs[index] for index in step.get_support(indices=True)]
    if isinstance(step, SimpleImputer):
        # It drops columns that had no value at all in training.
        kept = [origin for origin, value in zip(inputs, step.statistics_, strict=True) if not pd.isna(value)]
        return _with_indicators(step, inputs if step.keep_empty_features else kept, inputs)
    if isinstance(step, KNNImputer) or type(step).__name__ == "IterativeImputer":
        return _with_indicators(step, inputs, inputs)
    if isinstance(step, MissingIndicator):
        return [inputs[index] for index in step.features_]
    if isinstance(step, PolynomialFeatures):
        return [_origin_of_product(powers, inputs) for powers in step.powers_]
    counts = _columns_per_input(step, len(inputs))
    return [origin for origin, count in zip(inputs, counts, strict=True) for _ in range(count)]


def _with_indicators(imputer: Any, kept: Origins, inputs: Origins) -> Origins:
    return kept + ([inputs[index] for index in imputer.indicator_.features_] if imputer.add_indicator else [])


def _origin_of_product(powers: Any, inputs: Origins) -> int:
    """Return the origin of a product of powers of columns; the constant 1 may count as any input's."""
    origins = {inputs[index] for index in np.flatnonzero(powers)} or {inputs[0]}
    if len(origins) > 1:
        raise UntraceableColumns("PolynomialFeatures multiplies columns, so that effects cannot be told by feature")
    return origins.pop()


def _columns_per_input(step: Any, inputs: int) -> Sequence[int]:
    if isinstance(step, OneHotEncoder):
        return [_one_hot_columns(step, index) for index in range(inputs)]
    if isinstance(step, KBinsDiscretizer):
        return [1] * inputs if step.encode == "ordinal" else list(step.n_bins_)
    if isinstance(step, SplineTransformer):
        return [step.n_features_out_ // inputs] * inputs
    if isinstance(step, TargetEncoder):
        return [len(step.classes_)] * inputs
    raise UntraceableColumns(f"{type(step).__name__} may mix its columns, so that effects cannot be told by feature")


def _one_hot_columns(encoder: OneHotEncoder, index: int) -> int:
    count = len(encoder.categories_[index])
    # Present only where the encoder groups infrequent categories, which share one column.
    rare = getattr(encoder, "infrequent_categories_", None)
    if rare is not None and rare[index] is not None:
        count -= len(rare[index]) - 1
    dropped = encoder.drop_idx_ is not None and encoder.drop_idx_[index] is not None
    return count - dropped
