"""Explanations of tree models: the effects of the features add up to the model's output."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, SplineTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from model.census import census_model, income, income_full
from model.explanation import explainer, trees
from model.explanation.explainer import PipelineExplainer, obstacle
from model.explanation.explanation import Unit
from model.schema import Feature, FeatureKind

shap = pytest.importorskip("shap", reason="TreeSHAP is an extra: pip install -r requirements-explain.txt")

EXACT = {"rtol": 0, "atol": 1e-6}
CANCER, WINE, DIABETES = (load(as_frame=True) for load in (load_breast_cancer, load_wine, load_diabetes))
CASES = [
    (CANCER, HistGradientBoostingClassifier(max_iter=20), Unit.LOG_ODDS),
    (WINE, HistGradientBoostingClassifier(max_iter=10), Unit.SCORE),
    (DIABETES, HistGradientBoostingRegressor(max_iter=20), Unit.TARGET),
    (DIABETES, HistGradientBoostingRegressor(max_iter=20, loss="poisson"), Unit.LOG_TARGET),
    (CANCER, RandomForestClassifier(10, random_state=0), Unit.PROBABILITY),
    (WINE, RandomForestClassifier(10, random_state=0, class_weight="balanced"), Unit.PROBABILITY),
    (DIABETES, RandomForestRegressor(5, random_state=0, max_depth=6), Unit.TARGET),
    (DIABETES, ExtraTreesRegressor(5, random_state=0, max_depth=6), Unit.TARGET),
    (CANCER, GradientBoostingClassifier(n_estimators=10, random_state=0), Unit.LOG_ODDS),
    (CANCER, GradientBoostingClassifier(n_estimators=10, random_state=0, loss="exponential"), Unit.SCORE),
    (WINE, GradientBoostingClassifier(n_estimators=10, random_state=0, init="zero"), Unit.SCORE),
    (DIABETES, GradientBoostingRegressor(n_estimators=10, random_state=0, loss="huber"), Unit.TARGET),
    (WINE, DecisionTreeClassifier(random_state=0), Unit.PROBABILITY),
    (DIABETES, DecisionTreeRegressor(random_state=0, max_depth=6), Unit.TARGET),
]
NAMES = [f"{type(model).__name__}-{len(getattr(data, 'target_names', ()))}-{unit}" for data, model, unit in CASES]


def features_of(frame: pd.DataFrame) -> list[Feature]:
    return [Feature(name=name, title=name, kind=FeatureKind.NUMBER) for name in frame.columns]


def explainer_of(model: Any, frame: pd.DataFrame) -> PipelineExplainer:
    return PipelineExplainer.of(model, features_of(frame))


def raw_output(model: Any, frame: pd.DataFrame, unit: Unit) -> Any:
    if not is_classifier(model):
        return np.log(model.predict(frame)) if unit is Unit.LOG_TARGET else model.predict(frame)
    return model.predict_proba(frame) if unit is Unit.PROBABILITY else model.decision_function(frame)


@pytest.mark.parametrize(("data", "model", "unit"), CASES, ids=NAMES)
def test_effects_add_up_to_what_the_model_says(data: Any, model: Any, unit: Unit) -> None:
    frame = data.data
    model.fit(frame, data.target)
    explaining = explainer_of(model, frame)
    explanation = explaining.explain(frame)
    said = raw_output(model, frame, unit)
    if said.ndim == 2:
        said = said[:, 1] if said.shape[1] == 2 else said.max(axis=1)
    assert explaining.unit is unit
    assert explanation.effects.shape == frame.shape
    np.testing.assert_allclose(explanation.output, said, **EXACT)


# The library does not support gradient boosting of several classes, or with a zero start.
@pytest.mark.parametrize(("data", "model", "unit"), [case for case in CASES if getattr(case[1], "init", None) is None])
def test_effects_are_those_of_the_library(data: Any, model: Any, unit: Unit) -> None:
    frame = data.data.iloc[::5]
    model.fit(data.data, data.target)
    theirs = shap.TreeExplainer(model).shap_values(frame, check_additivity=False)
    ours = explainer_of(model, data.data)
    if theirs.ndim == 2:
        np.testing.assert_allclose(ours.explain(frame).effects, theirs, **EXACT)
        return
    for index in range(theirs.shape[2]):
        effects = ours.explain(frame, np.full(len(frame), index)).effects
        np.testing.assert_allclose(effects, theirs[:, :, index], **EXACT)


def test_either_of_two_classes_can_be_explained() -> None:
    model = HistGradientBoostingClassifier(max_iter=10).fit(CANCER.data, CANCER.target)
    explaining = explainer_of(model, CANCER.data)
    first, second = (explaining.explain(CANCER.data, np.full(len(CANCER.data), index)) for index in (0, 1))
    np.testing.assert_allclose(expit(first.output), model.predict_proba(CANCER.data)[:, 0], **EXACT)
    np.testing.assert_allclose(expit(second.output), model.predict_proba(CANCER.data)[:, 1], **EXACT)


def test_missing_numbers_are_explained() -> None:
    holes = np.random.default_rng(0).random(CANCER.data.shape) < 0.3
    frame = CANCER.data.mask(holes)
    for model in (HistGradientBoostingClassifier(max_iter=10), RandomForestClassifier(10, random_state=0)):
        model.fit(frame, CANCER.target)
        explaining = explainer_of(model, frame)
        said = raw_output(model, frame, explaining.unit)
        np.testing.assert_allclose(explaining.explain(frame).output, said[:, 1] if said.ndim == 2 else said, **EXACT)


@pytest.fixture(scope="module")
def people() -> tuple[pd.DataFrame, pd.Series]:
    frame, labels = income.load_records(census_model.TRAINING)
    return frame.iloc[:3000], labels.iloc[:3000]


def one_hot(**options: Any) -> Pipeline:
    """A typical pipeline: all numbers in one step and all categories in another, several columns of each."""
    numbers, categories = ["age", "hours_per_week"], ["sex", "workclass", "education", "marital_status", "race"]
    encoder = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(**options))
    columns = ColumnTransformer([("categories", encoder, categories), ("numbers", StandardScaler(), numbers)])
    return make_pipeline(columns, RandomForestClassifier(5, max_depth=8, random_state=0))


@pytest.mark.parametrize("options", [{}, {"drop": "first"}, {"min_frequency": 100}, {"drop": "if_binary"}])
def test_one_hot_columns_are_summed_back_to_their_feature(people: Any, options: dict[str, Any]) -> None:
    frame, labels = people
    pipeline = one_hot(**options).fit(frame, labels)
    explaining = PipelineExplainer.of(pipeline, income.FEATURES)
    effects = explaining.explain(frame.iloc[:200]).effects
    said = pipeline.predict_proba(frame.iloc[:200])[:, 1]
    np.testing.assert_allclose(explaining.explain(frame.iloc[:200]).output, said, **EXACT)
    columns = pipeline[0].transform(frame.iloc[:200])
    theirs = shap.TreeExplainer(pipeline[-1]).shap_values(getattr(columns, "toarray", lambda: columns)())[:, :, 1]
    made = pd.Series(pipeline[0].get_feature_names_out()).str.partition("__")[2]
    for place, feature in enumerate(income.FEATURES):
        of_feature = made.str.startswith(feature.name)
        np.testing.assert_allclose(effects[:, place], theirs[:, of_feature].sum(axis=1), **EXACT)


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_encoders_of_many_kinds_are_traced() -> None:
    frame = DIABETES.data.mask(np.random.default_rng(0).random(DIABETES.data.shape) < 0.05)
    frame["empty"] = np.nan
    encoders = make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["age", "empty", "bmi"]),
        (make_pipeline(SimpleImputer(), KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf")), ["bp", "s1"]),
        (make_pipeline(SimpleImputer(), SplineTransformer(4)), ["s2", "s3"]),
        (make_pipeline(SimpleImputer(), SelectKBest(k=1)), ["s4", "s5"]),
        ("drop", ["s6"]),
        remainder="passthrough",
    )
    pipeline = make_pipeline(encoders, HistGradientBoostingRegressor(max_iter=10)).fit(frame, DIABETES.target)
    explaining = explainer_of(pipeline, frame)
    explanation = explaining.explain(frame)
    np.testing.assert_allclose(explanation.output, pipeline.predict(frame), **EXACT)
    used = dict(zip(frame.columns, np.abs(explanation.effects).max(axis=0), strict=True))
    assert used["s6"] == used["empty"] == 0
    assert min(used["bmi"], used["bp"], used["s5"], used["s2"]) > 0


def test_words_of_a_text_are_summed_back_to_it() -> None:
    frame = pd.DataFrame({"rating": [1.0, 5.0] * 50, "text": ["dreadful and slow", "quick and lovely"] * 50})
    encoder = make_column_transformer((TfidfVectorizer(), "text"), ("passthrough", ["rating"]))
    pipeline = make_pipeline(encoder, RandomForestClassifier(10, random_state=0)).fit(frame, [0, 1] * 50)
    explanation = explainer_of(pipeline, frame).explain(frame)
    assert explanation.effects.shape == (100, 2)
    np.testing.assert_allclose(explanation.output, pipeline.predict_proba(frame)[:, 1], **EXACT)


def test_a_pipeline_may_take_its_columns_in_another_order(people: Any) -> None:
    frame, labels = people
    turned = frame[frame.columns[::-1]]
    explaining = PipelineExplainer.of(one_hot().fit(turned, labels), income.FEATURES)
    straight = PipelineExplainer.of(one_hot().fit(frame, labels), income.FEATURES)
    np.testing.assert_allclose(
        explaining.explain(frame.iloc[:50]).effects, straight.explain(frame.iloc[:50]).effects, **EXACT
    )


def test_many_rows_are_explained_in_parts(people: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, labels = people
    explaining = PipelineExplainer.of(one_hot().fit(frame, labels), income.FEATURES)
    at_once = explaining.explain(frame.iloc[:100])
    monkeypatch.setattr(explainer, "CELLS_AT_ONCE", 1000)
    np.testing.assert_allclose(explaining.explain(frame.iloc[:100]).effects, at_once.effects, **EXACT)
    assert explaining.explain(frame.iloc[:0]).effects.shape == (0, 7)


REFUSED = [
    (make_pipeline(PCA(3), DecisionTreeClassifier()), "PCA may mix its columns"),
    (GradientBoostingClassifier(n_estimators=2, init=LogisticRegression(max_iter=5)), "another model"),
]


@pytest.mark.parametrize(("model", "reason"), REFUSED)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_cannot_be_explained_has_a_reason(model: Any, reason: str) -> None:
    model.fit(CANCER.data, CANCER.target)
    assert reason in str(obstacle(model, features_of(CANCER.data)))


def test_several_targets_and_columns_that_are_no_features_are_refused() -> None:
    targets = np.column_stack([DIABETES.target, DIABETES.target])
    several = DecisionTreeRegressor(max_depth=2).fit(DIABETES.data, targets)
    assert "several targets" in str(obstacle(several, features_of(DIABETES.data)))
    one = DecisionTreeRegressor(max_depth=2).fit(DIABETES.data, DIABETES.target)
    assert "'s6', which is no feature" in str(obstacle(one, features_of(DIABETES.data.drop(columns="s6"))))


@pytest.mark.parametrize(("data", "model", "unit"), CASES, ids=NAMES)
def test_effects_are_the_same_without_the_library(
    data: Any, model: Any, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = data.data.iloc[::10]
    model.fit(data.data, data.target)
    expected = explainer_of(model, data.data).explain(frame)
    monkeypatch.setitem(sys.modules, "shap", None)
    without = explainer_of(model, data.data)
    assert not without.attributor.libraries
    found = without.explain(frame)
    np.testing.assert_allclose(found.effects, expected.effects, **EXACT)
    np.testing.assert_allclose(found.baseline, expected.baseline, **EXACT)


def test_very_large_forests_are_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    model = RandomForestRegressor(3, max_depth=3).fit(DIABETES.data, DIABETES.target)
    assert not explainer_of(model, DIABETES.data).attributor.libraries
    monkeypatch.setattr(trees, "LARGEST_FOREST", 10)
    assert explainer_of(model, DIABETES.data).attributor.libraries == {"shap"}


def test_ordinal_columns_keep_their_feature(people: Any) -> None:
    frame, labels = people
    encoder = make_column_transformer((OrdinalEncoder(), ["sex", "race"]), (StandardScaler(), ["age"]))
    pipeline = make_pipeline(encoder, HistGradientBoostingClassifier(max_iter=5)).fit(frame, labels)
    explaining = PipelineExplainer.of(pipeline, income.FEATURES)
    explanation = explaining.explain(frame)
    np.testing.assert_allclose(explanation.output, pipeline.decision_function(frame), **EXACT)
    unused = [place for place, feature in enumerate(income.FEATURES) if feature.name not in ("sex", "race", "age")]
    assert not explanation.effects[:, unused].any()


def test_income_full_is_explained(full_pipeline: Pipeline) -> None:
    frame = income_full.load_records(census_model.HELD_OUT)[0].iloc[:300]
    explaining = PipelineExplainer.of(full_pipeline, income_full.FEATURES)
    assert explaining.unit is Unit.LOG_ODDS
    explanation = explaining.explain(frame)
    np.testing.assert_allclose(explanation.output, full_pipeline.decision_function(frame), **EXACT)
