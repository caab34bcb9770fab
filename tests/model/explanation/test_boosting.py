"""XGBoost, LightGBM, CatBoost and native categories of histogram boosting: effects add up to the margin."""

from typing import Any

import numpy as np
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from xgboost import XGBClassifier, XGBRegressor

from model.explanation.check import checked_explainer
from model.explanation.explanation import Unit
from tests.model.explanation.test_explainer import (
    AGES,
    AMOUNT,
    CATEGORIES,
    FEATURES,
    ONE,
    PEOPLE,
    QUIET,
    RICH,
    behind_blocks,
    said,
)

NATIVE = PEOPLE.astype(dict.fromkeys(CATEGORIES, "category"))
WORDS = PEOPLE.fillna(dict.fromkeys(CATEGORIES, "unknown"))
SILENT = {"verbose": 0, "thread_count": 1, "allow_writing_files": False}


BOOSTERS = {
    "histograms, own categories": (HistGradientBoostingClassifier(max_iter=5), NATIVE),
    "xgboost, own categories": (XGBClassifier(n_estimators=5, enable_categorical=True, **ONE), NATIVE),
    "xgboost, sparse": (behind_blocks(XGBClassifier(n_estimators=5, **ONE)), PEOPLE),
    "lightgbm, own categories": (LGBMClassifier(n_estimators=5, **QUIET), NATIVE),
    "lightgbm, sparse": (behind_blocks(LGBMClassifier(n_estimators=5, **QUIET)), PEOPLE),
    "catboost, own categories": (CatBoostClassifier(iterations=5, cat_features=CATEGORIES, **SILENT), WORDS),
    "catboost, sparse": (behind_blocks(CatBoostClassifier(iterations=5, **SILENT)), PEOPLE),
}


@pytest.mark.parametrize("name", BOOSTERS)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_boosting_libraries_explain_their_own_models(name: str) -> None:
    model, frame = BOOSTERS[name]
    model.fit(frame, (RICH == ">50K").astype(int))
    explainer = checked_explainer(model, FEATURES, frame)
    explanation = explainer.explain(frame[:100])
    assert explanation.unit is Unit.LOG_ODDS
    assert explainer.attributor.libraries == {name.split(",", maxsplit=1)[0]} - {"histograms"}
    np.testing.assert_allclose(expit(explanation.output), model.predict_proba(frame[:100])[:, 1], rtol=0, atol=1e-5)
    assert np.count_nonzero(np.abs(explanation.effects).max(axis=0)) > 2


@pytest.mark.parametrize("name", BOOSTERS)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_each_of_several_classes_can_be_explained(name: str) -> None:
    model, frame = BOOSTERS[name]
    places = np.unique(AGES, return_inverse=True)[1]
    model.fit(frame, places)
    explainer = checked_explainer(model, FEATURES, frame)
    some = frame[:50]
    outputs = np.column_stack([explainer.explain(some, np.full(50, place)).output for place in range(3)])
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, model.predict_proba(some), rtol=0, atol=1e-5)
    np.testing.assert_allclose(explainer.explain(some).output, outputs.max(axis=1), rtol=0, atol=1e-9)


COUNTING = {
    "xgboost, poisson": XGBRegressor(n_estimators=5, objective="count:poisson", **ONE),
    "lightgbm, tweedie": LGBMRegressor(n_estimators=5, objective="tweedie", **QUIET),
    "catboost, poisson": CatBoostRegressor(iterations=5, loss_function="Poisson", **SILENT),
}
STOPS_EARLY = "xgboost, early stopping"
PLAIN = {
    STOPS_EARLY: XGBRegressor(n_estimators=20, early_stopping_rounds=2, **ONE),
    "xgboost, linear": XGBRegressor(booster="gblinear", **ONE),
    "lightgbm, quantile": LGBMRegressor(n_estimators=5, objective="quantile", **QUIET),
    "catboost": CatBoostRegressor(iterations=5, **SILENT),
}


# By name: an unfitted CatBoost model has an address in its text, and so another id in each process of pytest-xdist.
@pytest.mark.parametrize("name", [*COUNTING, *PLAIN])
def test_boosted_regressors_add_up_to_the_target_or_its_logarithm(name: str) -> None:
    model: Any = (COUNTING | PLAIN)[name]
    numbers = PEOPLE[["age", "hours_per_week"]]
    stopping = {"eval_set": [(numbers[:40], AMOUNT[:40])], "verbose": False} if name == STOPS_EARLY else {}
    model.fit(numbers, AMOUNT, **stopping)
    features = [feature for feature in FEATURES if feature.name in numbers]
    explanation = checked_explainer(model, features, numbers).explain(numbers)
    assert explanation.unit is (Unit.LOG_TARGET if name in COUNTING else Unit.TARGET)
    np.testing.assert_allclose(explanation.output, said(model, numbers, explanation.unit), rtol=1e-4, atol=1e-5)
