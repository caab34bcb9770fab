"""Endpoints for the history: what was scored and predicted, also after results have expired."""

from collections.abc import Sequence
from typing import Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from database import history as entries
from web.api.openapi import answer, operation_name, parameters, parse, problems
from web.api.request_schemas import JobPath, PredictionPath
from web.auth.identity import current_identity
from web.history.deletion import Kind, delete_matching
from web.history.documents import Entry, job_details, job_document, prediction_document, scored_job, with_owners
from web.history.export import JOB_COLUMNS, PREDICTION_COLUMNS, export
from web.history.queries import DeletionQuery, HistoryQuery, ListEntries, encode_cursor
from web.history.schemas import Deleted, HistoryJobDetails, HistoryJobs, HistoryPrediction, HistoryPredictions
from web.ids import unknown_job, unknown_prediction
from web.jobs import downloads
from web.jobs.formula_escaping import formula_escaper
from web.jobs.summary import cards_of
from web.responses import json_response
from web.services import services

api = APIBlueprint(
    "history",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="history", description="what was scored and predicted, also after results have expired")],
    operation_id_callback=operation_name,
)


def _listed(model: type[Any], description: str) -> dict[Any, Any]:
    """Describe a page of entries, as JSON or as CSV."""
    page = answer(model, description, "Content-Disposition")
    page["content"] = {**page["content"], "text/csv": {"schema": {"type": "string"}}}
    return {200: page, **problems(422, 503)}


@api.get(
    "/history/jobs",
    summary="Search ended jobs",
    responses=_listed(HistoryJobs, "ended jobs, newest first"),
    openapi_extensions={"x-parameters": parameters(HistoryQuery)},
)
def list_history_jobs() -> Response:
    """Jobs stay here for `SCORELINE_HISTORY_DAYS` after they have ended."""
    query = parse(HistoryQuery, request.args)
    if query.format == "csv":
        return _csv(query, entries.list_jobs, JOB_COLUMNS, "jobs")
    with services().database.reading() as connection:
        page = entries.list_jobs(connection, query.to_filter(), query.limit, query.place)
    jobs = [job_document(entry) for entry in _with_owners(page.entries)]
    return json_response(HistoryJobs(jobs=jobs, next_cursor=encode_cursor(page.next)))


@api.get(
    "/history/jobs/<job:job_id>",
    summary="Get an ended job",
    responses={200: answer(HistoryJobDetails, "the job with its summary"), **problems(404, 503)},
)
def get_history_job(path: JobPath) -> Response:
    """The job with its summary, also after its results have expired."""
    with services().database.reading() as connection:
        entry = entries.find_job(connection, path.job_id)
    if entry is None or not current_identity().sees_entry(entry):
        raise unknown_job(path.job_id)
    [named] = _with_owners([entry])
    return json_response(job_details(named, cards_of(services().catalog, scored_job(named))))


@api.delete(
    "/history/jobs",
    summary="Delete ended jobs from the history",
    responses={200: answer(Deleted, "how many were deleted"), **problems(422, 503)},
    openapi_extensions={"x-parameters": parameters(DeletionQuery)},
)
def delete_history_jobs() -> Response:
    """At least one filter is required, and nothing else is taken.

    Outcomes go with them; the weekly counts stay, which name nobody.
    """
    return _delete(Kind.JOBS)


@api.get(
    "/history/predictions",
    summary="Search single predictions",
    responses=_listed(HistoryPredictions, "single predictions, newest first"),
    openapi_extensions={"x-parameters": parameters(HistoryQuery)},
)
def list_history_predictions() -> Response:
    """With `record` and `answer`, unless `SCORELINE_HISTORY_RECORDS=off`."""
    query = parse(HistoryQuery, request.args)
    if query.format == "csv":
        return _csv(query, entries.list_predictions, PREDICTION_COLUMNS, "predictions")
    with services().database.reading() as connection:
        page = entries.list_predictions(connection, query.to_filter(), query.limit, query.place)
    predictions = [prediction_document(entry) for entry in _with_owners(page.entries)]
    return json_response(HistoryPredictions(predictions=predictions, next_cursor=encode_cursor(page.next)))


@api.get(
    "/history/predictions/<prediction:prediction_id>",
    summary="Get a prediction from the history",
    responses={200: answer(HistoryPrediction, "the prediction"), **problems(404, 503)},
)
def get_history_prediction(path: PredictionPath) -> Response:
    """The prediction with what was asked and answered. One of several has the id `<request>.<place>`."""
    with services().database.reading() as connection:
        entry = entries.find_prediction(connection, path.prediction_id)
    if entry is None or not current_identity().sees_entry(entry):
        raise unknown_prediction(path.prediction_id)
    [named] = _with_owners([entry])
    return json_response(prediction_document(named))


@api.delete(
    "/history/predictions",
    summary="Delete single predictions from the history",
    responses={200: answer(Deleted, "how many were deleted"), **problems(422, 503)},
    openapi_extensions={"x-parameters": parameters(DeletionQuery)},
)
def delete_history_predictions() -> Response:
    """At least one filter is required, and nothing else is taken.

    Outcomes go with them; the weekly counts stay, which name nobody.
    """
    return _delete(Kind.PREDICTIONS)


def _with_owners(found: Sequence[Entry]) -> list[Entry]:
    return with_owners(found, services().auth.users.emails)


def _csv(query: HistoryQuery, list_entries: ListEntries, columns: tuple[str, ...], name: str) -> Response:
    transform = formula_escaper(",") if query.escape == "formulas" else bytes
    services().auth.note_download(f"history of {name}")
    emails = services().auth.users.emails
    blocks = export(services().database, emails, list_entries, query.to_filter(), columns, transform)
    return downloads.csv_response(blocks, "history", name, services().limits.downloads)


def _delete(kind: Kind) -> Response:
    return json_response(Deleted(deleted=delete_matching(kind, parse(DeletionQuery, request.args))))
