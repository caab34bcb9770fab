"""Classifiers and regressors of scikit-learn, as they are."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    HuberRegressor,
    Lasso,
    LogisticRegressionCV,
    Perceptron,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.models import tables
from tests.models.case import Case, TrainedModel, bring
from tests.models.pipelines import by_type, logistic, prepared, scaled


def on(table: Callable[[], pd.DataFrame], target: str, model: Any, **options: Any) -> Callable[[Path], TrainedModel]:
    """The model fitted on a table of numbers."""
    return lambda folder: bring(folder, model, table(), target, **options)


wine = partial(on, tables.wine, "cultivar")
cancer = partial(on, tables.cancer, "diagnosis")
diabetes = partial(on, tables.diabetes, "progression")


def tuned(folder: Path) -> TrainedModel:
    inner = prepared(tables.ADULT_NUMBERS, tables.ADULT_WORDS, logistic())
    model = TunedThresholdClassifierCV(inner, scoring="balanced_accuracy", cv=3)
    return bring(folder, model, tables.adult(1500), "income", odd_values=False)


def tuned_in_pipeline(folder: Path) -> TrainedModel:
    model = prepared(
        tables.ADULT_NUMBERS,
        tables.ADULT_WORDS,
        TunedThresholdClassifierCV(logistic(), scoring="balanced_accuracy", cv=3),
    )
    return bring(folder, model, tables.adult(1500), "income")


def fixed(folder: Path) -> TrainedModel:
    model = FixedThresholdClassifier(scaled(logistic()), threshold=0.2, pos_label=0)
    return bring(folder, model, tables.cancer(), "diagnosis")


def ties(folder: Path) -> TrainedModel:
    """An even number of neighbours of two classes: half say one, half the other."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.integers(0, 4, (300, 2)), columns=["a", "b"]).assign(kind=rng.choice(["x", "y"], 300))
    return bring(folder, KNeighborsClassifier(4), table, "kind")


def weighted(folder: Path) -> TrainedModel:
    model = by_type(logistic(class_weight={">50K": 5, "<=50K": 1}, max_iter=2000))
    return bring(folder, model, tables.adult(1500), "income")


def searched(folder: Path) -> TrainedModel:
    model = prepared(["tenure", "MonthlyCharges"], ["Contract", "Partner"], logistic())
    search = GridSearchCV(model, {"model__C": [0.1, 1.0]}, cv=3)
    return bring(folder, search, tables.telco().drop(columns=["customerID", "TotalCharges"]), "Churn")


def stacked() -> StackingClassifier:
    trees = RandomForestClassifier(15, random_state=0)
    return StackingClassifier([("trees", trees), ("line", scaled(logistic()))], logistic(), cv=3)


def voters() -> list[tuple[str, Any]]:
    return [("line", scaled(logistic())), ("trees", ExtraTreesClassifier(15, random_state=0)), ("bayes", GaussianNB())]


def regressors() -> list[tuple[str, Any]]:
    return [("ridge", Ridge()), ("trees", RandomForestRegressor(15, random_state=0))]


