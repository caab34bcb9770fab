"""Pipelines as practitioners have them: each is refused in one line, or every prediction is the pipeline's own.

``make test`` runs a dozen that take little; ``make check-models`` runs all.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.case import Case, Refused, TrainedModel, records_of
from tests.models.cases import CASES
from tests.models.unseen import unseen_rows
from tests.models.ways import (
    differences_of_file,
    differences_of_page,
    differences_of_records,
    form_page,
    predict_records,
    run_model,
    score_file,
    typed,
)
from tests.stack import Stack

FORMS = 2


@dataclass(frozen=True)
class Tried:
    """What came of adding a case to the service."""

    case: Case
    trained: TrainedModel | Refused
    run: subprocess.CompletedProcess[str]

    @property
    def name(self) -> str:
        return self.case.name

    @property
    def lines(self) -> list[str]:
        """The error that the command printed."""
        return [line for line in self.run.stderr.splitlines() if line.startswith("scoreline: ")]

    def owner(self) -> TrainedModel:
        """What the model's owner has; another test fails where it was refused."""
        assert isinstance(self.trained, TrainedModel)
        if self.run.returncode:
            pytest.skip("the model was refused")
        return self.trained


def _cases(refused: bool) -> list[Any]:
    """The cases, one model after another; with several processes, all tests of a model run in the same one."""
    return [
        pytest.param(
            case,
            id=case.name,
            marks=[pytest.mark.xdist_group(case.name), *([] if case.cheap else [pytest.mark.models])],
        )
        for case in CASES.values()
        if bool(case.refused) == refused
    ]


def _bring(case: Case, stack: Stack, folder: Path) -> Tried:
    trained = case.bring(folder)
    return Tried(case, trained, run_model(stack, "add", *trained.words, "--name", case.name))


@pytest.fixture(scope="module", params=_cases(refused=False))
def tried(request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """A model that should be added."""
    return _bring(request.param, stack, tmp_path_factory.mktemp(request.param.name))


@pytest.fixture(scope="module", params=_cases(refused=True))
def refused(request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """One that should be refused."""
    return _bring(request.param, stack, tmp_path_factory.mktemp(request.param.name))


def test_is_added_and_says_that_every_answer_was_checked(tried: Tried) -> None:
    assert tried.run.returncode == 0, tried.run.stderr[-1500:]
    trained = tried.owner()
    count = len(trained.table.features())
    assert f"checked: {count:,} rows, every answer is the pipeline's own" in tried.run.stdout


def test_a_file_comes_back_with_the_pipelines_own_answers(stack: Stack, tried: Tried) -> None:
    trained = tried.owner()
    wanted = trained.answers(trained.table.inputs(trained.scored))
    job, found, sent = score_file(stack, tried.name, trained.upload.read_bytes())
    assert found.header == sent[0]
    assert found.records == sent[1:], "the records came back as they were sent"
    assert not differences_of_file(found, wanted, trained.table.target, trained.has_scores)
    assert job["rows"]["scored"] == wanted.answered.sum()
    assert job["rows"]["total"] == len(sent) - 1


def test_records_get_the_pipelines_own_answers(stack: Stack, tried: Tried) -> None:
    trained = tried.owner()
    wanted = trained.answers(trained.table.inputs(trained.scored))
    found = predict_records(stack, tried.name, records_of(trained.table.features(trained.scored)))
    assert not differences_of_records(found, wanted, trained.table.target)


def test_the_form_shows_the_pipelines_own_answer(stack: Stack, tried: Tried) -> None:
    trained = tried.owner()
    wanted = trained.answers(trained.table.inputs(trained.scored))
    plain = trained.table.features(trained.scored)
    known = np.flatnonzero(plain.notna().all(axis=1) & wanted.answered)[:1]
    for place in [*known.tolist(), len(plain) - 1][:FORMS]:
        page = form_page(stack, tried.name, typed(plain.iloc[place]))
        assert not differences_of_page(page, wanted, place)


def test_what_training_never_saw_gets_the_pipelines_own_answer(stack: Stack, tried: Tried) -> None:
    """A row on which the pipeline raises is rejected; any other gets its prediction, by file and by record."""
    trained = tried.owner()
    rows = unseen_rows(trained) if trained.odd_values else None
    if rows is None:
        return
    _, found, _ = score_file(stack, tried.name, rows.path.read_bytes())
    items = predict_records(stack, tried.name, records_of(rows.frame))
    wrong = []
    for place, (what, wanted) in enumerate(zip(rows.what, rows.answers, strict=True)):
        lines = differences_of_file(found.only(place), wanted, trained.table.target, trained.has_scores)
        lines += differences_of_records(items[place : place + 1], wanted, trained.table.target)
        wrong += [f"{what}: {line}" for line in lines]
    assert not wrong


def test_is_refused_in_one_line_that_says_why(stack: Stack, refused: Tried) -> None:
    assert refused.run.returncode == 1, refused.run.stdout + refused.run.stderr
    assert len(refused.lines) == 1, refused.run.stderr[-2000:]
    assert "Traceback" not in refused.run.stderr
    missing = [word for word in refused.case.refused if word.casefold() not in refused.lines[0].casefold()]
    assert not missing, refused.lines[0]
    assert refused.name not in [model["name"] for model in stack.get("/api/v1/models").json()["models"]]
    assert stack.get("/readyz").status_code == 200
