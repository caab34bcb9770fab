"""Answers to requests that create jobs: the job, after the wait that the client prefers, once per idempotency key."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http import HTTPStatus

from flask import Response, request

from jobs.state import Job
from jobs.store.idempotency import FirstUpload, IdempotencyKey
from web.api.openapi import Responses, answer
from web.auth.identity import current_identity
from web.ids import unknown_job
from web.jobs.documents import job_response, job_url
from web.jobs.notifications import wait_for_change
from web.jobs.schemas import JobDocument
from web.prefer_header import applied, preferred_wait
from web.problems import Problem
from web.request_limits import MAX_IDEMPOTENCY_KEY
from web.services import services


def job_answers(job: str, before: str) -> Responses:
    """Describe the answers with a new job, and with one that was ``before``."""
    headers = ("Location", "ETag", "Retry-After", "Preference-Applied")
    return {
        202: answer(JobDocument, job, *headers),
        200: answer(
            JobDocument, f"{job}: it ended within the wait, or was {before} before", *headers, "Idempotent-Replayed"
        ),
    }


def idempotency_key() -> IdempotencyKey | None:
    """Return the idempotency key of the request, if it has one; raise Problem ``bad_idempotency_key``."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
        detail = f"an Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY} characters"
        raise Problem(HTTPStatus.BAD_REQUEST, "bad_idempotency_key", detail)
    return IdempotencyKey(services().store.redis, services().settings, key, current_identity().owner)


@contextmanager
def held(key: IdempotencyKey | None) -> Iterator[None]:
    """Hold an idempotency key, if there is one, while its request is received; free it if that fails."""
    try:
        with services().held_keys.held(key) if key else nullcontext():
            yield
    except BaseException:
        if key:
            key.give_up()
        raise


def accepted(job_id: str) -> Response:
    """Answer with a new job: 202, or 200 if it has ended within the wait that the client prefers."""
    job = awaited(job_id)
    ended = preferred_wait(request.headers.get("Prefer")) is not None and job.state.ended
    response = job_response(job, HTTPStatus.OK if ended else HTTPStatus.ACCEPTED)
    response.headers["Location"] = job_url(job_id)
    return with_preference(response)


def replayed(first: FirstUpload, own_fingerprint: str) -> Response:
    """Answer with the job of the first upload under the key; raise Problem ``idempotency_key_reused`` if it differs."""
    if own_fingerprint != first.fingerprint:
        detail = "the first upload with this idempotency key had another body or other parameters"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
    services().store.confirm(first.job_id)
    response = job_response(awaited(first.job_id), HTTPStatus.OK)
    response.headers["Location"] = job_url(first.job_id)
    response.headers["Idempotent-Replayed"] = "true"
    return with_preference(response)


def awaited(job_id: str, revision: int | None = None) -> Job:
    """Return the job after the wait that the client prefers; raise Problem ``unknown_job`` if there is none."""
    seconds = preferred_wait(request.headers.get("Prefer")) or 0.0
    job = wait_for_change(services().notifications, services().store, job_id, revision, seconds)
    if job is None:
        raise unknown_job(job_id)
    return job


def with_preference(response: Response) -> Response:
    """Say in the response which preferences of the request were applied."""
    if preference := applied(request.headers.get("Prefer")):
        response.headers["Preference-Applied"] = preference
    return response
