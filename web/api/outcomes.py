"""Endpoints for outcomes: actual values, and how well a model predicted them."""

from collections.abc import Iterator
from datetime import date
from http import HTTPStatus
from itertools import chain, islice
from typing import Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from database import outcomes
from jobs.errors import Detail, UploadRefused
from model.card import Card, ModelKind
from web.api.models import found_card
from web.api.openapi import answer, operation_name, problems
from web.api.request_schemas import ModelPath
from web.outcomes.matching import Row, match_jobs, match_predictions
from web.outcomes.reading import GivenOutcome, read_outcomes
from web.problems import Problem
from web.request_limits import MAX_JSON_BYTES
from web.responses import json_response
from web.schemas import Described, Fault
from web.services import services
from web.uploads.bodies import open_body

api = APIBlueprint(
    "outcomes",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="outcomes", description="actual values, and how well they were predicted")],
    operation_id_callback=operation_name,
)

_MAX_FAULTS = 1000
_ROWS_AT_ONCE = 2000
_MEASURABLE = (ModelKind.BINARY_CLASSIFIER, ModelKind.MULTICLASS_CLASSIFIER, ModelKind.REGRESSOR)


class OutcomesAccepted(Described):
    """How many outcomes were taken, and the faults of the others by line (`row`), at most 1,000 of them."""

    accepted: int
    rejected: int
    errors: list[Fault]


class MeasuredMetric(Described):
    """A metric with its 95 % confidence interval."""

    value: float
    interval: list[float] | None


class LiveCalibrationBin(Described):
    """Predictions with similar probabilities: their mean, and how often the positive class happened."""

    rows: int
    predicted: float
    observed: float


class OutcomeWeekDocument(Described):
    """The figures of a version of a model on the outcomes of a week."""

    week: date = Field(description="the Monday of the week in which it was predicted, in UTC")
    version: str
    rows: int = Field(description="predictions whose outcome is known")
    accuracy: MeasuredMetric | None = None
    roc_auc: MeasuredMetric | None = None
    mae: MeasuredMetric | None = None
    rmse: MeasuredMetric | None = None
    calibration: list[LiveCalibrationBin] | None = None


class OutcomeWeeks(Described):
    """The figures of a model, newest week first."""

    weeks: list[OutcomeWeekDocument]


_CSV_BODY: dict[str, Any] = {
    "required": True,
    "description": "a CSV file (`text/csv` or `application/octet-stream`) with the columns `job`, `row` and `value`, "
    "or `prediction` and `value`; others are passed over",
    # As for uploads: client generators do not support bodies of text/csv.
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@api.post(
    "/models/<name>/outcomes",
    summary="Send actual outcomes",
    responses={200: answer(OutcomesAccepted, "what was taken"), **problems(400, 404, 408, 413, 415, 422, 503)},
    openapi_extensions={"requestBody": _CSV_BODY},
)
def create_outcomes(path: ModelPath) -> Response:
    """A second outcome of a row or prediction takes the place of the first. The figures follow within seconds.

    Rows of a job are found while its results are kept, predictions while they are in the history. If the request is
    broken off, what was taken so far stays; sending the file again takes the rest.
    """
    card = _measurable(found_card(path.name))
    body = open_body(request, MAX_JSON_BYTES, services().limits.uploads)
    lines = list(read_outcomes(b"".join(body.blocks), card))
    given = [line for line in lines if isinstance(line, GivenOutcome)]
    if not lines:
        raise UploadRefused("no_rows", "the file has no lines after its header")
    of_jobs = [outcome for outcome in given if outcome.row]
    of_predictions = [outcome for outcome in given if not outcome.row]
    matched = chain(
        match_jobs(services().store, of_jobs, card),
        match_predictions(services().database, of_predictions, card.name) if of_predictions else (),
    )
    accepted, unmatched = _write(matched)
    faults = sorted(
        [*(line for line in lines if isinstance(line, Detail)), *unmatched], key=lambda fault: fault.row or 0
    )
    errors = [Fault.model_validate(fault.as_dict()) for fault in faults[:_MAX_FAULTS]]
    return json_response(OutcomesAccepted(accepted=accepted, rejected=len(faults), errors=errors))


def _write(matched: Iterator[Row | Detail]) -> tuple[int, list[Detail]]:
    """Write what is matched; return how many outcomes that were, and the faults of the others.

    In steps, between which others write. If it is broken off, a repetition writes the rest.
    """
    accepted, faults = 0, []
    while step := list(islice(matched, _ROWS_AT_ONCE)):
        rows = [match for match in step if isinstance(match, dict)]
        with services().database.writing() as connection:
            outcomes.write_outcomes(connection, rows)
        accepted += len(rows)
        faults += [match for match in step if isinstance(match, Detail)]
    return accepted, faults


@api.get(
    "/models/<name>/outcomes",
    summary="Get the live figures of a model",
    responses={200: answer(OutcomeWeeks, "figures by week and version"), **problems(404, 422, 503)},
)
def get_outcomes(path: ModelPath) -> Response:
    """How well the model predicted what happened, by week and version."""
    card = found_card(path.name)
    with services().database.reading() as connection:
        weeks = outcomes.outcome_weeks(connection, card.name)
    documents = [{"week": week["week"].isoformat(), "version": week["version"], **week["figures"]} for week in weeks]
    return json_response({"weeks": documents})


def _measurable(card: Card) -> Card:
    """Return the card; raise Problem ``not_measurable`` if outcomes say nothing about such a model."""
    if card.kind in _MEASURABLE:
        return card
    detail = "outcomes are taken for classifiers and regressors of one target"
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "not_measurable", detail)
