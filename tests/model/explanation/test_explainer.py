"""Pipelines as people have them: effects add up to the pipeline's output, or there is a reason why not.

All are small, since sums are tested, not performance.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from imblearn.ensemble import BalancedRandomForestClassifier
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_balanced_pipeline
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy.special import logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from model.census import census_model, income
from model.explanation.check import checked_explainer
from model.explanation.column_lineage import Lineage
from model.explanation.explainer import explainer_of, obstacle
from model.explanation.explanation import NotExplainable, Unit
from model.schema import Feature, FeatureKind

PEOPLE, LABELS = income.load_records(census_model.TRAINING)
PEOPLE, LABELS = PEOPLE.iloc[:400].reset_index(drop=True), LABELS.iloc[:400].reset_index(drop=True)
FEATURES = income.FEATURES
CATEGORIES = [name for name in PEOPLE if name not in ("age", "hours_per_week")]
RICH = LABELS.to_numpy()
AGES = np.array(["young", "grown", "old"])[np.digitize(PEOPLE["hours_per_week"], [39, 41])]
AMOUNT = 20.0 + PEOPLE["age"].to_numpy() * (1 + (RICH == ">50K"))
LOGISTIC = LogisticRegression(max_iter=50)
FOREST = RandomForestClassifier(5, max_depth=6, random_state=0)
ONE = {"n_jobs": 1}
QUIET = {"verbose": -1, **ONE}


def behind_blocks(
    model: Any, dense: bool = False, make: Callable[..., Pipeline] = make_pipeline, *before: Any
) -> Pipeline:
    """A model behind a typical ColumnTransformer: several columns in each block, the rest passed through."""
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10, sparse_output=not dense),
    )
    columns = make_column_transformer(
        (words, CATEGORIES), (make_pipeline(StandardScaler(), SplineTransformer(4)), ["age"]), remainder="passthrough"
    )
    return make(columns, *before, model)


def of_numbers(*steps: Any) -> Pipeline:
    return make_pipeline(make_column_transformer(("passthrough", ["age", "hours_per_week"])), *steps)


def said(model: Any, given: Any, unit: Unit) -> Any:
    """The model's own output in that unit; with several classes, that of the predicted one."""
    if unit is Unit.TARGET:
        return model.predict(given)
    if unit is Unit.LOG_TARGET:
        return np.log(model.predict(given))
    if isinstance(model, Pipeline) and isinstance(model[-1], MultinomialNB):
        joint = model[-1].predict_joint_log_proba(model[:-1].transform(given))
        return joint[:, 1] - joint[:, 0] if joint.shape[1] == 2 else joint.max(axis=1)
    answers = model.predict_proba(given) if unit is Unit.PROBABILITY else model.decision_function(given)
    if answers.ndim == 1:
        return answers
    return answers[:, 1] if answers.shape[1] == 2 else answers.max(axis=1)


CLASSIFIERS = {
    "logistic regression": (behind_blocks(LOGISTIC), Unit.LOG_ODDS),
    "by gradient, log loss": (behind_blocks(SGDClassifier(loss="log_loss", random_state=0)), Unit.LOG_ODDS),
    "by gradient, hinge": (behind_blocks(SGDClassifier(random_state=0)), Unit.SCORE),
    "linear svc": (behind_blocks(LinearSVC()), Unit.SCORE),
    "naive bayes": (
        make_pipeline(make_column_transformer((OneHotEncoder(handle_unknown="ignore"), CATEGORIES)), MultinomialNB()),
        Unit.LOG_ODDS,
    ),
    "ridge": (behind_blocks(RidgeClassifier()), Unit.SCORE),
    "discriminant": (behind_blocks(LinearDiscriminantAnalysis(), dense=True), Unit.LOG_ODDS),
    "forest": (behind_blocks(FOREST), Unit.PROBABILITY),
    "balanced forest": (
        behind_blocks(BalancedRandomForestClassifier(5, max_depth=6, random_state=0)), Unit.PROBABILITY
    ),
    "oversampled": (behind_blocks(LOGISTIC, True, make_balanced_pipeline, SMOTE(random_state=0)), Unit.LOG_ODDS),
    "oversampled first": (
        make_balanced_pipeline(RandomOverSampler(random_state=0), behind_blocks(FOREST)), Unit.PROBABILITY
    ),
    "grid": (GridSearchCV(behind_blocks(LOGISTIC), {"logisticregression__C": [1]}, cv=2), Unit.LOG_ODDS),
    "random": (
        RandomizedSearchCV(behind_blocks(FOREST), {"randomforestclassifier__max_depth": [3]}, n_iter=1, cv=2),
        Unit.PROBABILITY,
    ),
    "halving": (
        HalvingGridSearchCV(behind_blocks(LOGISTIC), {"logisticregression__C": [1, 2]}, cv=2, min_resources=200),
        Unit.LOG_ODDS,
    ),
    "voting": (
        VotingClassifier([("a", behind_blocks(FOREST)), ("b", of_numbers(DecisionTreeClassifier(max_depth=3)))],
                         voting="soft", weights=[1, 3]), Unit.PROBABILITY,
    ),
    "bagging": (of_numbers(BaggingClassifier(DecisionTreeClassifier(max_depth=3), 4)), Unit.PROBABILITY),
    "target encoder": (
        make_pipeline(make_column_transformer((TargetEncoder(random_state=0), CATEGORIES), remainder="passthrough"),
                      StandardScaler(), LOGISTIC), Unit.LOG_ODDS
    ),
}  # fmt: skip


