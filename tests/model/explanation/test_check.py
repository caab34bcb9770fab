"""A card offers explanations only if they were checked to add up, and only where this installation can compute them."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from model.card import Card, ExplanationMethod, InputForm, ModelKind, Scores
from model.errors import ExplanationFailed
from model.explanation import check, trees
from model.explanation.check import explanation_fields
from model.schema import Feature, FeatureKind
from model.scorer import Scorer

FEATURES = tuple(Feature(name=name, title=name, kind=FeatureKind.NUMBER) for name in ("width", "height"))
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 2)), columns=["width", "height"])
AREA = FRAME["width"] + 2 * FRAME["height"]


class Boastful(Ridge):
    """A model that predicts something other than its coefficients say, as a user's own class may."""

    def predict(self, given: Any) -> Any:
        return super().predict(given) + 1.0


def scorer_of(model: Any, **own: Any) -> Scorer:
    card = Card(
        name="area", version="1", kind=ModelKind.REGRESSOR, title="", description="", target="", scores=Scores.NONE,
        features=FEATURES, trained_at="", training_rows=300, libraries={}, artifact_sha256="", **own,
    )  # fmt: skip
    return Scorer(card, model)


def explained(model: Any, **own: Any) -> Scorer:
    """The model with a card as ``add`` makes it."""
    bare = scorer_of(model, **own)
    return Scorer(bare.card.model_copy(update=explanation_fields(bare, FRAME)), model)


def test_a_card_says_how_and_relative_to_what_predictions_are_explained() -> None:
    scorer = explained(Ridge().fit(FRAME, AREA))
    method = scorer.card.explanation
    assert method is not None
    assert (method.method, method.unit, method.libraries) == ("the exact effects of a linear model", "target", ())
    assert method.average_effects["width"] == pytest.approx((scorer.pipeline.coef_[0] * FRAME["width"].mean(),))
    assert scorer.card.is_explained
    explanation = scorer.explain(FRAME)
    assert explanation is not None
    np.testing.assert_allclose(explanation.output, scorer.pipeline.predict(FRAME))
    assert np.abs(explanation.effects.mean(axis=0)).max() < 1e-9


def test_an_array_without_names_is_explained_too() -> None:
    scorer = explained(Ridge().fit(FRAME.to_numpy(), AREA), takes=InputForm.ARRAY)
    explanation = scorer.explain_records([{"width": 1.0, "height": 2.0}])
    assert explanation is not None
    np.testing.assert_allclose(explanation.output, scorer.pipeline.predict([[1.0, 2.0]]))


def test_a_model_whose_effects_do_not_add_up_is_added_without_explanations() -> None:
    scorer = explained(Boastful().fit(FRAME, AREA))
    assert scorer.card.explanation is None
    assert "do not add up" in str(scorer.card.obstacle_to_explanation)
    assert not scorer.card.is_explained
    assert scorer.explain(FRAME) is None
    assert len(scorer.predict(FRAME).values) == 300


def test_no_explanation_is_offered_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = RandomForestRegressor(3, max_depth=3).fit(FRAME, AREA)
    monkeypatch.setattr(trees, "LARGEST_FOREST", 10)
    scorer = explained(forest)
    assert scorer.card.explanation is not None
    assert scorer.card.explanation.libraries == ("shap",)
    assert scorer.card.is_explained
    monkeypatch.setitem(sys.modules, "shap", None)
    assert not scorer.card.is_explained
    assert "requirements-explain.txt" in str(scorer.card.obstacle_to_explanation)
    assert Scorer(scorer.card, forest).explain(FRAME) is None
    without = explained(forest)
    assert without.card.explanation is None
    assert "requirements-explain.txt" in str(without.card.obstacle_to_explanation)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_boosting_libraries_are_named_with_what_installs_them(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = ExplanationMethod(method="its own", unit="target", libraries=(library,))
    card = scorer_of(Ridge().fit(FRAME, AREA), explanation=method).card
    assert card.is_explained
    monkeypatch.setitem(sys.modules, library, None)
    assert str(card.obstacle_to_explanation).endswith(f"{library} (pip install -r requirements-boosters.txt)")


def test_a_failing_explainer_is_distinguished_from_a_failing_model() -> None:
    scorer = explained(Ridge().fit(FRAME, AREA))
    scorer.pipeline.coef_ = scorer.pipeline.coef_[:1]
    with pytest.raises(ExplanationFailed):
        scorer.explain(FRAME)


def test_evenly_spaced_records_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "CHECKED_ROWS", 5)
    monkeypatch.setattr(check, "AVERAGED_ROWS", 3)
    scorer = explained(Ridge().fit(FRAME, AREA))
    assert scorer.card.explanation is not None
    some = FRAME["width"].iloc[[0, 149, 299]].mean() * scorer.pipeline.coef_[0]
    assert scorer.card.explanation.average_effects["width"] == pytest.approx((some,))
