"""Endpoints for jobs. HTTP only: the work is done in ``web.uploads`` and ``web.jobs``."""

import hashlib
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Response, request, stream_with_context
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from redis.exceptions import RedisError

from jobs.errors import JobsError
from jobs.export_request import MEDIA_TYPES, ExportFormat
from jobs.state import Job, JobState
from jobs.store.idempotency import FirstUpload, IdempotencyKey, Overtaken
from web.api.accepted import accepted, awaited, held, idempotency_key, job_answers, replayed, with_preference
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
    results_answer,
)
from web.api.request_schemas import EventsHeader, JobHeader, JobPath, JobUploadHeader, RangeHeader, UploadHeader
from web.api.schemas import (
    DownloadQuery,
    JobsQuery,
    PreflightDocument,
    RejectedRecordsQuery,
    RejectsQuery,
    ResultsQuery,
)
from web.auth.identity import current_identity
from web.ids import unknown_job
from web.jobs import downloads, rejected
from web.jobs.documents import (
    found_job,
    found_own_job,
    job_document,
    job_response,
    job_url,
    no_results,
    notes,
    row_counts,
)
from web.jobs.events import job_events
from web.jobs.exports import Export, check_rows, chosen_format, for_excel
from web.jobs.listing import list_page
from web.jobs.ranges import ResultsFile, part_response
from web.jobs.schemas import JobDocument, JobList, RejectedRecordsDocument, SummaryDocument
from web.jobs.summary import cards_of, summary_document
from web.prefer_header import prefers_end
from web.problems import Problem
from web.responses import json_response
from web.server.limits import Busy, LimitedResponseBody
from web.server.proxies import must_be_received_first
from web.services import services
from web.uploads.bodies import Body, open_body
from web.uploads.parameters import PreflightForm, UploadForm
from web.uploads.preflight import preflight
from web.uploads.upload import Upload, fingerprint, refusals_logged

api = APIBlueprint(
    "jobs",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="jobs", description="files in, files with predictions out")],
    operation_id_callback=operation_name,
)

_MAX_REVISION_DIGITS = 18


