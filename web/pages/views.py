"""The pages: rendered on the server, working without JavaScript. HTTP only, the work is elsewhere."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from jobs.errors import JobsError, TooManyPredictions, UploadRefused
from jobs.state import Job, JobState, timestamp
from model.card import Card
from model.errors import BrokenModel, ModelError, UnknownModel
from model.schema import Value
from web.api.models import found_card
from web.api.openapi import parse
from web.api.predictions import DEFAULT_WAIT_SECONDS, prediction_document, validated_record
from web.api.schemas import JobsQuery
from web.compression import compress
from web.ids import unknown_prediction
from web.jobs.documents import found_job, no_results
from web.jobs.listing import list_page
from web.pages import counterfactuals, evaluation, forms, model_card, results
from web.pages.formatting import FAULT_WORDS, FILTERS, PROBLEM_WORDS
from web.pages.jobs import view as job_view
from web.prediction_client import make_request
from web.problems import Problem, problem_page, to_problem
from web.server.limits import Busy
from web.services import services
from web.uploads import rescore
from web.uploads.bodies import has_arrived, open_body
from web.uploads.parameters import UploadForm
from web.uploads.upload import Upload, refusals_logged

pages = Blueprint("pages", __name__)

_CHANGES_WAIT_SECONDS = 1.0
_MAX_FORM_BYTES = 16 * 1024 * 1024
_MAX_FORM_PARTS = 10_000


@pages.record_once
def _add_filters(state: Any) -> None:
    state.app.jinja_env.filters.update(FILTERS, timestamp=timestamp)
    state.app.jinja_env.globals.update(
        FAULT_WORDS=FAULT_WORDS, PROBLEM_WORDS=PROBLEM_WORDS, SHOWN_CONTRIBUTIONS=results.SHOWN_CONTRIBUTIONS
    )


@pages.after_request
def _forbid_stale_copies(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


pages.after_request(compress.after_request)


@pages.get("/")
def home() -> Response:
    """The quick form of the default model, and the upload."""
    return _model_page(services().catalog.usable_card(), **_asked())


@pages.get("/models/<name>")
def model_page(name: str) -> Response:
    """The quick form and the upload of a model, and its card."""
    return _model_page(found_card(name), with_card=True, **_asked())


@pages.get("/models/<name>/versions/<version>")
def version_page(name: str, version: str) -> Response:
    """The page of one version of a model."""
    return _model_page(_found_version(name, version), with_card=True, pinned=True, **_asked())


def _asked() -> dict[str, Any]:
    """What the address fills in of the upload; not where it holds a record, which may have a value of that name."""
    return {"threshold": request.args["threshold"]} if "threshold" in request.args else {}


@pages.route("/models/<name>/versions/<version>/prediction", methods=["GET", "POST"])
def version_prediction(name: str, version: str) -> BaseResponse:
    """The quick form of one version with its answer."""
    card = _found_version(name, version)
    if request.method != "POST" and not request.args:
        return redirect(url_for("pages.version_page", name=name, version=version), HTTPStatus.SEE_OTHER)
    return _answer(card, url_for("pages.version_prediction", name=name, version=version), {}, pinned=True)


def _found_version(name: str, version: str) -> Card:
    try:
        return services().catalog.usable_card(name, version)
    except UnknownModel as error:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown_model", str(error)) from error


@pages.route("/models/<name>/prediction", methods=["GET", "POST"])
def model_prediction(name: str) -> BaseResponse:
    """The quick form with its answer; the address can be shared, and what is too long for one comes in a body."""
    card = found_card(name)
    if request.method != "POST" and not request.args:
        return redirect(url_for("pages.model_page", name=name), HTTPStatus.SEE_OTHER)
    return _answer(card, url_for("pages.model_prediction", name=name), {})


@pages.route("/probability", methods=["GET", "POST"])
def probability() -> Response:
    """The quick form of the income model with its answer, under its classic address."""
    card = found_card(forms.CLASSIC_MODEL)
    return _answer(card, url_for("pages.probability"), forms.CLASSIC_NAMES)


@pages.get("/predictions/<prediction:prediction_id>")
def prediction_page(prediction_id: str) -> Response:
    """A prediction that took longer than its request could wait."""
    stored = services().stored_predictions.get(prediction_id)
    if stored is None or (stored.result and ("model" not in stored.result or stored.result["several"])):
        raise unknown_prediction(prediction_id)
    if stored.result is None:
        return _pending_page(prediction_id, request.args)
    document = prediction_document(prediction_id, stored.result)
    card = services().catalog.card(stored.result["model"], stored.result["version"])
    fields = forms.fields(card, {}, results.texts(document) or request.args)
    return _model_page(card, fields=fields, outcome=results.outcome(card, document))


def _answer(card: Card, action: str, names: Mapping[str, str], pinned: bool = False) -> Response:
    """The form with the answer to the record in the query or the body, or with what is wrong with it."""
    reading = forms.read(card, _given(), names)
    fields = forms.fields(card, names, reading.typed, reading.faults, reading.warnings)
    method = forms.method(card, names)
    shown: dict[str, Any] = {"action": action, "method": method, "fields": fields, "pinned": pinned}
    if reading.faults:
        return _model_page(card, HTTPStatus.UNPROCESSABLE_ENTITY, **shown)
    request_ = make_request(card, [validated_record(reading.values, reading.warnings)], None)
    prediction_id, result = services().predictions.ask(request_, DEFAULT_WAIT_SECONDS)
    if result is None:
        return _pending_page(prediction_id, reading.typed)
    document = prediction_document(prediction_id, result)
    return _model_page(
        card,
        outcome=results.outcome(card, document),
        changes=_changes(card, reading.values, document),
        link=forms.link(action, fields),
        **shown,
    )


def _given() -> Mapping[str, str]:
    """The form's parameters, in the query or the body.

    Raises:
        UploadRefused: ``too_large``, ``malformed_body``.
        Busy: when too many bodies are being read.
    """
    if request.method != "POST":
        return request.args
    request.max_content_length = request.max_form_memory_size = _MAX_FORM_BYTES
    request.max_form_parts = _MAX_FORM_PARTS
    try:
        with nullcontext() if has_arrived(request) else services().limits.records.held(request.remote_addr or ""):
            return request.form
    except RequestEntityTooLarge as error:
        raise UploadRefused("too_large", f"at most {_MAX_FORM_BYTES} bytes of a form are taken") from error
    except ClientDisconnected as error:
        raise UploadRefused("malformed_body", "the form broke off before its end, or came too slowly") from error


def _changes(card: Card, record: Mapping[str, Value], prediction: Mapping[str, Any]) -> list[counterfactuals.Change]:
    """What would change the prediction most; nothing where the workers have no time for it."""
    tried = counterfactuals.variants(card, record) if "probability" in prediction else []
    if not tried:
        return []
    found = services()
    request_ = make_request(card, [{"values": variant.record} for variant in tried], None, several=True)
    try:
        prediction_id, answer = found.predictions.ask(request_, _CHANGES_WAIT_SECONDS)
    except (TooManyPredictions, Busy):
        return []
    found.stored_predictions.forget([prediction_id])
    if answer is None or "items" not in answer:
        return []
    return counterfactuals.changes(record, prediction, tried, answer["items"])


def _pending_page(prediction_id: str, typed: Mapping[str, str]) -> Response:
    address = url_for("pages.prediction_page", prediction_id=prediction_id)
    full = f"{address}?{urlencode(typed)}"
    shown = full if typed and len(full) <= forms.MAX_ADDRESS else address
    return make_response(render_template("pending.html", address=shown), HTTPStatus.ACCEPTED)


def _model_page(card: Card, status: HTTPStatus = HTTPStatus.OK, **shown: Any) -> Response:
    """The page of a model: its form, and what else is to be shown."""
    own_address = url_for("pages.model_prediction", name=card.name)
    if shown.get("pinned"):
        own_address = url_for("pages.version_prediction", name=card.name, version=card.version)
    if shown.get("with_card"):
        shown |= _about(card)
    given = {
        "action": own_address,
        "method": forms.method(card, {}),
        "threshold": forms.text_of(card.threshold),
        "titles": {feature.name: feature.title for feature in card.features},
        **shown,
    }
    given.setdefault("fields", forms.blank_fields(card, {}))
    return make_response(render_template("model.html", card=card, others=_others(card.name), **given), status)


def _about(card: Card) -> dict[str, Any]:
    """What the card's part of the page shows."""
    return {
        "metrics": model_card.metrics(card),
        "evidence": evaluation.evidence(card),
        "importance_of": model_card.main_metric(card),
        "versions": services().catalog.versions(card.name),
    }


