"""A record that the model cannot score is rejected with the model's own reason, in files and alone."""

import csv
import io

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression

from jobs.messages import InputChunk
from model.card import Card, ModelKind, Scores
from model.errors import ScoringFailed, failure_reason
from model.schema import Feature, FeatureKind
from model.scorer import Scorer
from tests.faults import poison
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import score_chunk

LAYOUT = Layout(",", 2, {"dose": 0, "word": 1})


@pytest.mark.parametrize("seconds", [None, 30])
def test_a_rejected_row_says_what_the_pipeline_raised(seconds: float | None) -> None:
    chunk = InputChunk(1, 3, f"10,fine\n10,{poison.UNSEEN}\n10,fine\n".encode())
    scored = score_chunk(chunk, LAYOUT, [poison.poison_scorer()], None, bisect=True, isolated_seconds=seconds)
    errors = [row[-1] for row in csv.reader(io.StringIO(scored.output.decode(), newline=""))]
    assert (errors[0], errors[2], scored.scoring_failed) == ("", "", 1)
    assert errors[1].startswith("scoring_failed: the model could not score it: ValueError: Found unknown categories")
    [reject] = csv.reader(io.StringIO(scored.rejects.decode(), newline=""))
    assert reject[:4] == ["2", "", "", "scoring_failed"]
    assert reject[4] == errors[1].removeprefix("scoring_failed: ")


def test_a_rejected_record_says_what_the_pipeline_raised() -> None:
    with pytest.raises(ScoringFailed) as raised:
        poison.poison_scorer().predict_records([poison.POISON["raises"]])
    assert failure_reason(raised.value).startswith("ValueError: Found unknown categories ['unseen']")


def test_a_reason_is_one_short_line_without_paths_and_addresses() -> None:
    error = OSError("cannot read /home/ann/keys/id.pem from https://ann:pass@db.example/x?token=1\x07\nsecond line")
    assert failure_reason(error) == "OSError: cannot read … from …"
    assert failure_reason(KeyError()) == "KeyError"
    assert failure_reason(ValueError("1/2 and a/b")) == "ValueError: 1/2 and a/b"
    assert len(failure_reason(ValueError("x" * 1000))) == 200


def test_a_row_for_which_the_model_answers_infinity_is_rejected_alone() -> None:
    sizes = np.linspace(0, 10, 50)[:, np.newaxis]
    pipeline = TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1)
    pipeline.fit(sizes, np.exp(sizes[:, 0]))
    feature = Feature(name="size", title="Size", kind=FeatureKind.NUMBER)
    card = Card(
        name="growth", version="0", kind=ModelKind.REGRESSOR, title="", description="", target="", classes=(),
        positive_class=None, scores=Scores.NONE, features=(feature,), trained_at="", training_rows=50, libraries={},
        artifact_sha256="",
    )  # fmt: skip
    chunk = InputChunk(1, 3, b"1\n1000000\n2\n")
    with np.errstate(over="ignore"):
        scored = score_chunk(chunk, Layout(",", 1, {"size": 0}, 2), [Scorer(card, pipeline)], None, bisect=True)
    rows = list(csv.reader(io.StringIO(scored.output.decode(), newline="")))
    assert [bool(row[1]) for row in rows] == [True, False, True]
    assert rows[1][-1] == "scoring_failed: the model could not score it: its answer is NaN or infinite"
