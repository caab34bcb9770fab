"""A row's answer depends on that row alone, though pandas gives all rows of a column one dtype."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from model.card import Card, InputForm, LabelRule, ModelKind, Scores
from model.columns import code_frame, column_of
from model.schema import Feature, FeatureKind
from model.scorer import Scorer


def feature_of(name: str, dtype: str | None, kind: FeatureKind = FeatureKind.NUMBER) -> Feature:
    return Feature(name=name, title=name, kind=kind, missing_allowed=True, pandas_dtype=dtype)


def scorer_of(pipeline: Any, *features: Feature, **more: Any) -> Scorer:
    about = {"kind": ModelKind.REGRESSOR, "scores": Scores.NONE, "classes": (), "positive_class": None} | more
    card = Card(
        name="odd", version="0", title="", description="", target="", labels_by=LabelRule.PREDICT, threshold=None,
        takes=InputForm.FRAME, features=features, trained_at="", training_rows=0, libraries={}, artifact_sha256="",
        **about,
    )  # fmt: skip
    return Scorer(card, pipeline)


def squares(dtype: str) -> Pipeline:
    """Squares wrap around in small dtypes, so that the answer to a number shows the dtype it was given in."""
    frame = pd.DataFrame({"level": pd.Series(range(100), dtype=dtype), "other": np.zeros(100)})
    columns = make_column_transformer((FunctionTransformer(np.square), ["level"]), ("passthrough", ["other"]))
    return make_pipeline(columns, LinearRegression()).fit(frame, columns.fit_transform(frame)[:, 0])


def answers(scorer: Scorer, frame: pd.DataFrame) -> tuple[list[float], list[float]]:
    """The answers to the rows of a frame as a chunk of a file, and as records."""
    features = scorer.card.features
    as_records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    coded = scorer.predict_coded(code_frame(frame, features)).values
    return coded.tolist(), scorer.predict_records(as_records).values.tolist()


def alone(scorer: Scorer, frame: pd.DataFrame) -> list[float]:
    return [answers(scorer, frame.iloc[[row]])[0][0] for row in range(len(frame))]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "int64", "UInt8", "Int16", "uint64"])
def test_the_limits_of_a_dtype_fit_it_and_what_is_beyond_does_not(dtype: str) -> None:
    limits = np.iinfo(dtype.lower())
    low, high = float(limits.min), np.nextafter(float(limits.max) + 1, 0) // 1
    feature = feature_of("level", dtype)
    assert column_of(feature, [low, high]).dtype == dtype
    for beyond in (low * 2 - 1, float(limits.max) + 1, 7.5):
        assert column_of(feature, [low, beyond]).dtype == ("Float64" if dtype[0].isupper() else "float64")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
@pytest.mark.parametrize("odd", [[255.0], [256.0], [7.5], [-1.0], [1e150], [256.0, 7.5, -4.0]])
def test_a_number_that_does_not_fit_changes_no_other_rows_answer(dtype: str, odd: Sequence[float]) -> None:
    scorer = scorer_of(squares(dtype), feature_of("level", dtype), feature_of("other", None))
    levels = [20.0, *odd, 100.0, 127.0, odd[0], 16.0]
    frame = pd.DataFrame({"level": levels, "other": np.arange(len(levels)) / 8})
    expected = alone(scorer, frame)
    for found in answers(scorer, frame):
        assert np.allclose(found, expected, rtol=1e-12)
    assert np.isclose(expected[0], float(np.square(np.array([20], dtype))[0]))


def test_a_missing_value_changes_no_other_rows_answer_and_costs_its_own_row() -> None:
    """Boosting takes missing numbers; a function that looks at the dtype tells what it was given."""
    kinds = FunctionTransformer(lambda frame: frame.assign(**{name: frame[name].dtype.kind == "f" for name in frame}))
    inputs = pd.DataFrame({"count": range(40), "size": range(40)})
    pipeline = make_pipeline(kinds, LinearRegression()).fit(inputs, np.arange(40))
    pipeline[-1].coef_, pipeline[-1].intercept_ = np.array([1.0, 2.0]), 0.0
    scorer = scorer_of(pipeline, feature_of("count", "int64"), feature_of("size", "int64"))
    frame = pd.DataFrame({"count": [1, np.nan, 3, 4, np.nan], "size": [1, 2, np.nan, 4.0, 0.5]})
    assert answers(scorer, frame) == ([0, 1, 2, 0, 3], [0, 1, 2, 0, 3])


def test_a_missing_boolean_changes_no_other_rows_answer() -> None:
    inputs = pd.DataFrame({"paid": [True, False] * 50, "age": np.arange(100) / 100})
    is_object = FunctionTransformer(lambda frame: (frame["paid"].dtype.kind == "O") + frame[["age"]] * 0)
    pipeline = make_pipeline(is_object, LinearRegression()).fit(inputs, inputs["age"])
    pipeline[-1].coef_, pipeline[-1].intercept_ = np.array([1.0]), 0.0
    scorer = scorer_of(pipeline, feature_of("paid", None, FeatureKind.BOOLEAN), feature_of("age", None))
    frame = pd.DataFrame({"paid": np.array([True, None, False], dtype=object), "age": [0.1, 0.2, 0.3]})
    assert answers(scorer, frame) == ([0, 1, 0], [0, 1, 0])


def test_scores_and_labels_stay_with_their_rows() -> None:
    inputs = pd.DataFrame({"count": range(100)})
    pipeline = HistGradientBoostingClassifier(max_iter=5).fit(
        inputs, np.array(["low", "mid", "high"])[np.arange(100) // 34]
    )
    classes = tuple(map(str, pipeline.classes_))
    more = {"kind": ModelKind.MULTICLASS_CLASSIFIER, "scores": Scores.PROBABILITY, "classes": classes}
    scorer = scorer_of(pipeline, feature_of("count", "int64"), **more)
    frame = pd.DataFrame({"count": [90.0, 10.5, 50.0, np.nan, 3.0, 80.25]})
    predicted = scorer.predict(frame)
    assert np.array_equal(predicted.scores, pipeline.predict_proba(frame))
    assert [classes[value] for value in predicted.values] == pipeline.predict(frame).tolist()


def test_an_additive_models_effects_depend_on_their_own_value_alone() -> None:
    inputs = pd.DataFrame({"level": pd.Series(range(200), dtype="uint8")})
    columns = make_column_transformer((FunctionTransformer(np.square), ["level"]))
    columns.transformers = [("level", *columns.transformers[0][1:])]
    pipeline = make_pipeline(columns, LogisticRegression()).fit(inputs, np.arange(200) % 16 > 7)
    more = {"kind": ModelKind.BINARY_CLASSIFIER, "scores": Scores.PROBABILITY, "additive": True}
    names = {"classes": ("False", "True"), "positive_class": "True"}
    scorer = scorer_of(pipeline, feature_of("level", "uint8"), **more, **names)
    frame = pd.DataFrame({"level": [20.0, 256.0, 255.0, 0.5]})
    expected = [
        scorer.predict_coded(code_frame(frame.iloc[[row]], scorer.card.features)).positive[0] for row in range(4)
    ]
    assert np.allclose(scorer.predict_coded(code_frame(frame, scorer.card.features)).positive, expected, rtol=1e-12)
    assert np.isclose(expected[0], pipeline.predict_proba(inputs.iloc[[20]])[0, 1])