def _others(name: str) -> list[str]:
    return [other for other in services().catalog.names() if other != name]


@pages.errorhandler(BrokenModel)
def _broken_page(error: BrokenModel) -> Response:
    """The page of a model that cannot be used says so, and why; it is there, so it is never 'not found'."""
    problem, catalog = to_problem(error), services().catalog
    assert problem is not None
    shown_there = {"pages.home": catalog.default, "pages.probability": forms.CLASSIC_MODEL}
    name = (request.view_args or {}).get("name") or shown_there.get(str(request.endpoint))
    if name is None:
        return problem_page(problem)
    versions = catalog.versions(name)
    title = next((version.card.title for version in versions if version.card), name)
    shown = {"problem": problem, "name": name, "title": title, "versions": versions, "others": _others(name)}
    return make_response(render_template("broken.html", **shown), problem.status, problem.headers)


@pages.post("/jobs")
def create_job() -> BaseResponse:
    """Take an uploaded file; the job's page then shows how it is scored."""
    found, form = services(), UploadForm()
    try:
        with refusals_logged():
            body = open_body(request, found.settings.max_upload_bytes, found.limits.uploads)
            form = body.form
            job_id = Upload(body, found.store, found.sender, found.catalog, found.settings).receive_all()
    except (JobsError, ModelError) as error:
        return _refused(error, form)
    return redirect(url_for("pages.job_page", job_id=job_id), HTTPStatus.SEE_OTHER)


