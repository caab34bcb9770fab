"""The endpoint that takes corrections of rejected rows."""

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from jobs.store.idempotency import Overtaken
from web.api.accepted import accepted, held, idempotency_key, job_answers, replayed
from web.api.openapi import corrections_body, operation_name, parameters, problems
from web.api.request_schemas import JobPath, JobUploadHeader
from web.auth.identity import current_identity
from web.jobs.documents import correctable_job
from web.services import services
from web.uploads.corrections import CorrectionsBody, create_job
from web.uploads.parameters import CorrectionsForm

api = APIBlueprint(
    "corrections",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="jobs", description="CSV in, CSV out")],
    operation_id_callback=operation_name,
)


@api.post(
    "/jobs/<job:job_id>/corrections",
    summary="Correct rejected rows",
    responses={
        **job_answers("the new job", "created"),
        **problems(400, 404, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extensions={
        "x-parameters": parameters(CorrectionsForm, JobUploadHeader),
        "requestBody": corrections_body(),
    },
)
def create_corrections(path: JobPath) -> Response:
    """Creates a job that scores these rows alone. Its results are the whole file, with the rows in their places."""
    key = idempotency_key()
    first = key.begin() if key else None
    try:
        with held(None if first else key), CorrectionsBody.received(request, services()) as body:
            if first:
                return replayed(first, body.fingerprint(path.job_id))
            job_id = create_job(services(), correctable_job(path.job_id), body, current_identity().as_owner, key)
    except Overtaken as other:
        return replayed(other.first, other.fingerprint)
    return accepted(job_id)
