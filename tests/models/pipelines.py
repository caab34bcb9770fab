"""Recurring pipelines: columns of words and numbers, preprocessed for an estimator."""

from collections.abc import Sequence
from typing import Any

from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def logistic(**options: Any) -> LogisticRegression:
    return LogisticRegression(**{"max_iter": 500, **options})


def scaled(model: Any) -> Pipeline:
    return make_pipeline(StandardScaler(), model)


def one_hot(**options: Any) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore", "sparse_output": False, **options})


def prepared(numbers: Sequence[str], words: Sequence[str], model: Any, **options: Any) -> Pipeline:
    """The textbook pipeline: numbers imputed and scaled, words imputed and one-hot encoded."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), list(numbers)),
            ("words", make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot(**options)), list(words)),
        ]
    )
    return Pipeline([("columns", columns), ("model", model)])


def by_type(model: Any) -> Pipeline:
    """Columns chosen by their type in the frame: texts are encoded, numbers scaled."""
    columns = ColumnTransformer(
        [
            ("words", one_hot(), make_column_selector(dtype_include=["object", "str", "category"])),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number")),
        ]
    )
    return Pipeline([("columns", columns), ("model", model)])
