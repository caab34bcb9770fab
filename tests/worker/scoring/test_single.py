"""Answering single predictions: malformed requests are answered too, and do not affect others."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.store.prediction_store import WaitingPrediction
from model.catalog import Catalog
from tests.web.records import RECORD
from worker import models as loaded
from worker.scoring import single as predict
from worker.scoring.single import answer_all


@pytest.fixture(autouse=True)
def catalog(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "_catalog", lambda: Catalog(models, "income"))


def request(**changes: Any) -> dict[str, Any]:
    """As the web makes it of one record."""
    common = {"kind": "predict", "model": "income", "version": None, "threshold": None, "several": False}
    return {**common, "records": [{"values": RECORD}], **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in request().items() if key != name}


UNKNOWN: dict[str, Mapping[str, Any]] = {
    "empty": {},
    "of another kind": request(kind="a kind of tomorrow"),
    "without a kind": without("kind"),
    "without records": without("records"),
    "without a model": without("model"),
    "records that are none": request(records=7),
    "a record that is none": request(records=["text"]),
    "a record without values": request(records=[{}]),
    "a record without a feature": request(records=[{"values": {"age": 39}}]),
    "a preview of nothing": {"kind": "preview", "model": "income", "version": None},
}


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize(("attempt", "lost"), [(1, 0), (2, 0), (3, 0), (4, 0), (1, 21)])
def test_a_malformed_request_is_answered_at_each_attempt(kind: str, attempt: int, lost: int) -> None:
    asked = [
        WaitingPrediction("bad", attempt, dict(UNKNOWN[kind]), lost),
        WaitingPrediction("good", 1, request()),
    ]
    [(_, bad), (_, good)] = answer_all(asked, 3, 10)
    assert good["items"][0]["prediction"] == "<=50K"
    error = bad["items"][0]["error"] if "items" in bad else bad["error"]
    assert error["code"] in ("scoring_failed", "broken_model")


def test_a_record_whose_process_was_killed_is_retried_before_it_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = predict._predict_one_as_json

    def killed_once(record: Mapping[str, Any], request: Mapping[str, Any]) -> bytes:
        if not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return real(record, request)

    monkeypatch.setattr(predict, "_predict_one_as_json", killed_once)
    [(_, answer)] = answer_all([WaitingPrediction("one", 3, request())], 3, 30)
    assert (tmp_path / "killed").exists()
    assert answer["items"][0]["prediction"] == "<=50K"
