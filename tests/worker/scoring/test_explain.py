"""The features with the largest effects on each row, beside its prediction."""

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from jobs.messages import InputChunk
from jobs.store.chunks import ScoredChunk
from model.census.census_model import HELD_OUT
from model.census.income import load_records
from model.columns import Column
from model.errors import ExplanationFailed
from model.explanation.explanation import Explanation, Unit
from model.scorer import Scorer
from tests.worker.scoring.test_score_chunk import LAYOUT, RECORD, Touchy, ages
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import reject_chunk, score_chunk

ALL = replace(LAYOUT, explained=7)


def run(scorer: Scorer, text: str, layout: Layout = ALL, bisect: bool = False) -> tuple[ScoredChunk, list[list[str]]]:
    scored = score_chunk(InputChunk(1, 0, text.encode()), layout, [scorer], None, bisect)
    return scored, list(csv.reader(io.StringIO(scored.output.decode(), newline="")))


def pairs(row: list[str]) -> list[tuple[str, float]]:
    """The features named after the error, each with its effect."""
    return [(name, float(effect)) for name, effect in zip(row[10::2], row[11::2], strict=True)]


def test_the_effects_are_those_of_the_pipeline_and_the_strongest_comes_first(scorer: Scorer) -> None:
    frame, _ = load_records(HELD_OUT)
    some = frame[:200]
    text = some.astype(object).where(some.notna(), "?").to_csv(index=False, header=False)
    scored, rows = run(scorer, text)
    explanation = scorer.explain(some)
    assert scored.scored == len(rows) == 200
    assert explanation is not None
    decisions = scorer.pipeline.decision_function(some)
    for row, effects, decision in zip(rows, explanation.effects, decisions, strict=True):
        found = pairs(row)
        expected = dict(zip(frame.columns, effects.tolist(), strict=True))
        assert dict(found) == pytest.approx(expected, abs=5e-7)
        assert [abs(effect) for _, effect in found] == sorted((abs(effect) for _, effect in found), reverse=True)
        assert explanation.baseline + sum(effect for _, effect in found) == pytest.approx(decision, abs=1e-5)


def test_fewer_are_the_first_of_all_and_nothing_else_changes(scorer: Scorer) -> None:
    text = ages(20, 35, 50)
    _, whole = run(scorer, text)
    for number in (0, 1, 3):
        _, rows = run(scorer, text, replace(LAYOUT, explained=number))
        assert rows == [row[: 10 + 2 * number] for row in whole]


class Even(Scorer):
    """A model in which some features weigh the same, one of them almost nothing."""

    def explain_coded(self, columns: Mapping[str, Column]) -> Explanation:
        rows = len(columns["age"][1])
        effects = np.tile([0.5, -0.25, -2e-7, -0.5, 0.25, 1 / 3, 1e-6], (rows, 1))
        return Explanation(np.zeros(rows), effects, Unit.LOG_ODDS)


def test_equal_effects_stand_in_the_order_of_the_features_in_the_fewest_digits(scorer: Scorer) -> None:
    _, rows = run(Even(scorer.card, scorer.pipeline), ages(30))
    assert rows[0][10:] == [
        *("age", "0.5", "marital_status", "-0.5", "sex", "0.333333", "workclass", "-0.25", "race", "0.25"),
        *("hours_per_week", "0.000001", "education", "0"),
    ]


def test_rejected_rows_have_no_effects_and_keep_their_columns(scorer: Scorer) -> None:
    text = ages(20, "abc") + "1,2\n" + ages(40)
    _, rows = run(scorer, text)
    assert [len(row) for row in rows] == [24] * 4
    assert [bool(row[9]) for row in rows] == [False, True, True, False]
    assert rows[1][10:] == rows[2][10:] == [""] * 14
    _, rows = run(Touchy(scorer.card, scorer.pipeline), ages(32, 33, 34), bisect=True)
    assert [row[9].partition(":")[0] for row in rows] == ["", "scoring_failed", ""]
    assert [bool(row[10]) for row in rows] == [True, False, True]
    scored = reject_chunk(InputChunk(1, 0, text.encode()), ALL)
    rows = list(csv.reader(io.StringIO(scored.output.decode())))
    assert [len(row) for row in rows] == [24] * 4
    assert rows[0][9].startswith("scoring_failed")
    assert rows[0][10:] == [""] * 14


class Mute(Scorer):
    """A model whose card promises explanations that it cannot give on this machine."""

    def explain_coded(self, columns: Mapping[str, Column]) -> None:
        return None


class Speechless(Scorer):
    """A model whose explainer always fails."""

    def explain_coded(self, columns: Mapping[str, Column]) -> Explanation:
        raise ExplanationFailed("no words at all")


class Moody(Scorer):
    """A model that cannot explain a record of a certain age."""

    def explain_coded(self, columns: Mapping[str, Column]) -> Explanation | None:
        values, codes = columns["age"]
        if 33.0 in values[codes]:
            raise ExplanationFailed("no words for 33")
        return super().explain_coded(columns)


@pytest.mark.parametrize("kind", [Mute, Speechless])
@pytest.mark.parametrize("bisect", [False, True])
def test_rows_that_cannot_be_explained_are_scored_too(scorer: Scorer, bisect: bool, kind: type[Scorer]) -> None:
    text = ages(*range(20, 60))
    scored, rows = run(kind(scorer.card, scorer.pipeline), text, bisect=bisect)
    _, expected = run(scorer, text)
    assert scored.scored == len(expected) == 40
    assert [row[:10] for row in rows] == [row[:10] for row in expected]
    assert {tuple(row[10:]) for row in rows} == {("",) * 14}


@pytest.mark.parametrize("bisect", [False, True])
def test_a_row_that_cannot_be_explained_is_scored_and_its_neighbours_are_explained(
    scorer: Scorer, bisect: bool
) -> None:
    text = ages(31, 32, 33, 34, 33, 35, 36)
    scored, rows = run(Moody(scorer.card, scorer.pipeline), text, bisect=bisect)
    assert (scored.scored, scored.scoring_failed) == (7, 0)
    _, expected = run(scorer, text)
    for place in (2, 4):
        expected[place][10:] = [""] * 14
    assert rows == expected


class Deadly(Scorer):
    """A model whose explainer takes its process down."""

    def explain_coded(self, columns: Mapping[str, Column]) -> Explanation | None:
        os._exit(1)


class Endless(Scorer):
    """A model whose explainer never comes to an end."""

    def explain_coded(self, columns: Mapping[str, Column]) -> Explanation | None:
        while True:
            pass


@pytest.mark.parametrize("kind", [Deadly, Endless])
def test_the_last_attempt_scores_all_rows_whatever_their_explanation_does(scorer: Scorer, kind: type[Scorer]) -> None:
    text = ages(32, 33, 34)
    chunk = InputChunk(1, 0, text.encode())
    scored = score_chunk(chunk, ALL, [kind(scorer.card, scorer.pipeline)], None, bisect=True, isolated_seconds=30)
    assert (scored.scored, scored.rejected) == (3, 0)
    _, expected = run(scorer, text)
    rows = list(csv.reader(io.StringIO(scored.output.decode())))
    assert rows == [row[:10] + [""] * 14 for row in expected]


def test_a_file_with_semicolons_gets_them_between_the_new_columns_too(scorer: Scorer) -> None:
    layout = Layout(";", 7, LAYOUT.columns, explained=2)
    scored = score_chunk(InputChunk(1, 0, f"39;{RECORD.replace(',', ';')}".encode()), layout, [scorer], None)
    assert scored.output.count(b";") == 6 + 3 + 4