@pytest.mark.parametrize("labels", [RICH, AGES], ids=["two", "three"])
@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.filterwarnings("ignore")
def test_effects_add_up_to_what_a_classifier_says(name: str, labels: Any) -> None:
    model, unit = CLASSIFIERS[name]
    model.fit(PEOPLE, labels)
    several = len(set(labels)) > 2
    unit = Unit.SCORE if several and unit is Unit.LOG_ODDS else unit
    explainer = checked_explainer(model, FEATURES, PEOPLE)
    explanation = explainer.explain(PEOPLE[:100])
    assert explainer.unit is explanation.unit is unit
    np.testing.assert_allclose(explanation.output, said(model, PEOPLE[:100], unit), rtol=1e-6, atol=1e-6)


REGRESSORS = {
    "least squares": (behind_blocks(LinearRegression()), Unit.TARGET),
    "ridge": (behind_blocks(Ridge()), Unit.TARGET),
    "support vectors": (of_numbers(StandardScaler(), SVR(kernel="linear")), Unit.TARGET),
    "lasso": (behind_blocks(Lasso()), Unit.TARGET),
    "elastic net": (behind_blocks(ElasticNet()), Unit.TARGET),
    "by gradient": (behind_blocks(make_pipeline(StandardScaler(with_mean=False), SGDRegressor())), Unit.TARGET),
    "poisson": (behind_blocks(PoissonRegressor()), Unit.LOG_TARGET),
    "gamma": (behind_blocks(GammaRegressor()), Unit.LOG_TARGET),
    "tweedie": (behind_blocks(TweedieRegressor(power=1.5)), Unit.LOG_TARGET),
    "tweedie, identity": (behind_blocks(TweedieRegressor(power=0)), Unit.TARGET),
    "transformed by nothing": (TransformedTargetRegressor(behind_blocks(Ridge())), Unit.TARGET),
    "voting": (
        VotingRegressor([("a", behind_blocks(Ridge())), ("b", of_numbers(RandomForestRegressor(3, max_depth=3)))],
                        weights=[2, 1]), Unit.TARGET
    ),
    "bagging": (of_numbers(BaggingRegressor(DecisionTreeRegressor(max_depth=3), 6, max_features=1)), Unit.TARGET),
    "union": (
        of_numbers(
            FeatureUnion([
                ("same", "passthrough"),
                ("bins", KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf")),
                ("steps", make_pipeline(FunctionTransformer(np.log1p), PolynomialFeatures(1))),
                ("dropped", "drop"),
            ]),
            Ridge(),
        ), Unit.TARGET
    ),
    "powers of one column": (
        make_pipeline(make_column_transformer((PolynomialFeatures(3), ["age"]), ("passthrough", ["hours_per_week"])),
                      StandardScaler(), Ridge()), Unit.TARGET
    ),
    "imputers": (
        of_numbers(IterativeImputer(add_indicator=True), KNNImputer(), StandardScaler(), Ridge()), Unit.TARGET
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.filterwarnings("ignore")
def test_effects_add_up_to_what_a_regressor_says(name: str) -> None:
    model, unit = REGRESSORS[name]
    frame = PEOPLE.assign(age=PEOPLE["age"].where(PEOPLE.index % 7 > 0)) if name == "imputers" else PEOPLE
    model.fit(frame, AMOUNT)
    explainer = checked_explainer(model, FEATURES, frame)
    explanation = explainer.explain(frame[:100])
    assert explainer.unit is unit
    np.testing.assert_allclose(explanation.output, said(model, frame[:100], unit), rtol=1e-6, atol=1e-6)


def test_effects_of_a_linear_model_are_coefficient_times_distance_from_the_mean() -> None:
    model = of_numbers(Ridge()).fit(PEOPLE, AMOUNT)
    explanation = checked_explainer(model, FEATURES, PEOPLE).explain(PEOPLE)
    numbers = PEOPLE[["age", "hours_per_week"]]
    expected = (numbers - numbers.mean()) * model[-1].coef_
    places = [feature.name for feature in FEATURES].index("age"), [f.name for f in FEATURES].index("hours_per_week")
    np.testing.assert_allclose(explanation.effects[:, places], expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(explanation.baseline, model.predict(PEOPLE).mean())
    assert np.count_nonzero(np.abs(explanation.effects).max(axis=0)) == 2


def test_the_blocks_of_a_model_have_the_effects_of_the_same_model_feature_by_feature(scorer: Any) -> None:
    """The income model's effects by table, against those of its pipeline's coefficients."""
    explainer = explainer_of(scorer.pipeline, FEATURES, scorer.card.explanation.average_effects)
    assert explainer is not None
    by_table = scorer.explain(PEOPLE)
    np.testing.assert_allclose(
        explainer.explain(scorer.pipeline_input(PEOPLE)).effects, by_table.effects, rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("base", [LOGISTIC, LinearSVC(), FOREST, LGBMClassifier(n_estimators=5, **QUIET)], ids=repr)
@pytest.mark.filterwarnings("ignore")
def test_a_calibrated_model_is_explained_before_its_calibration(base: Any) -> None:
    model = CalibratedClassifierCV(behind_blocks(base), cv=2).fit(PEOPLE, RICH)
    explainer = checked_explainer(model, FEATURES, PEOPLE)
    explanation = explainer.explain(PEOPLE[:100])
    assert explanation.unit is Unit.UNCALIBRATED_SCORE
    folds = [each.estimator for each in model.calibrated_classifiers_]
    if isinstance(base, LGBMClassifier):
        scores = [logit(fold.predict_proba(PEOPLE[:100])[:, 1]) for fold in folds]
    elif base is FOREST:
        scores = [fold.predict_proba(PEOPLE[:100])[:, 1] for fold in folds]
    else:
        scores = [fold.decision_function(PEOPLE[:100]) for fold in folds]
    np.testing.assert_allclose(explanation.output, np.mean(scores, axis=0), rtol=1e-6, atol=1e-6)
    order = np.argsort(explanation.output)
    assert np.corrcoef(order.argsort(), model.predict_proba(PEOPLE[:100])[:, 1].argsort().argsort())[0, 1] > 0.9


def test_the_predicted_one_of_several_calibrated_classes_is_explained() -> None:
    model = CalibratedClassifierCV(FrozenEstimator(behind_blocks(FOREST).fit(PEOPLE, AGES))).fit(PEOPLE, AGES)
    explanation = checked_explainer(model, FEATURES, PEOPLE).explain(PEOPLE)
    places = np.searchsorted(model.classes_, model.predict(PEOPLE))
    scores = model.estimator.predict_proba(PEOPLE)[np.arange(len(PEOPLE)), places]
    np.testing.assert_allclose(explanation.output, scores, rtol=0, atol=1e-6)


@pytest.mark.parametrize("wrap", [TunedThresholdClassifierCV, FixedThresholdClassifier])
def test_a_threshold_of_its_own_changes_no_effect(wrap: Any) -> None:
    model = wrap(behind_blocks(FOREST)).fit(PEOPLE, RICH)
    explanation = checked_explainer(model, FEATURES, PEOPLE).explain(PEOPLE[:100])
    np.testing.assert_allclose(explanation.output, model.predict_proba(PEOPLE[:100])[:, 1], rtol=0, atol=1e-6)
    other = checked_explainer(model, FEATURES, PEOPLE).explain(PEOPLE[:100], np.zeros(100, np.int64))
    np.testing.assert_allclose(other.effects, -explanation.effects, rtol=0, atol=1e-6)


@pytest.mark.parametrize("transformer", [None, StandardScaler()])
def test_a_transformed_target_is_explained_in_its_own_unit(transformer: Any) -> None:
    functions = {} if transformer else {"func": np.log1p, "inverse_func": np.expm1}
    model = TransformedTargetRegressor(behind_blocks(Ridge()), transformer=transformer, **functions).fit(PEOPLE, AMOUNT)
    explanation = checked_explainer(model, FEATURES, PEOPLE).explain(PEOPLE[:100])
    assert explanation.unit is Unit.TRANSFORMED_TARGET
    transformed = transformer.fit(AMOUNT[:, None]) if transformer else FunctionTransformer(np.log1p)
    expected = transformed.transform(model.predict(PEOPLE[:100])[:, None])[:, 0]
    np.testing.assert_allclose(explanation.output, expected, rtol=0, atol=1e-6)


def test_texts_and_arrays_without_names_are_taken_as_the_pipeline_takes_them() -> None:
    texts = np.array(["slow and dull", "quick and bright", "so so"] * 30)
    text = Feature(name="text", title="Text", kind=FeatureKind.TEXT)
    model = make_pipeline(TfidfVectorizer(), LOGISTIC).fit(texts, [0, 1, 0] * 30)
    explanation = checked_explainer(model, [text], texts).explain(texts)
    assert explanation.effects.shape == (90, 1)
    np.testing.assert_allclose(explanation.output, model.decision_function(texts), rtol=0, atol=1e-9)
    array = PEOPLE[["age", "hours_per_week"]].to_numpy()
    features = [feature for feature in FEATURES if feature.name in ("age", "hours_per_week")]
    ridge = Ridge().fit(array, AMOUNT)
    found = checked_explainer(ridge, features, array).explain(array)
    np.testing.assert_allclose(found.output, ridge.predict(array), rtol=0, atol=1e-9)


REFUSED = {
    "PolynomialFeatures multiplies columns": of_numbers(PolynomialFeatures(2), Ridge()),
    "Normalizer may mix its columns": of_numbers(Normalizer(), Ridge()),
    "this SVC is not linear": of_numbers(SVC()),
    "nothing explains a KNeighborsClassifier": of_numbers(KNeighborsClassifier()),
    "nothing explains a StackingClassifier": of_numbers(StackingClassifier([("a", LOGISTIC)], cv=2)),
    "counts votes": of_numbers(VotingClassifier([("a", LOGISTIC)])),
    "averages outputs in another unit": of_numbers(VotingClassifier([("a", LOGISTIC)], voting="soft")),
    "is not implemented for linear trees": of_numbers(LGBMRegressor(n_estimators=2, linear_tree=True, **QUIET)),
    "several targets": of_numbers(Ridge()),
}


@pytest.mark.parametrize("reason", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_explained_has_a_reason(reason: str) -> None:
    model = REFUSED[reason]
    labels = np.column_stack([AMOUNT, AMOUNT]) if reason == "several targets" else (RICH == ">50K").astype(int)
    model.fit(PEOPLE, labels)
    with pytest.raises(NotExplainable, match=reason):
        checked_explainer(model, FEATURES, PEOPLE)
    if "linear trees" not in reason:
        assert reason in str(obstacle(model, FEATURES))
        assert explainer_of(model, FEATURES) is None


def test_columns_are_known_by_name_where_a_wrapper_does_not_say_in_which_order_they_were() -> None:
    model = TransformedTargetRegressor(behind_blocks(Ridge())).fit(PEOPLE[PEOPLE.columns[::-1]], AMOUNT)
    straight = TransformedTargetRegressor(behind_blocks(Ridge())).fit(PEOPLE, AMOUNT)
    del model.feature_names_in_
    found, expected = (checked_explainer(each, FEATURES, PEOPLE).explain(PEOPLE) for each in (model, straight))
    np.testing.assert_allclose(found.effects, expected.effects, rtol=0, atol=1e-6)


def test_a_pipeline_of_dropped_columns_needs_no_feature_for_them() -> None:
    model = of_numbers(Ridge()).fit(PEOPLE.assign(row_id=range(len(PEOPLE))), AMOUNT)
    assert Lineage.of(model, FEATURES).names[-1] == "row_id"
    assert obstacle(model, FEATURES) is None
    assert "'age', which is no feature" in str(obstacle(model, [f for f in FEATURES if f.name != "age"]))


class Boastful(LogisticRegression):
    """Its decision is not the sum of its parts, though its coefficients say so."""

    def decision_function(self, given: Any) -> Any:
        return super().decision_function(given) ** 3


class Sly(RandomForestClassifier):
    """Predicts something else than its trees."""

    def predict_proba(self, given: Any) -> Any:
        return super().predict_proba(given)[:, ::-1]


@pytest.mark.parametrize("model", [Boastful(), Sly(3, max_depth=3)])
def test_effects_that_do_not_add_up_are_detected(model: Any) -> None:
    pipeline = of_numbers(model).fit(PEOPLE, RICH)
    with pytest.raises(NotExplainable, match="do not add up"):
        checked_explainer(pipeline, FEATURES, PEOPLE)
