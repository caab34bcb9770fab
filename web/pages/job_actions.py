"""The page of a job, and what may be done with the job there; ``views`` gives them their addresses."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from jobs.errors import JobsError
from jobs.state import Job, JobState
from model.errors import ModelError
from web.auth.identity import current_identity
from web.jobs.documents import correctable_job, found_job, found_own_job, no_results
from web.pages.jobs import view as job_view
from web.problems import to_problem
from web.services import services
from web.uploads import rescore
from web.uploads.bodies import Body
from web.uploads.corrections import CorrectionsBody
from web.uploads.corrections import create_job as create_corrections
from web.uploads.parameters import UploadForm
from web.uploads.upload import Upload, refusals_logged


def upload_of(body: Body) -> Upload:
    """Return the upload of a body, which will belong to whoever makes the request."""
    own = services()
    owner = current_identity().as_owner
    return Upload(body, own.store, own.sender, own.catalog, own.settings, owner=owner)


def job_page(job_id: str) -> Response:
    """Show the progress of a job, and, once it has ended, its summary, rejected rows and downloads."""
    return _job_page(found_job(job_id))


def _job_page(job: Job, status: HTTPStatus = HTTPStatus.OK, **shown: Any) -> Response:
    """Return the page of a job; ``shown`` are the typed values of the form that scores it again, and their problem.

    ``target`` among them is the address of the form that the problem is about.
    """
    variables = {
        "model": rescore.models_of(job),
        "threshold": job.threshold,
        "choices": rescore.choices(job, services().catalog),
        **shown,
    }
    view = job_view(services().store, services().catalog, job)
    return make_response(render_template("job.html", view=view, **variables), status)


def after_action(job_id: str) -> BaseResponse:
    """Redirect to the page of the job, if the address of an action is opened or reloaded."""
    return redirect(url_for("pages.job_page", job_id=found_job(job_id).id), HTTPStatus.SEE_OTHER)


def score_again(job_id: str) -> BaseResponse:
    """Create a job from the rows of a succeeded one, for another threshold or model, and redirect to its page."""
    job = found_job(job_id)
    if job.state is not JobState.SUCCEEDED:
        raise no_results(job)
    form = UploadForm.of(g.form)
    try:
        form = rescore.form_of(job, g.form, services().catalog)
        body = rescore.body_of(services().store, job, form)
        with refusals_logged():
            new_id = upload_of(body).receive_all()
    except (JobsError, ModelError) as error:
        problem = to_problem(error)
        if problem is None:
            raise
        typed = {name: text for name, text in asdict(form).items() if text is not None}
        response = _job_page(job, HTTPStatus(problem.status), refusal=problem, **typed)
        response.headers.extend(problem.headers)
        return response
    return redirect(url_for("pages.job_page", job_id=new_id), HTTPStatus.SEE_OTHER)


def correct_job(job_id: str) -> BaseResponse:
    """Create a job from an edited file of rejected rows, and redirect to its page."""
    job = correctable_job(job_id)
    try:
        with CorrectionsBody.received(request, services()) as body:
            new_id = create_corrections(services(), job, body, current_identity().as_owner)
    except (JobsError, ModelError) as error:
        problem = to_problem(error)
        if problem is None:
            raise
        return _job_page(job, HTTPStatus(problem.status), refusal=problem, target="#corrections")
    return redirect(url_for("pages.job_page", job_id=new_id), HTTPStatus.SEE_OTHER)


def cancel_job(job_id: str) -> BaseResponse:
    """Cancel a job that has not ended."""
    services().store.cancel(found_own_job(job_id).id)
    return redirect(url_for("pages.job_page", job_id=job_id), HTTPStatus.SEE_OTHER)


def delete_job(job_id: str) -> BaseResponse:
    """Delete a job, after canceling it if it has not ended; a job that is gone already is no error."""
    store = services().store
    if store.get(job_id) is not None:
        found_own_job(job_id)
        store.cancel(job_id)
        store.remove(job_id)
    return redirect(url_for("pages.jobs_page"), HTTPStatus.SEE_OTHER)
