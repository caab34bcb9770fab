"""Scoring a chunk, where the model misbehaves and where it does not."""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from jobs.messages import InputChunk
from jobs.store.chunks import ScoredChunk
from model.columns import Column
from model.errors import ScoringFailed
from model.schema import UnseenPolicy
from model.scorer import Predictions, Scorer
from worker.scoring.parse import Layout
from worker.scoring.render import six_decimals
from worker.scoring.score_chunk import reject_chunk, score_chunk

NAMES = ["age", "workclass", "education", "marital_status", "race", "sex", "hours_per_week"]
LAYOUT = Layout(",", 7, {name: at for at, name in enumerate(NAMES)})
RECORD = "State-gov,Bachelors,Never-married,White,Male,40"


class Touchy(Scorer):
    """A model that raises whenever a record of a certain age is among those it is asked for."""

    def predict_coded(self, columns: Mapping[str, Column], threshold: float | None = None) -> Predictions:
        values, codes = columns["age"]
        if 33.0 in values[codes]:
            raise ScoringFailed("it fails on 33")
        return super().predict_coded(columns, threshold)


@pytest.fixture(scope="module")
def touchy(scorer: Scorer) -> Scorer:
    return Touchy(scorer.card, scorer.pipeline)


def run(scorer: Scorer, text: str, bisect: bool = False, first_row: int = 1) -> tuple[ScoredChunk, list[list[str]]]:
    scored = score_chunk(InputChunk(first_row, 0, text.encode()), LAYOUT, [scorer], None, bisect)
    return scored, list(csv.reader(io.StringIO(scored.output.decode(), newline="")))


def ages(*values: object) -> str:
    return "".join(f"{age},{RECORD}\n" for age in values)


def test_a_row_that_the_model_fails_on_is_found_and_rejected_alone(touchy: Scorer) -> None:
    text = ages(*range(20, 60))
    with pytest.raises(ScoringFailed):
        run(touchy, text)
    scored, rows = run(touchy, text, bisect=True)
    assert (scored.scored, scored.rejected, scored.scoring_failed) == (39, 1, 1)
    assert [row[0] for row in rows if row[-1]] == ["33"]
    assert rows[13][-1].startswith("scoring_failed")
    assert scored.rejects.startswith(b"14,,,scoring_failed,")
    _, expected = run(touchy, ages(*(age for age in range(20, 60) if age != 33)))
    assert [row for row in rows if not row[-1]] == expected


def test_when_the_attempts_are_used_up_what_is_left_is_rejected() -> None:
    text = ages(20, "abc") + "1,2\n" + ages(21)
    scored = reject_chunk(InputChunk(7, 0, text.encode()), LAYOUT)
    assert (scored.scored, scored.rejected, scored.scoring_failed) == (0, 4, 3)
    rows = list(csv.reader(io.StringIO(scored.output.decode(), newline="")))
    codes = [row[-1].partition(":")[0] for row in rows]
    assert codes == ["scoring_failed", "scoring_failed", "ragged", "scoring_failed"]
    assert [len(row) for row in rows] == [10] * 4
    assert [line.split(b",")[0] for line in scored.rejects.splitlines()] == [b"7", b"8", b"9", b"10"]


def test_rows_are_numbered_from_the_chunks_first(scorer: Scorer) -> None:
    scored, _ = run(scorer, ages(20, "abc", 21, 99), first_row=1001)
    assert [line.split(b",")[0] for line in scored.rejects.splitlines()] == [b"1002", b"1004"]


def test_counts_for_the_summary_add_up(scorer: Scorer) -> None:
    scored, _ = run(scorer, ages(*range(10, 95)) + "1,2\n")
    predictions = sum(count for name, count in scored.summary.items() if name.startswith("prediction:"))
    bins = sum(count for name, count in scored.summary.items() if name.startswith("probability:"))
    assert predictions == bins == scored.scored == 74
    assert scored.summary["fault:out_of_range:age"] == 11
    assert scored.summary["fault:ragged:"] == 1
    assert scored.rejected == 12


def test_a_chunk_of_nothing_but_rejects_is_scored_too(scorer: Scorer) -> None:
    for text in ("x\n" * 5, ages(*["?"] * 5), '"a"b\n' * 5):
        scored, rows = run(scorer, text)
        assert (scored.scored, scored.rejected, len(rows)) == (0, 5, 5)
        assert all(len(row) == 10 for row in rows)


def test_many_numbers_written_in_many_ways_mean_the_same(scorer: Scorer) -> None:
    spellings = ["39", " 39", "39.0", "+39", "3.9e1", "039", "39.", '"39"', "39.000000000000000000"]
    _, rows = run(scorer, ages(*spellings))
    assert {row[-2] for row in rows} == {"0.150521"}


def test_six_decimals_are_what_python_writes() -> None:
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.random(20_000), [0.0, 1.0, 0.5, 1e-7, 0.9999994, 0.9999996, 0.0078125]])
    assert six_decimals(values).to_pylist() == [f"{value:.6f}".encode() for value in values]


def test_a_byte_order_mark_within_a_file_belongs_to_its_field(scorer: Scorer) -> None:
    for text in (f"\ufeff39,{RECORD}\n{ages(39)}", f"{ages(39)}\ufeff39,{RECORD}\n"):
        _, rows = run(scorer, text)
        assert sorted(bool(row[-1]) for row in rows) == [False, True]


def test_values_that_did_not_occur_in_training_are_scored_with_warnings(scorer: Scorer) -> None:
    features = [
        feature.model_copy(update={"unseen": UnseenPolicy.WARN}) if feature.name == "age" else feature
        for feature in scorer.card.features
    ]
    warning = Scorer(scorer.card.model_copy(update={"features": tuple(features)}), scorer.pipeline)
    layout = replace(LAYOUT, warnings=True)
    text = ages(39, 100, "old") + "101,State-gov,Bachelors,Never-married,White,Male,-1\n"
    scored = score_chunk(InputChunk(1, 4, text.encode()), layout, [warning], None)
    rows = list(csv.reader(io.StringIO(scored.output.decode(), newline="")))
    assert (scored.scored, scored.warned, scored.rejected) == (2, 1, 2)
    assert [row[-1] for row in rows] == ["", "out_of_range in age: 100 is outside 17..90", "", ""]
    assert [bool(row[-2]) for row in rows] == [False, False, True, True]
    # A row that is rejected for another reason is not counted as one that was scored with a warning.
    assert {name: count for name, count in scored.summary.items() if name.startswith("warning:")} == {
        "warning:out_of_range:age": 1
    }