@api.post(
    "/jobs",
    summary="Upload a file to be scored",
    responses={
        **job_answers("the job", "uploaded"),
        **problems(400, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extensions={"x-parameters": parameters(UploadForm, JobUploadHeader), "requestBody": csv_body()},
)
def create_job() -> Response:
    """CSV is scored while it is still being received. Once the response is sent, the upload is durable."""
    idempotency = idempotency_key()
    first = idempotency.begin() if idempotency else None
    if first:
        return _replay(first)
    try:
        with held(idempotency), refusals_logged():
            job_id = _upload(_body(), idempotency=idempotency).receive_all()
    except Overtaken as other:
        return replayed(other.first, other.fingerprint)
    return accepted(job_id)


_SCORE: dict[str, Any] = {
    "summary": "Score a CSV file in one request",
    "responses": {
        200: csv_answer("the results, streamed while the upload still runs", "Location", "X-Accel-Buffering"),
        **problems(400, 408, 409, 413, 415, 422, 429, 503),
    },
    "openapi_extensions": {"x-parameters": parameters(UploadForm, UploadHeader), "requestBody": csv_body()},
}


def _replay(first: FirstUpload) -> Response:
    """Answer a repeated upload with the first job, if body and parameters are the same."""
    body, digest = _body(), hashlib.sha256()
    for block in body.blocks:
        digest.update(block)
    return replayed(first, fingerprint(digest, body.form))


@api.post("/score", **_SCORE)
@api.put("/score", operation_id="score_by_put", **_SCORE)  # what `curl -T` sends
def score() -> Response:
    """The results are streamed while the upload still runs; through a proxy or TLS, after its end.

    A failure after the first byte aborts the transfer.
    """
    current = services()
    with refusals_logged():
        body = _body()
        upload = _upload(body, shown=True)
        received = upload.receive()
        # Until the first chunk is stored, an error can still be answered with a status of its own. Nothing of a form is
        # scored before its end, so a form is received as a whole. So is what a proxy might stop passing on, or TLS.
        is_whole = body.fields_may_follow or must_be_received_first(request.environ, current.settings)
        for _ in received:
            if upload.chunks and not is_whole:
                threading.Thread(target=_drain, args=(received,), name="upload", daemon=True).start()
                break
    job = found_job(str(upload.job_id))
    form = downloads.CsvForm(job)
    blocks = downloads.followed_results(current.store, current.notifications, form)
    response = _download(blocks, form, "scored")
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
    response = with_preference(job_response(awaited(path.job_id, known), HTTPStatus.OK))
    response.make_conditional(request)
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
        services().auth.note_deletion(job.id)
        response = Response(status=HTTPStatus.NO_CONTENT)
        del response.headers["Content-Type"]
        return response
    services().store.cancel(job.id)
    services().auth.note_cancellation(job.id)
    return job_response(found_job(job.id), HTTPStatus.OK)


@api.get(
    "/jobs/<job:job_id>/results",
    summary="Download the results",
    responses={
        200: results_answer(
            "the input's records with prediction, probability and error",
            *("X-Accel-Buffering", "Vary", "Accept-Ranges", "ETag"),
        ),
        206: results_answer(
            "the part of the file that `Range` names", "Vary", "Accept-Ranges", "Content-Range", "ETag"
        ),
        **problems(404, 406, 409, 416, 422, 500, 503),
    },
    openapi_extensions={"x-parameters": parameters(ResultsQuery, RangeHeader)},
)
def get_results(path: JobPath) -> Response:
    """One record per input record, in input order."""
    query = parse(ResultsQuery, request.args.to_dict())
    current, job = services(), found_job(path.job_id)
    kind = chosen_format(query.format, request.accept_mimetypes)
    is_partial = query.partial and job.state is JobState.CANCELED
    follow = query.follow and not is_partial
    if follow and kind not in (ExportFormat.CSV, ExportFormat.JSONL):
        detail = f"follow: {kind.value} is written once the job has ended; follow csv or jsonl"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", detail)
    has_none = job.state in (JobState.FAILED, JobState.CANCELED) if follow else job.state is not JobState.SUCCEEDED
    if has_none and not is_partial:
        raise no_results(job)
    check_rows(job, kind)
    if kind in (ExportFormat.CSV, ExportFormat.EXCEL_CSV):
        response = _csv_results(_csv_form(job, query), kind, follow)
    else:
        export = Export(job, kind, current.settings, current.limits.exports, request.remote_addr or "", follow)
        extension = f"scored.{kind.value}"
        try:
            response = downloads.file_response(
                export, job.filename, extension, MEDIA_TYPES[kind], current.limits.downloads
            )
        except Busy:
            export.close()
            raise
    if not query.format:
        response.vary.add("Accept")
    return downloads.unbuffered(response) if follow else response


def _csv_results(form: downloads.CsvForm, kind: ExportFormat, follow: bool) -> Response:
    current = services()
    if kind is ExportFormat.EXCEL_CSV:
        form = downloads.CsvForm(form.job, in_utf8=True)
        blocks = for_excel(current.store, form.job)
    elif follow:
        blocks = downloads.followed_results(current.store, current.notifications, form)
    elif file := ResultsFile.of(current.store, form):
        return part_response(file, request, current.store, current.limits.downloads)
    else:
        blocks = downloads.finished_results(current.store, form)
    return _download(blocks, form, "scored")


@api.get(
    "/jobs/<job:job_id>/rejects",
    summary="Download the rejected rows with their reasons",
    responses={
        200: csv_answer(
            "row, column, value, code, reason, then the record, a line per fault; with `shape=records` a line per "
            "record, then `_row` and `_errors`"
        ),
        **problems(404, 409, 422, 503),
    },
    openapi_extensions={"x-parameters": parameters(RejectsQuery)},
)
def get_rejects(path: JobPath) -> Response:
    """One line per fault, or one per record, to be edited and sent back as corrections."""
    query = parse(RejectsQuery, request.args.to_dict())
    job = found_job(path.job_id)
    if not job.state.ended:
        raise no_results(job)
    form = _csv_form(job, query)
    file = rejected.records_file if query.shape == "records" else downloads.rejects
    return _download(file(services().store, form), form, "rejects")


@api.get(
    "/jobs/<job:job_id>/rejects/records",
    summary="List the rejected rows",
    responses={200: answer(RejectedRecordsDocument, "a page of rejected rows"), **problems(404, 409, 422, 503)},
    openapi_extensions={"x-parameters": parameters(RejectedRecordsQuery)},
)
def list_rejected_records(path: JobPath) -> Response:
    """The rejected rows as records with their faults, in pages, for a program or a page that corrects them."""
    query = parse(RejectedRecordsQuery, request.args.to_dict())
    job = found_job(path.job_id)
    if not job.state.ended:
        raise no_results(job)
    current, names = services(), rejected.RecordColumns.of(job).names
    if query.column is not None and query.column not in names:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", f"no column {query.column[:40]!r} in the input")
    wanted = (names.index(query.column), query.value) if query.column is not None else None
    begin, cards = rejected.Position.parse(query.cursor), cards_of(current.catalog, job)
    try:
        page = rejected.records_page(current.store, job, cards, begin, query.limit, wanted)
    except downloads.TransferBroken as error:
        raise unknown_job(job.id) from error
    return json_response(page)


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
    return json_response(
        SummaryDocument.model_validate({"rows": row_counts(job), "notes": notes(job.repaired), **document})
    )


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
    openapi_extensions={"x-parameters": parameters(PreflightForm, UploadHeader), "requestBody": csv_body()},
)
def create_preflight() -> Response:
    """Returns how columns are mapped, faults of the first rows, and sample predictions. Stores nothing."""
    return json_response(PreflightDocument.model_validate(preflight(_body(), services(), request.args.get("whole"))))


def _body() -> Body:
    return open_body(request, services().settings.max_upload_bytes, services().limits.uploads)


def _upload(body: Body, shown: bool = False, idempotency: IdempotencyKey | None = None) -> Upload:
    current = services()
    owner = current_identity().as_owner
    return Upload(body, current.store, current.sender, current.catalog, current.settings, shown, idempotency, owner)


def _download(blocks: Iterator[bytes], form: downloads.CsvForm, suffix: str) -> Response:
    limit = services().limits.downloads
    return downloads.csv_response(blocks, form.job.filename, suffix, limit, form.charset)


def _csv_form(job: Job, query: DownloadQuery) -> downloads.CsvForm:
    return downloads.CsvForm(job, query.escape == "formulas", query.output_encoding == "utf-8")


def _known_revision() -> int | None:
    """Return the revision in If-None-Match, the last one that the client has seen."""
    for tag in request.if_none_match:
        revision = tag.partition("-")[0]
        if revision.isdecimal() and len(revision) < _MAX_REVISION_DIGITS:
            return int(revision)
    return None
