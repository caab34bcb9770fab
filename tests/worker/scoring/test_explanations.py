"""Single predictions survive failures of their explanations."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from structlog.testing import capture_logs

from model.census.income_features import FEATURES
from model.errors import ExplanationFailed, ScoringFailed
from model.explanation.explanation import Explanation
from model.schema import Value
from model.scorer import Predictions, Scorer
from worker.scoring import explanations
from worker.scoring.explanations import predict_and_explain
from worker.scoring.single import _documents

AGES = (31.0, 33.0, 35.0)
RECORDS = [{feature.name: feature.default for feature in FEATURES} | {"age": age} for age in AGES]


class Moody(Scorer):
    """A model that cannot explain a record of a certain age."""

    def predict_and_explain_records(
        self, records: Sequence[Mapping[str, Value]], threshold: float | None = None
    ) -> tuple[Predictions, Explanation | None]:
        return self.predict_records(records, threshold), self.explain_records(records)

    def explain_records(self, records: Sequence[Mapping[str, Value]]) -> Explanation | None:
        if any(record["age"] == 33.0 for record in records):
            raise ExplanationFailed("no words for 33")
        return super().explain_records(records)


@pytest.fixture
def moody(scorer: Scorer) -> Scorer:
    explanations._warn_once.cache_clear()
    return Moody(scorer.card, scorer.pipeline)


def test_only_the_record_that_cannot_be_explained_lacks_its_contributions(scorer: Scorer, moody: Scorer) -> None:
    documents, expected = (_documents(RECORDS, each, None, explained=True) for each in (moody, scorer))
    assert "contributions" not in documents[1]
    assert "baseline" not in documents[1]
    for document, wanted in zip(documents, expected, strict=True):
        assert document["probability"] == wanted["probability"]
    for place in (0, 2):
        effects, wanted = ([part["effect"] for part in each[place]["contributions"]] for each in (documents, expected))
        assert effects == pytest.approx(wanted)


def test_where_nothing_can_be_explained_everything_is_predicted_and_it_is_logged_once(moody: Scorer) -> None:
    records = [RECORDS[1]] * 40
    with capture_logs() as lines:
        for _ in range(2):
            predictions, explanation = predict_and_explain(moody, records, None)
            assert explanation is None
            assert np.array_equal(predictions.scores, moody.predict_records(records).scores)
    assert [(line["event"], line["model"]) for line in lines] == [("predictions not explained", "income")]


def test_records_that_cannot_be_scored_get_an_error(moody: Scorer) -> None:
    with pytest.raises(ScoringFailed):
        predict_and_explain(moody, [RECORDS[1] | {"hours_per_week": None}], None)
