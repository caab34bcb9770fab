"""Two models that score the same chunk."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from jobs.messages import InputChunk
from jobs.store.chunks import ScoredChunk
from model.card import Card, InputForm, ModelKind, Scores
from model.errors import ScoringFailed
from model.monitoring.agreement import agreement
from model.monitoring.training_summary import summarise as summarise_data
from model.schema import Feature, FeatureKind
from model.scorer import Predictions, Scorer
from tests import second_model
from tests.worker.scoring.test_score_chunk import Touchy
from worker.scoring.parse import Layout
from worker.scoring.row_predictions import RowPredictions
from worker.scoring.score_chunk import score_chunk
from worker.scoring.summary import summarise

NAMES = ["age", "workclass", "education", "marital_status", "race", "sex", "hours_per_week", "capital_gain"]
BOTH = Layout(",", 8, {name: at for at, name in enumerate(NAMES)}, added=5)
ALONE = Layout(",", 8, BOTH.columns, added=3)
REST = "State-gov,Bachelors,Never-married,White,Male,40,0"


@pytest.fixture(scope="module")
def lean(scorer: Scorer) -> Scorer:
    own = {"features": second_model.LEAN, "summary": summarise_data(second_model.records(), second_model.LEAN)}
    card = scorer.card.model_copy(update={"name": second_model.NAME, "explanation": None, **own})
    return Scorer(card, second_model.train())


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    frame = second_model.records()
    return frame[frame["age"] <= second_model.AGE.maximum][:2000]


def run(text: str, layout: Layout, *scorers: Scorer, bisect: bool = False) -> tuple[ScoredChunk, list[list[str]]]:
    scored = score_chunk(InputChunk(1, 0, text.encode()), layout, scorers, None, bisect)
    return scored, list(csv.reader(io.StringIO(scored.output.decode(), newline="")))


def csv_of(frame: pd.DataFrame) -> str:
    return frame.astype(object).where(frame.notna(), "?").to_csv(index=False, header=False)


def test_each_record_has_what_either_model_says_alone(scorer: Scorer, lean: Scorer, people: pd.DataFrame) -> None:
    text = csv_of(people)
    _, rows = run(text, BOTH, scorer, lean)
    (first, ones), (second, others) = run(text, ALONE, scorer), run(text, ALONE, lean)
    assert len(rows) == first.scored == second.scored == 2000
    for row, one, other in zip(rows, ones, others, strict=True):
        assert row == [*one[:-1], *other[8:]]


def test_counts_are_those_of_each_alone_and_how_far_the_two_agree(
    scorer: Scorer, lean: Scorer, people: pd.DataFrame
) -> None:
    text = csv_of(people)
    both, _ = run(text, BOTH, scorer, lean)
    (first, _), (second, _) = run(text, ALONE, scorer), run(text, ALONE, lean)
    assert first.summary.items() <= both.summary.items()
    own = {name.removeprefix("second:"): n for name, n in both.summary.items() if name.startswith("second:")}
    assert own == {n: count for n, count in second.summary.items() if n.startswith(("prediction", "probability"))}
    assert any(name.startswith("drift:capital_gain:") for name in both.summary)
    p, q = (model.pipeline.predict_proba(people)[:, 1] for model in (scorer, lean))
    found = agreement(scorer.card, lean.card, both.summary)
    assert found is not None
    assert (found.rows, found.equal) == (2000, int(((p >= 0.5) == (q >= 0.5)).sum()))
    assert 0 < (found.share or 0) < 1
    assert found.mean_difference == pytest.approx(np.abs(p - q).mean(), abs=1e-6)


def test_a_row_is_scored_where_both_accept_it_and_its_faults_are_those_of_both_each_once(
    scorer: Scorer, lean: Scorer
) -> None:
    lines = [
        f"39,{REST}",
        f"abc,{REST}",  # wrong for both
        f"75,{REST}",  # too old for the second
        f"39,{REST.replace('State-gov', 'Knight')}",  # no column of the second
        f"200,{REST[:-1]}-5",  # too old for both, and a loss
        "39,short",
    ]
    scored, rows = run("\n".join(lines), BOTH, scorer, lean)
    assert (scored.scored, scored.rejected) == (1, 5)
    assert [len(row) for row in rows] == [13] * 6
    assert [row[8:12] == [""] * 4 for row in rows] == [False, True, True, True, True, True]
    rejects = list(csv.reader(io.StringIO(scored.rejects.decode())))
    assert [(row[0], row[1], row[3]) for row in rejects] == [
        ("2", "age", "not_a_number"),
        ("3", "age", "out_of_range"),
        ("4", "workclass", "unknown_category"),
        ("5", "age", "out_of_range"),
        ("5", "capital_gain", "out_of_range"),
        ("6", "", "ragged"),
    ]
    assert scored.summary["fault:out_of_range:age"] == 2


def test_a_row_that_either_fails_on_is_rejected_alone(scorer: Scorer, lean: Scorer) -> None:
    text = "".join(f"{age},{REST}\n" for age in range(30, 40))
    _, expected = run(text, BOTH, scorer, lean)
    for pair in ((Touchy(scorer.card, scorer.pipeline), lean), (scorer, Touchy(lean.card, lean.pipeline))):
        with pytest.raises(ScoringFailed):
            run(text, BOTH, *pair)
        scored, rows = run(text, BOTH, *pair, bisect=True)
        assert (scored.scored, scored.scoring_failed) == (9, 1)
        assert [row for row in rows if not row[-1]] == [row for row in expected if row[0] != "33"]


def scorer_of(card: Card, data: pd.DataFrame, fitted: BaseEstimator, kind: ModelKind, scores: Scores) -> Scorer:
    """A scorer of one of scikit-learn's own data sets."""
    features = tuple(Feature(name=name, title=name, kind=FeatureKind.NUMBER) for name in data.columns)
    update = {
        "kind": kind,
        "classes": tuple(map(str, getattr(fitted, "classes_", ()))),
        "positive_class": None,
        "scores": scores,
        "takes": InputForm.ARRAY,
        "features": features,
        "additive": False,
        "prediction_edges": tuple(np.linspace(0, 400, 21).tolist()) if kind is ModelKind.REGRESSOR else (),
    }
    return Scorer(card.model_copy(update=update), fitted)


