"""Jobs as HTTP shows them: the document, its response, and why there are no results."""

from http import HTTPStatus
from typing import Any

from flask import Response, url_for

from jobs.state import Job, JobState, as_dict
from web.ids import unknown_job
from web.problems import Problem
from web.responses import json_response
from web.services import services

_POLL_SECONDS = 1
_NOT_READY = "the job has not ended; poll it, or ask with ?follow=true"


def found_job(job_id: str) -> Job:
    """The job; raises Problem ``unknown_job``."""
    job = services().store.get(job_id)
    if job is None:
        raise unknown_job(job_id)
    return job


def no_results(job: Job) -> Problem:
    """The job has no results, or not yet."""
    if job.state is JobState.FAILED:
        return Problem(HTTPStatus.CONFLICT, "job_failed", job.error or "the job failed")
    if job.state is JobState.CANCELED:
        detail = "the job was canceled; ?partial=true gives the rows finished before"
        return Problem(HTTPStatus.CONFLICT, "job_canceled", detail)
    return Problem(HTTPStatus.CONFLICT, "not_ready", _NOT_READY, retry_after=retry_after(job))


def job_url(job_id: str) -> str:
    """Address of a job in the API."""
    return url_for("jobs.get_job", job_id=job_id)


def job_document(job: Job, queue_position: int | None) -> dict[str, Any]:
    """The job as the contract shows it."""
    base = job_url(job.id)
    links = {"self": base, "page": url_for("pages.job_page", job_id=job.id)}
    links |= {name: f"{base}/{name}" for name in ("results", "rejects", "summary", "events")}
    error = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "job_failed", job.error).as_dict() if job.error else None
    return {**as_dict(job, queue_position), "error": error, "links": links}


def job_response(job: Job, status: HTTPStatus) -> Response:
    """The job as JSON, with its ETag and, while it has not ended, Retry-After."""
    position = services().store.queue_position(job)
    response = json_response(job_document(job, position), status)
    response.set_etag(f"{job.revision}-{'' if position is None else position}")
    response.headers["Cache-Control"] = "no-cache"
    if not job.state.ended:
        response.headers["Retry-After"] = str(retry_after(job))
    return response


def retry_after(job: Job) -> int:
    """Seconds after which it is worth asking for a job again."""
    return max(_POLL_SECONDS, min(10, round((job.eta_seconds or 0) / 10)))
