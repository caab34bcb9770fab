"""Endpoints for jobs. HTTP only: the work is done in ``web.uploads`` and ``web.jobs``."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any

from flask import Response, request, stream_with_context
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from redis.exceptions import RedisError

from jobs.errors import JobsError
from jobs.state import Job, JobState
from jobs.store.idempotency import FirstUpload, IdempotencyKey, Overtaken
from web.api.openapi import (
    answer,
    csv_answer,
    csv_body,
    event_stream,
    no_content,
    operation_name,
    parameters,
    parse,
    problems,
)
from web.api.request_schemas import EventsHeader, JobHeader, JobPath, JobUploadHeader, UploadHeader
from web.api.schemas import JobsQuery, PreflightDocument, RejectsQuery, ResultsQuery
from web.auth.identity import current_identity
from web.ids import unknown_job
from web.jobs import downloads
from web.jobs.documents import (
    found_job,
    found_own_job,
    job_document,
    job_response,
    job_url,
    no_results,
    row_counts,
)
from web.jobs.events import job_events
from web.jobs.formula_escaping import formula_escaper
from web.jobs.listing import list_page
from web.jobs.notifications import wait_for_change
from web.jobs.schemas import JobDocument, JobList, SummaryDocument
from web.jobs.summary import cards_of, summary_document
from web.prefer_header import applied, preferred_wait, prefers_end
from web.problems import Problem
from web.request_limits import MAX_IDEMPOTENCY_KEY
from web.responses import json_response
from web.server.limits import LimitedResponseBody
from web.services import services
from web.uploads.bodies import Body, open_body
from web.uploads.parameters import UploadForm
from web.uploads.preflight import preflight
from web.uploads.upload import Upload, fingerprint, refusals_logged

api = APIBlueprint(
    "jobs",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="jobs", description="CSV in, CSV out")],
    operation_id_callback=operation_name,
)

_MAX_REVISION_DIGITS = 18


@api.post(
    "/jobs",
    summary="Upload a CSV file to be scored",
    responses={
        202: answer(JobDocument, "the job", "Location", "ETag", "Retry-After", "Preference-Applied"),
        200: answer(
            JobDocument,
            "the job: it ended within the wait, or was uploaded before",
            *("Location", "ETag", "Retry-After", "Preference-Applied", "Idempotent-Replayed"),
        ),
        **problems(400, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extensions={"x-parameters": parameters(UploadForm, JobUploadHeader), "requestBody": csv_body()},
)
def create_job() -> Response:
    """Scoring begins while the file is still being received. Once the response is sent, the upload is durable."""
    idempotency = _idempotency_key()
    first = idempotency.begin() if idempotency else None
    if first:
        return _replay(first)
    try:
        job_id = _receive(idempotency)
    except Overtaken as other:
        return _first_upload(other.first, other.fingerprint)
    job = _awaited(job_id)
    ended = preferred_wait(request.headers.get("Prefer")) is not None and job.state.ended
    response = job_response(job, HTTPStatus.OK if ended else HTTPStatus.ACCEPTED)
    response.headers["Location"] = job_url(job_id)
    return _with_preference(response)


_SCORE: dict[str, Any] = {
    "summary": "Score a CSV file in one request",
    "responses": {
        200: csv_answer("the results, streamed while the upload still runs", "Location", "X-Accel-Buffering"),
        **problems(400, 408, 409, 413, 415, 422, 429, 503),
    },
    "openapi_extensions": {"x-parameters": parameters(UploadForm, UploadHeader), "requestBody": csv_body()},
}


def _idempotency_key() -> IdempotencyKey | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
        detail = f"an Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY} characters"
        raise Problem(HTTPStatus.BAD_REQUEST, "bad_idempotency_key", detail)
    return IdempotencyKey(services().store.redis, services().settings, key, current_identity().owner)


def _receive(idempotency: IdempotencyKey | None) -> str:
    try:
        with refusals_logged(), services().held_keys.held(idempotency) if idempotency else nullcontext():
            return _upload(_body(), idempotency=idempotency).receive_all()
    except BaseException:
        if idempotency:  # an upload that is refused before its body is read holds the key as well
            idempotency.give_up()
        raise


def _replay(first: FirstUpload) -> Response:
    """Answer a repeated upload with the first job, if body and parameters are the same."""
    body, digest = _body(), hashlib.sha256()
    for block in body.blocks:
        digest.update(block)
    return _first_upload(first, fingerprint(digest, body.form))


def _first_upload(first: FirstUpload, own_fingerprint: str) -> Response:
    """Answer with the job of the first upload under the key; raise Problem ``idempotency_key_reused`` if it differs."""
    if own_fingerprint != first.fingerprint:
        detail = "the first upload with this idempotency key had another body or other parameters"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
    response = job_response(_awaited(first.job_id), HTTPStatus.OK)
    response.headers["Location"] = job_url(first.job_id)
    response.headers["Idempotent-Replayed"] = "true"
    return _with_preference(response)


def _awaited(job_id: str, revision: int | None = None) -> Job:
    """Return the job after the wait that the client prefers; raise Problem ``unknown_job`` if there is none."""
    seconds = preferred_wait(request.headers.get("Prefer")) or 0.0
    job = wait_for_change(services().notifications, services().store, job_id, revision, seconds)
    if job is None:
        raise unknown_job(job_id)
    return job


@api.post("/score", **_SCORE)
@api.put("/score", operation_id="score_by_put", **_SCORE)  # what `curl -T` sends
def score() -> Response:
    """The results are streamed while the upload still runs. A failure after the first byte aborts the transfer."""
    current = services()
    with refusals_logged():
        body = _body()
        upload = _upload(body, shown=True)
        received = upload.receive()
        # Until the first chunk is stored, an error can still be answered with a status of its own. Nothing of a form is
        # scored before its end, so a form is received as a whole.
        for _ in received:
            if upload.chunks and not body.fields_may_follow:
                threading.Thread(target=_drain, args=(received,), name="upload", daemon=True).start()
                break
    job = found_job(str(upload.job_id))
    blocks = downloads.followed_results(current.store, current.notifications, job, downloads.as_it_is)
    response = _download(blocks, job, "scored")
    response.headers["Location"] = job_url(job.id)
    return downloads.unbuffered(response)


def _drain(received: Iterator[None]) -> None:
    """Receive the rest of an upload. An error ends the job, and with it the download."""
    try:
        with refusals_logged():
            for _ in received:
                pass
    except (JobsError, RedisError):
        return


@api.get(
    "/jobs",
    summary="List jobs, newest first",
    responses={200: answer(JobList, "a page of jobs"), **problems(422, 503)},
    openapi_extensions={"x-parameters": parameters(JobsQuery)},
)
def list_jobs() -> Response:
    """List the jobs that have not expired."""
    query = parse(JobsQuery, request.args.to_dict())
    listed = list_page(services().store, query.limit, query.cursor, query.state)
    documents = [job_document(item.job, item.queue_position) for item in listed.jobs]
    return json_response(JobList(jobs=documents, next_cursor=listed.next_cursor))


@api.get(
    "/jobs/<job:job_id>",
    summary="Get a job",
    responses={
        200: answer(JobDocument, "the job", "ETag", "Retry-After", "Preference-Applied"),
        304: no_content("the job has not changed since `If-None-Match`", "ETag", "Preference-Applied"),
        **problems(404, 503),
    },
    openapi_extensions={"x-parameters": parameters(header=JobHeader)},
)
def get_job(path: JobPath) -> Response:
    """With ``Prefer: wait=N``, answers as soon as the job has changed; with ``until=ended``, once it has ended."""
    if not current_identity().sees_all:
        found_job(path.job_id)  # who may not see it does not wait for it either
    known = None if prefers_end(request.headers.get("Prefer")) else _known_revision()
    response = _with_preference(job_response(_awaited(path.job_id, known), HTTPStatus.OK))
    response.make_conditional(request)
    return response


def _with_preference(response: Response) -> Response:
    if preference := applied(request.headers.get("Prefer")):
        response.headers["Preference-Applied"] = preference
    return response


@api.delete(
    "/jobs/<job:job_id>",
    summary="Cancel or delete a job",
    responses={
        200: answer(JobDocument, "the job, canceled", "ETag"),
        204: no_content("the job had ended; its data is removed"),
        **problems(404, 503),
    },
)
def delete_job(path: JobPath) -> Response:
    """Cancels a job that has not ended; deletes the data of one that has."""
    job = found_own_job(path.job_id)
    if job.state.ended:
        services().store.remove(job.id)
        response = Response(status=HTTPStatus.NO_CONTENT)
        del response.headers["Content-Type"]
        return response
    services().store.cancel(job.id)
    return job_response(found_job(job.id), HTTPStatus.OK)


@api.get(
    "/jobs/<job:job_id>/results",
    summary="Download the scored CSV",
    responses={
        200: csv_answer("the input's records with prediction, probability and error", "X-Accel-Buffering"),
        **problems(404, 409, 422, 503),
    },
    openapi_extensions={"x-parameters": parameters(ResultsQuery)},
)
def get_results(path: JobPath) -> Response:
    """One record per input record, in input order."""
    query = parse(ResultsQuery, request.args.to_dict())
    current, job = services(), found_job(path.job_id)
    transform = _transform(job, query.escape)
    if query.follow and not (query.partial and job.state is JobState.CANCELED):
        if job.state in (JobState.FAILED, JobState.CANCELED):
            raise no_results(job)
        blocks = downloads.followed_results(current.store, current.notifications, job, transform)
        return downloads.unbuffered(_download(blocks, job, "scored"))
    if job.state is not JobState.SUCCEEDED and not (query.partial and job.state is JobState.CANCELED):
        raise no_results(job)
    return downloads.csv_response(
        downloads.finished_results(current.store, job, transform), job.filename, "scored", current.limits.downloads
    )


@api.get(
    "/jobs/<job:job_id>/rejects",
    summary="Download the rejected rows with their reasons",
    responses={
        200: csv_answer("row, column, value, code, reason, then the record; a line per fault"),
        **problems(404, 409, 422, 503),
    },
    openapi_extensions={"x-parameters": parameters(RejectsQuery)},
)
def get_rejects(path: JobPath) -> Response:
    """One line per fault."""
    query = parse(RejectsQuery, request.args.to_dict())
    job = found_job(path.job_id)
    if not job.state.ended:
        raise no_results(job)
    lines = downloads.rejects(services().store, job, _transform(job, query.escape))
    return _download(lines, job, "rejects")


@api.get(
    "/jobs/<job:job_id>/summary",
    summary="Get the counts of a job's results",
    responses={200: answer(SummaryDocument, "the counts so far"), **problems(404, 503)},
)
def get_summary(path: JobPath) -> Response:
    """Prediction counts, a histogram of probabilities, rejects by column and code, and data drift, so far."""
    job = found_job(path.job_id)
    current = services()
    document = summary_document(current.store.summary(job.id), job, cards_of(current.catalog, job))
    return json_response(SummaryDocument.model_validate({"rows": row_counts(job), **document}))


@api.get(
    "/jobs/<job:job_id>/events",
    summary="Follow a job",
    responses={200: event_stream(), **problems(404, 503)},
    openapi_extensions={"x-parameters": parameters(header=EventsHeader)},
)
def get_events(path: JobPath) -> Response:
    """Server-sent events: the job now, on each change, and when it ends."""
    current, job = services(), found_job(path.job_id)

    def show(now: Job) -> JobDocument:
        return job_document(now, current.store.queue_position(now))

    events = job_events(current.store, current.notifications, job.id, show, request.headers.get("Last-Event-ID"))
    blocks = LimitedResponseBody(current.limits.waiting, stream_with_context(events))
    response = Response(blocks, mimetype="text/event-stream", direct_passthrough=True)
    response.headers["Cache-Control"] = "no-cache"
    return downloads.unbuffered(response)


@api.post(
    "/preflight",
    summary="Check the first bytes of a file",
    responses={
        200: answer(PreflightDocument, "how the file would be read"),
        **problems(400, 408, 413, 415, 422, 429, 503),
    },
    openapi_extensions={"x-parameters": parameters(UploadForm, UploadHeader), "requestBody": csv_body()},
)
def create_preflight() -> Response:
    """Returns how columns are mapped, faults of the first rows, and sample predictions. Stores nothing."""
    return json_response(PreflightDocument.model_validate(preflight(_body(), services())))


def _body() -> Body:
    return open_body(request, services().settings.max_upload_bytes, services().limits.uploads)


def _upload(body: Body, shown: bool = False, idempotency: IdempotencyKey | None = None) -> Upload:
    current = services()
    owner = current_identity().as_owner
    return Upload(body, current.store, current.sender, current.catalog, current.settings, shown, idempotency, owner)


def _download(blocks: Iterator[bytes], job: Job, suffix: str) -> Response:
    return downloads.csv_response(blocks, job.filename, suffix, services().limits.downloads)


def _transform(job: Job, escape: str | None) -> downloads.Transform:
    return formula_escaper(job.delimiter) if escape == "formulas" else downloads.as_it_is


def _known_revision() -> int | None:
    """Return the revision in If-None-Match, the last one that the client has seen."""
    for tag in request.if_none_match:
        revision = tag.partition("-")[0]
        if revision.isdecimal() and len(revision) < _MAX_REVISION_DIGITS:
            return int(revision)
    return None
