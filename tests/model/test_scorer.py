"""The fast paths of scoring and explaining give the pipeline's own numbers, and failures are reported."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from model.card import Card, ModelKind, Scores
from model.census import census_model, income
from model.census.income_features import FEATURES
from model.columns import code_frame
from model.errors import BrokenModel, ExplanationFailed, ScoringFailed
from model.explanation.additive import AdditiveModel
from model.scorer import Scorer

RECORD = {feature.name: feature.default for feature in FEATURES}


class Stub:
    """Returns what it was given, whichever method is called."""

    classes_ = ("<=50K", ">50K")

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def predict_proba(self, _frame: pd.DataFrame) -> object:
        return self.answer


@pytest.fixture(scope="module")
def opaque(scorer: Scorer) -> Scorer:
    """The same model without its additive form."""
    return Scorer(scorer.card.model_copy(update={"additive": False, "explanation": None}), scorer.pipeline)


def test_probabilities_are_the_pipelines_own(scorer: Scorer, pipeline: Pipeline, held_out: pd.DataFrame) -> None:
    assert np.array_equal(scorer.probabilities(held_out), pipeline.predict_proba(held_out))


def test_coded_columns_score_as_the_pipeline_does(scorer: Scorer, opaque: Scorer, held_out: pd.DataFrame) -> None:
    columns = code_frame(held_out, FEATURES)
    expected = scorer.probabilities(held_out)[:, 1]
    assert np.abs(scorer.predict_coded(columns).positive - expected).max() < 1e-12
    assert np.array_equal(opaque.predict_coded(columns).positive, expected)


def test_records_score_as_the_pipeline_does(scorer: Scorer, opaque: Scorer, held_out: pd.DataFrame) -> None:
    some = held_out.head(300)
    records = [scorer.schema.validate_record(record)[0] for record in some.fillna("?").to_dict("records")]
    expected = scorer.probabilities(some)[:, 1]
    assert np.abs(scorer.predict_records(records).positive - expected).max() < 1e-12
    assert np.array_equal(opaque.predict_records(records).positive, expected)
    for each in (scorer, opaque):
        assert np.abs(each.predict_and_explain_records(records)[0].positive - expected).max() < 1e-12


def test_effects_add_up_to_the_decision(scorer: Scorer, pipeline: Pipeline, held_out: pd.DataFrame) -> None:
    explanation = scorer.explain(held_out)
    assert explanation is not None
    assert explanation.effects.shape == (16_281, 7)
    total = explanation.baseline + explanation.effects.sum(axis=1)
    assert np.abs(total - pipeline.decision_function(held_out)).max() < 1e-9


def test_effects_are_relative_to_the_average_training_record(scorer: Scorer) -> None:
    training, _ = income.load_records(census_model.TRAINING)
    explanation = scorer.explain(training)
    assert explanation is not None
    assert np.abs(explanation.effects.mean(axis=0)).max() < 1e-9


def test_effects_of_a_record_are_plausible(scorer: Scorer) -> None:
    more, less = RECORD | {"education": "Doctorate"}, RECORD | {"education": "Preschool"}
    explanation = scorer.explain_records([more, less])
    assert explanation is not None
    education = [feature.name for feature in FEATURES].index("education")
    assert explanation.effects[0, education] > 1
    assert explanation.effects[1, education] < -1


def test_effects_of_values_are_those_of_the_pipeline(scorer: Scorer, pipeline: Pipeline) -> None:
    additive = AdditiveModel.of(pipeline, FEATURES, {})
    assert additive is not None
    ages = [17.0, 38.0, 38.5, 90.0]
    rows = pd.DataFrame([RECORD | {"age": age} for age in ages])
    effects = additive.effects_of_values("age", ages)
    decision = pipeline.decision_function(rows)
    assert np.allclose(effects - effects[0], decision - decision[0], atol=1e-9)


def test_a_model_that_is_not_additive_has_no_explanation(opaque: Scorer, held_out: pd.DataFrame) -> None:
    assert opaque.explain(held_out) is None
    assert opaque.explain_records([RECORD]) is None


def test_pipelines_of_another_shape_are_not_additive(held_out: pd.DataFrame) -> None:
    labels = np.arange(len(held_out)) % 2
    crossed = make_column_transformer((OneHotEncoder(), ["race", "sex"]))
    assert AdditiveModel.of(make_pipeline(crossed, LogisticRegression()).fit(held_out, labels), FEATURES, {}) is None
    assert AdditiveModel.of(LogisticRegression(), FEATURES, {}) is None


def test_records_at_the_threshold_are_positive(scorer: Scorer, held_out: pd.DataFrame) -> None:
    some = held_out.head(50)
    positive = scorer.predict(some).positive
    limit = float(positive[7])
    predictions = scorer.predict(some, threshold=limit)
    assert predictions.values[7] == 1
    assert np.array_equal(predictions.values, (positive >= limit).astype(int))
    assert scorer.predict(some, threshold=0.0).values.all()
    assert not scorer.predict(some, threshold=1.0).values.any()
    assert np.array_equal(scorer.predict_coded(code_frame(some, FEATURES)).values, scorer.predict(some).values)


def test_no_rows(scorer: Scorer, opaque: Scorer, held_out: pd.DataFrame) -> None:
    empty = held_out.head(0)
    for each in (scorer, opaque):
        assert each.probabilities(empty).shape == (0, 2)
        assert each.predict(empty).values.shape == (0,)
        assert each.predict_coded(code_frame(empty, FEATURES)).positive.shape == (0,)
        assert each.predict_records([]).positive.shape == (0,)
    explanation = scorer.explain(empty)
    assert explanation is not None
    assert explanation.effects.shape == (0, 7)


def test_frames_of_other_dtypes_score_the_same(scorer: Scorer, held_out: pd.DataFrame) -> None:
    some = held_out.head(200)
    expected = scorer.probabilities(some)
    words = [feature.name for feature in FEATURES if feature.categories]
    dresses = [
        some[[*reversed(some.columns)]].assign(extra=1),
        some.astype({"age": "int64", "hours_per_week": "int32"} | dict.fromkeys(words, "str")),
        some.astype(dict.fromkeys(words, "category")),
        some.assign(workclass=some["workclass"].where(some["workclass"].notna(), None)),
        some.set_index(np.zeros(len(some), dtype=int)),
        some.astype({"age": object}),
    ]
    for dress in dresses:
        assert np.array_equal(scorer.probabilities(dress), expected)
        assert np.allclose(scorer.predict_coded(code_frame(dress, FEATURES)).positive, expected[:, 1], atol=1e-12)


def test_a_frame_without_any_workclass_scores(scorer: Scorer, held_out: pd.DataFrame) -> None:
    unknown = held_out.head(20).assign(workclass=np.nan)
    expected = scorer.probabilities(unknown)[:, 1]
    assert np.isfinite(expected).all()
    assert np.allclose(scorer.predict_coded(code_frame(unknown, FEATURES)).positive, expected, atol=1e-12)


def test_numbers_far_outside_the_limits_still_give_probabilities(scorer: Scorer, held_out: pd.DataFrame) -> None:
    odd = held_out.head(3).assign(age=[-1e300, 1e300, 0.5], hours_per_week=[1e9, -5.0, 99.5])
    assert np.isfinite(scorer.probabilities(odd)).all()
    assert np.allclose(scorer.predict_coded(code_frame(odd, FEATURES)).positive, scorer.probabilities(odd)[:, 1])


@pytest.mark.parametrize(
    "change", [{"education": "Kindergarten"}, {"education": None}, {"age": np.nan}, {"age": "old"}]
)
def test_values_the_model_does_not_know_fail_instead_of_scoring_wrong(
    scorer: Scorer, change: dict[str, object]
) -> None:
    frame = pd.DataFrame([RECORD]).assign(**{name: [value] for name, value in change.items()})
    with pytest.raises(ScoringFailed, match="could not score 1 rows"):
        scorer.probabilities(frame)
    with pytest.raises(ScoringFailed):
        scorer.predict_coded(code_frame(frame, FEATURES))


def test_a_missing_column_fails(scorer: Scorer, held_out: pd.DataFrame) -> None:
    with pytest.raises(ScoringFailed, match="age"):
        scorer.probabilities(held_out.drop(columns="age"))
    with pytest.raises(ScoringFailed, match="age"):
        scorer.explain(held_out.drop(columns="age"))


def test_unusable_values_may_be_listed_but_not_used(scorer: Scorer, held_out: pd.DataFrame) -> None:
    some = held_out.head(5)
    columns = code_frame(some, FEATURES)
    expected = scorer.predict_coded(columns).positive
    listed = {name: (np.append(distinct, [None]), codes) for name, (distinct, codes) in columns.items()}
    assert np.array_equal(scorer.predict_coded(listed).positive, expected)
    distinct, codes = listed["age"]
    with pytest.raises(ScoringFailed, match="NaN or infinity for 5 values"):
        scorer.predict_coded(listed | {"age": (distinct, codes * 0 + len(distinct) - 1)})


def test_a_record_that_was_not_validated_is_not_explained(scorer: Scorer) -> None:
    with pytest.raises(ExplanationFailed):
        scorer.explain_records([RECORD | {"age": None}])


def test_negative_codes_are_refused(scorer: Scorer, held_out: pd.DataFrame) -> None:
    columns = code_frame(held_out.head(5), FEATURES)
    distinct, codes = columns["workclass"]
    with pytest.raises(ScoringFailed, match="negative codes"):
        scorer.predict_coded(columns | {"workclass": (distinct, codes - 1)})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.array([[0.5, np.nan], [0.5, 0.5]]), "NaN or infinity for 1 value"),
        (np.array([[0.5, 0.5]]), r"\(1, 2\), not \(2, 2\)"),
        (np.array([[1.0], [1.0]]), r"\(2, 1\), not \(2, 2\)"),
        ("nonsense", "could not score 2 rows"),
    ],
)
def test_a_pipeline_that_answers_wrong_fails(card: Card, held_out: pd.DataFrame, answer: object, words: str) -> None:
    broken = Scorer(card.model_copy(update={"additive": False}), Stub(answer))
    with pytest.raises(ScoringFailed, match=words):
        broken.predict(held_out.head(2))


def test_a_card_whose_classes_are_not_the_pipelines_is_refused(card: Card, pipeline: Pipeline) -> None:
    with pytest.raises(BrokenModel, match="its card says"):
        Scorer(card.model_copy(update={"classes": (">50K", "<=50K")}), pipeline)


def test_a_label_that_the_card_lacks_fails_with_several_targets(
    card: Card, held_out: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a user's own class may be."""
    some = held_out.head(50)
    fitted = DecisionTreeClassifier().fit(some[["age"]], some[["sex", "race"]])
    several = card.model_copy(
        update={
            "kind": ModelKind.MULTIOUTPUT_CLASSIFIER,
            "additive": False,
            "scores": Scores.NONE,
            "targets": ("sex", "race"),
            "target_classes": tuple(tuple(classes) for classes in fitted.classes_),
            "features": tuple(feature for feature in card.features if feature.name == "age"),
        }
    )
    assert Scorer(several, fitted).predict(some).values.shape == (50, 2)
    monkeypatch.setattr(fitted, "predict", lambda frame: np.full((len(frame), 2), "Other"))
    with pytest.raises(ScoringFailed, match="could not score 50 rows"):
        Scorer(several, fitted).predict(some)


def test_more_than_two_classes(card: Card, held_out: pd.DataFrame) -> None:
    some = held_out.head(500)
    encoder = make_column_transformer((OneHotEncoder(), ["race"]), ("passthrough", ["age"]))
    fitted = make_pipeline(encoder, LogisticRegression(max_iter=500)).fit(some, some["sex"] + some["race"].str[:1])
    changes = {"kind": ModelKind.MULTICLASS_CLASSIFIER, "classes": tuple(fitted.classes_), "positive_class": None}
    scorer = Scorer(card.model_copy(update=changes), fitted)
    predictions = scorer.predict(some)
    assert scorer.probabilities(some).shape == (500, len(fitted.classes_))
    assert np.array_equal(fitted.classes_[predictions.values], fitted.predict(some))
    assert np.array_equal(predictions.scores, fitted.predict_proba(some))
    assert scorer.predict(some.head(0)).values.shape == (0,)