def _refused(error: Exception, form: UploadForm) -> Response:
    """The form again, with what is wrong with the file; what the table of problems does not know goes on."""
    problem = to_problem(error)
    if problem is None:
        raise error
    try:
        card = services().catalog.usable_card(form.model, form.version)
    except ModelError:
        card = services().catalog.usable_card()
    asked = {} if form.threshold is None else {"threshold": form.threshold}
    response = _model_page(card, HTTPStatus(problem.status), refusal=problem, **asked)
    response.headers.extend(problem.headers)
    return response


@pages.get("/jobs")
def jobs_page() -> Response:
    """The jobs, newest first."""
    query = parse(JobsQuery, request.args.to_dict())
    listed = list_page(services().store, query.limit, query.cursor, query.state)
    unfinished = any(not item.job.state.ended for item in listed.jobs)
    return make_response(
        render_template("jobs.html", listed=listed, query=query, states=list(JobState), unfinished=unfinished)
    )


@pages.get("/jobs/<job:job_id>")
def job_page(job_id: str) -> Response:
    """A job: how far it is; once it has ended, its results in numbers, its rejected rows and its downloads."""
    return _job_page(found_job(job_id))


def _job_page(job: Job, status: HTTPStatus = HTTPStatus.OK, **shown: Any) -> Response:
    """The page of a job; ``shown`` is what was typed into the form that scores it again, and what is wrong with it."""
    found = services()
    choices = rescore.choices(job, found.catalog)
    given = {"model": rescore.models_of(job), "threshold": job.threshold, "choices": choices, **shown}
    view = job_view(found.store, found.catalog, job)
    return make_response(render_template("job.html", view=view, **given), status)


@pages.get("/jobs/<job:job_id>/again")
@pages.get("/jobs/<job:job_id>/cancel")
@pages.get("/jobs/<job:job_id>/delete")
def after_action(job_id: str) -> BaseResponse:
    """Back to the job, whose page has the forms: for who loads the page again that an action answered with."""
    return redirect(url_for("pages.job_page", job_id=found_job(job_id).id), HTTPStatus.SEE_OTHER)


@pages.post("/jobs/<job:job_id>/again")
def score_again(job_id: str) -> BaseResponse:
    """Make a new job of the rows of one that has succeeded, for another threshold or model; its page then shows it."""
    found, job = services(), found_job(job_id)
    if job.state is not JobState.SUCCEEDED:
        raise no_results(job)
    form = UploadForm.of(request.form)
    try:
        form = rescore.form_of(job, request.form, found.catalog)
        body = rescore.body_of(found.store, job, form)
        with refusals_logged():
            new_id = Upload(body, found.store, found.sender, found.catalog, found.settings).receive_all()
    except (JobsError, ModelError) as error:
        problem = to_problem(error)
        if problem is None:
            raise
        asked = {name: text for name, text in asdict(form).items() if text is not None}
        response = _job_page(job, HTTPStatus(problem.status), refusal=problem, **asked)
        response.headers.extend(problem.headers)
        return response
    return redirect(url_for("pages.job_page", job_id=new_id), HTTPStatus.SEE_OTHER)


@pages.post("/jobs/<job:job_id>/cancel")
def cancel_job(job_id: str) -> BaseResponse:
    """End a job that has not ended."""
    services().store.cancel(found_job(job_id).id)
    return redirect(url_for("pages.job_page", job_id=job_id), HTTPStatus.SEE_OTHER)


@pages.post("/jobs/<job:job_id>/delete")
def delete_job(job_id: str) -> BaseResponse:
    """Remove the data of a job; one that has not ended is canceled first. One that is gone already is no error."""
    store = services().store
    if store.get(job_id) is not None:
        store.cancel(job_id)
        store.remove(job_id)
    return redirect(url_for("pages.jobs_page"), HTTPStatus.SEE_OTHER)
