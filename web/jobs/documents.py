"""Jobs as the API returns them: the document, its response, and why there are no results."""

from http import HTTPStatus
from typing import Any

from flask import Response, url_for

from jobs.formats.detection import Format
from jobs.state import Job, JobState, timestamp
from web.auth.identity import current_identity
from web.ids import unknown_job
from web.jobs.schemas import Converting, JobDocument, Rows
from web.jobs.summary import REPAIRED_QUOTE
from web.problems import Problem, refusal_status
from web.responses import json_response
from web.schemas import ModelVersion, ProblemDocument
from web.services import services

_POLL_SECONDS = 1
_MAX_POLL_SECONDS = 10
_NOT_READY = "the job has not ended; poll it, or ask with ?follow=true"


def found_job(job_id: str) -> Job:
    """Return the job; raise Problem ``unknown_job`` if there is none that whoever asks may see."""
    job = services().store.get(job_id)
    if job is None or not current_identity().sees(job):
        raise unknown_job(job_id)
    return job


def correctable_job(job_id: str) -> Job:
    """Return the job if it has succeeded, so that its rejected rows can be corrected.

    Raises:
        Problem: ``unknown_job``, ``not_ready``, ``job_failed`` or ``job_canceled``.
    """
    job = found_job(job_id)
    if job.state is not JobState.SUCCEEDED:
        raise no_results(job)
    return job


def found_own_job(job_id: str) -> Job:
    """Return the job to change it; raise Problem ``unknown_job``, or ``forbidden`` if it may be seen only."""
    job = found_job(job_id)
    if not current_identity().owns(job.owner.id):
        detail = "only its owner and administrators may change this job"
        raise Problem(HTTPStatus.FORBIDDEN, "forbidden", detail)
    return job


def no_results(job: Job) -> Problem:
    """Return the problem that says why the job has no results, or none yet."""
    if job.state is JobState.FAILED:
        return Problem(HTTPStatus.CONFLICT, "job_failed", job.error or "the job failed")
    if job.state is JobState.CANCELED:
        detail = "the job was canceled; ?partial=true gives the rows finished before"
        return Problem(HTTPStatus.CONFLICT, "job_canceled", detail)
    return Problem(HTTPStatus.CONFLICT, "not_ready", _NOT_READY, retry_after=retry_after(job))


def job_url(job_id: str) -> str:
    """Return the API path of a job."""
    return url_for("jobs.get_job", job_id=job_id)


def row_counts(job: Job) -> Rows:
    """Return the row counts of a job."""
    return Rows(total=job.total, scored=job.scored, rejected=job.rejected, warned=job.warned, repaired=job.repaired)


def notes(repaired: int) -> dict[str, int]:
    """Return how often each kind of thing that was done to rows occurred, given the number of repaired rows."""
    return {REPAIRED_QUOTE: repaired} if repaired else {}


def job_document(job: Job, queue_position: int | None) -> JobDocument:
    """Return the job as the API shows it."""
    base = job_url(job.id)
    links = {"self": base, "page": url_for("pages.job_page", job_id=job.id)}
    links |= {name: f"{base}/{name}" for name in ("results", "rejects", "summary", "events")}
    # Members that are never set are left out of the JSON: `models` shows only where two are compared.
    compared: dict[str, Any] = {"models": [_version(*model) for model in job.models]} if job.compared else {}
    owned: dict[str, Any] = {"owner": job.owner.name, "visibility": job.visibility} if job.owner.id else {}
    return JobDocument(
        id=job.id,
        state=job.state,
        model=_version(job.model, job.version),
        **compared,
        **owned,
        filename=job.filename,
        bytes=job.size,
        format=Format(job.format),
        sheet=job.sheet,
        converting=_converting(job),
        encoding=job.encoding,
        delimiter=job.dialect.delimiter,
        decimal=job.dialect.decimal,
        skipped_lines=job.dialect.skipped_lines,
        threshold=job.threshold,
        explain=job.explain,
        rows=row_counts(job),
        notes=notes(job.repaired),
        progress=job.progress,
        rows_per_second=job.rows_per_second,
        eta_seconds=job.eta_seconds,
        queue_position=queue_position,
        created_at=str(timestamp(job.created)),
        started_at=timestamp(job.started),
        finished_at=timestamp(job.finished),
        expires_at=str(timestamp(job.expires)),
        error=_failure(job) if job.error else None,
        corrects=job.corrects,
        links=links,
    )


def _converting(job: Job) -> Converting | None:
    return Converting(progress=min(job.conversion, 1.0), rows=job.converted) if job.is_converting else None


def _failure(job: Job) -> ProblemDocument:
    error = job.error or ""
    problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "job_failed", error)
    if job.problem:  # the file was refused when it was converted
        code = job.problem["code"]
        problem = Problem(refusal_status(code), code, error, job.problem["errors"])
    return ProblemDocument.model_validate(problem.as_dict())


def _version(name: str, version: str) -> ModelVersion:
    return ModelVersion(name=name, version=version)


def job_response(job: Job, status: HTTPStatus) -> Response:
    """Return the job as JSON with its ETag and, until it has ended, Retry-After."""
    position = services().store.queue_position(job)
    response = json_response(job_document(job, position), status)
    # The position in the queue changes without the job.
    response.set_etag(f"{job.revision}-{'' if position is None else position}")
    # It may be kept, but not used without asking by its ETag.
    response.headers["Cache-Control"] = "no-cache"
    if not job.state.ended:
        response.headers["Retry-After"] = str(retry_after(job))
    return response


def retry_after(job: Job) -> int:
    """Return the seconds after which polling again is worthwhile."""
    return max(_POLL_SECONDS, min(_MAX_POLL_SECONDS, round((job.eta_seconds or 0) / 10)))