def test_of_several_classes_the_difference_is_half_the_sum_over_the_classes(scorer: Scorer) -> None:
    data, labels = load_iris(return_X_y=True, as_frame=True)
    names = labels.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    fitted = (LogisticRegression(max_iter=1000), DecisionTreeClassifier(max_depth=2, random_state=0))
    one, other = (
        scorer_of(scorer.card, data, model.fit(data.values, names), ModelKind.MULTICLASS_CLASSIFIER, Scores.PROBABILITY)
        for model in fitted
    )
    answers = RowPredictions((one.predict(data), other.predict(data)))
    found = agreement(one.card, other.card, summarise(answers, [one.card, other.card]))
    p, q = (model.predict_proba(data.values) for model in fitted)
    assert found is not None
    assert found.equal == int((p.argmax(axis=1) == q.argmax(axis=1)).sum())
    assert found.mean_difference == pytest.approx(np.abs(p - q).sum(axis=1).mean() / 2, abs=1e-6)


def test_of_regressors_it_is_that_of_the_predictions(scorer: Scorer) -> None:
    data, target = load_diabetes(return_X_y=True, as_frame=True)
    fitted = (LinearRegression(), DecisionTreeRegressor(max_depth=3, random_state=0))
    one, other = (
        scorer_of(scorer.card, data, model.fit(data.values, target), ModelKind.REGRESSOR, Scores.NONE)
        for model in fitted
    )
    answers = RowPredictions((one.predict(data), other.predict(data)))
    counts = summarise(answers, [one.card, other.card])
    found = agreement(one.card, other.card, counts)
    p, q = (model.predict(data.values) for model in fitted)
    assert found is not None
    assert (found.equal, found.share) == (None, None)
    assert found.mean_difference == pytest.approx(np.abs(p - q).mean(), rel=1e-5)
    wild = RowPredictions((one.predict(data), Predictions(np.full(len(data), np.inf), np.empty((len(data), 0)))))
    assert max(summarise(wild, [one.card, other.card]).values()) < 2**63 // 10_000, "sums stay whole numbers"


def test_models_of_different_kinds_stand_side_by_side_only(scorer: Scorer) -> None:
    data, target = load_diabetes(return_X_y=True, as_frame=True)
    model = scorer_of(scorer.card, data, LinearRegression().fit(data.values, target), ModelKind.REGRESSOR, Scores.NONE)
    frame = second_model.records()[: len(data)]
    answers = RowPredictions((scorer.predict(frame), model.predict(data)))
    found = agreement(scorer.card, model.card, summarise(answers, [scorer.card, model.card]))
    assert found is not None
    assert (found.rows, found.equal, found.mean_difference) == (len(data), None, None)


def test_the_same_classes_in_another_order_and_another_positive_one_agree(scorer: Scorer) -> None:
    frame = second_model.records()[:500]
    turned = scorer.card.model_copy(
        update={"classes": scorer.card.classes[::-1], "positive_class": scorer.card.classes[0], "additive": False}
    )
    one = scorer.predict(frame)
    other = Predictions(1 - one.values, 1 - one.scores)
    found = agreement(scorer.card, turned, summarise(RowPredictions((one, other)), [scorer.card, turned]))
    assert found is not None
    assert (found.equal, found.mean_difference) == (500, pytest.approx(0, abs=1e-6))