CASES = (
    Case("tuned-threshold", tuned, cheap=True, browser=True),
    Case("tuned-threshold-in-a-pipeline", tuned_in_pipeline),
    Case("fixed-threshold", fixed),
    Case("svc-with-probabilities", cancer(scaled(SVC(probability=True, random_state=0)), has_scores=False)),
    Case("svc", wine(scaled(SVC(random_state=0)))),
    Case("svc-of-two-classes", cancer(scaled(SVC(random_state=0)))),
    Case("nu-svc-one-against-one", wine(scaled(NuSVC(decision_function_shape="ovo", random_state=0)))),
    Case("linear-svc", wine(scaled(LinearSVC(random_state=0)))),
    Case("neighbours-with-ties", ties),
    Case("neighbours-by-distance", wine(scaled(KNeighborsClassifier(5, weights="distance")))),
    Case("nearest-centroid", wine(scaled(NearestCentroid()), has_scores=False)),
    Case("class-weights", weighted),
    Case("grid-search", searched),
    Case(
        "randomized-search",
        diabetes(RandomizedSearchCV(Ridge(), {"alpha": [0.1, 1.0, 9.0]}, n_iter=2, cv=3, random_state=0)),
    ),
    Case("calibrated", cancer(CalibratedClassifierCV(scaled(LinearSVC(random_state=0)), cv=3), has_scores=False)),
    Case("calibrated-isotonic", wine(CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=3), has_scores=False)),
    Case("stacked-classifier", wine(stacked())),
    Case("stacked-regressor", diabetes(StackingRegressor(regressors(), Ridge(), cv=3))),
    Case("voting-hard", wine(VotingClassifier(voters()), has_scores=False)),
    Case("voting-soft", wine(VotingClassifier(voters(), voting="soft"))),
    Case("voting-regressor", diabetes(VotingRegressor(regressors()))),
    Case("bagging-regressor", diabetes(BaggingRegressor(DecisionTreeRegressor(max_depth=4), 10, random_state=0))),
    Case("ada-boost", wine(AdaBoostClassifier(n_estimators=10, random_state=0), has_scores=False)),
    Case("perceptron-of-layers", wine(scaled(MLPClassifier(hidden_layer_sizes=(8,), max_iter=300, random_state=0)))),
    Case(
        "perceptron-of-layers-regressor",
        diabetes(scaled(MLPRegressor(hidden_layer_sizes=(8,), max_iter=200, random_state=0))),
    ),
    Case("gaussian-process", wine(scaled(GaussianProcessClassifier(random_state=0)))),
    Case("gaussian-process-regressor", diabetes(scaled(GaussianProcessRegressor(alpha=1.0, random_state=0)))),
    Case("gaussian-bayes", wine(GaussianNB())),
    Case("multinomial-bayes", wine(make_pipeline(MinMaxScaler(clip=True), MultinomialNB()))),
    Case("complement-bayes", wine(make_pipeline(MinMaxScaler(clip=True), ComplementNB()), has_scores=False)),
    Case("bernoulli-bayes", cancer(scaled(BernoulliNB()))),
    Case("linear-discriminant", wine(LinearDiscriminantAnalysis())),
    Case("quadratic-discriminant", wine(QuadraticDiscriminantAnalysis(reg_param=0.1))),
    Case("sgd-hinge", wine(scaled(SGDClassifier(random_state=0)))),
    Case("sgd-log-loss", cancer(scaled(SGDClassifier(loss="log_loss", random_state=0)))),
    Case("perceptron", wine(scaled(Perceptron(random_state=0)))),
    Case("ridge-classifier", wine(scaled(RidgeClassifier()))),
    Case("logistic-cv", wine(scaled(LogisticRegressionCV(Cs=3, cv=3, max_iter=500, scoring="accuracy")))),
    Case("decision-tree", wine(DecisionTreeClassifier(max_depth=4, random_state=0))),
    Case("random-forest", cancer(RandomForestClassifier(30, random_state=0), saved="joblib")),
    Case("boosted-histograms", cancer(HistGradientBoostingClassifier(max_iter=20, random_state=0))),
    Case("quantile-regressor", diabetes(scaled(QuantileRegressor(quantile=0.9, alpha=0.01)))),
    Case(
        "boosted-quantile",
        diabetes(HistGradientBoostingRegressor(loss="quantile", quantile=0.9, max_iter=20, random_state=0)),
    ),
    Case("gradient-boosting-quantile", diabetes(GradientBoostingRegressor(loss="quantile", alpha=0.1, random_state=0))),
    Case("poisson", diabetes(scaled(PoissonRegressor()))),
    Case("support-vector-regressor", diabetes(scaled(SVR(C=50)))),
    Case("neighbours-regressor", diabetes(KNeighborsRegressor(3))),
    Case("lasso", diabetes(scaled(Lasso(alpha=0.5)))),
    Case("elastic-net", diabetes(scaled(ElasticNet(alpha=0.5)))),
    Case("huber", diabetes(scaled(HuberRegressor(max_iter=500)))),
    Case("bayesian-ridge", diabetes(scaled(BayesianRidge()))),
)
