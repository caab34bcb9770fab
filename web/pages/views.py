"""The endpoints of the pages, which are rendered on the server and work without JavaScript."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from database.errors import DatabaseError
from database.outcomes import outcome_weeks
from database.record_hash import record_hash
from jobs.errors import JobsError, TooManyPredictions, UploadRefused
from jobs.state import timestamp
from model.card import Card
from model.errors import BrokenModel, ModelError, UnknownModel
from model.schema import Value
from web.api.models import found_card
from web.api.predictions import DEFAULT_WAIT_SECONDS, prediction_document, validated_record
from web.auth.csrf import check_form
from web.auth.identity import current_identity
from web.compression import compress
from web.ids import unknown_prediction
from web.jobs.exports import MAX_SHEET_ROWS
from web.pages import (
    charts,
    counterfactuals,
    error_texts,
    formatting,
    forms,
    job_actions,
    job_list,
    model_card,
    results,
    upload_options,
)
from web.pages.evaluation import evaluation
from web.pages.live_figures import LivePerformance, live_performance
from web.pages.model_history import drift_chart
from web.pages.posted_form import read_form
from web.prediction_client import make_request
from web.problems import Problem, problem_page, to_problem
from web.request_limits import MAX_CHECKED_BYTES, PREFLIGHT_BYTES
from web.server.limits import Busy
from web.services import services
from web.uploads.bodies import open_body
from web.uploads.options import parse_models
from web.uploads.parameters import UploadForm
from web.uploads.upload import refusals_logged

pages = Blueprint("pages", __name__)

_CHANGES_WAIT_SECONDS = 1.0
_MAX_LISTED_COLUMNS = 40


@pages.record_once
def _configure_templates(state: Any) -> None:
    environment = state.app.jinja_env
    environment.filters.update(formatting.FILTERS | error_texts.FILTERS, timestamp=timestamp)
    environment.globals.update(
        BAR_EXTENT=charts.BAR_EXTENT,
        DRIFT_AREA=charts.DRIFT,
        FAULT_TEXTS=error_texts.FAULT_TEXTS,
        FAULT_TEXTS_BY_FORMAT=error_texts.FAULT_TEXTS_BY_FORMAT,
        FILE_DECIMALS=upload_options.DECIMALS,
        FILE_DELIMITERS=upload_options.DELIMITERS,
        FILE_ENCODINGS=upload_options.ENCODINGS,
        MAX_CONTRIBUTIONS_AT_ONCE=results.MAX_CONTRIBUTIONS_AT_ONCE,
        MAX_LISTED_COLUMNS=_MAX_LISTED_COLUMNS,
        PROBLEM_TEXTS=error_texts.PROBLEM_TEXTS,
        ROW_SUBJECT=error_texts.ROW_SUBJECT,
        PREFLIGHT_BYTES=PREFLIGHT_BYTES,
        comparisons=upload_options.comparisons,
        MAX_CHECKED_BYTES=MAX_CHECKED_BYTES,
        MAX_SHEET_ROWS=MAX_SHEET_ROWS,
        WARNING_TEXTS=error_texts.WARNING_TEXTS,
        describe_problem_errors=error_texts.describe_problem_errors,
    )


@pages.before_request
def _read_form() -> None:
    """Read a form before any view acts on it, as ``g.form``; only an upload is read by its view, as a stream."""
    if request.method == "POST" and request.endpoint not in ("pages.create_job", "pages.correct_job"):
        g.form = read_form(request, services().limits.records)
        check_form(g.form)


@pages.after_request
def _require_revalidation(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


pages.after_request(compress.after_request)


@pages.get("/")
def home() -> Response:
    """Show the form and the upload of the default model."""
    return _model_page(services().catalog.usable_card(), **_threshold_in_query())


@pages.get("/models/<name>")
def model_page(name: str) -> Response:
    """Show the form and the upload of a model, and its card."""
    return _model_page(found_card(name), with_card=True, **_threshold_in_query())


@pages.get("/models/<name>/versions/<version>")
def version_page(name: str, version: str) -> Response:
    """Show the page of one version of a model."""
    return _model_page(_card_of_version(name, version), with_card=True, pinned=True, **_threshold_in_query())


def _threshold_in_query() -> dict[str, Any]:
    """Return the upload's threshold in the query; not for addresses with a record, which may have such a feature."""
    return {"threshold": request.args["threshold"]} if "threshold" in request.args else {}


@pages.route("/models/<name>/versions/<version>/prediction", methods=["GET", "POST"])
def version_prediction(name: str, version: str) -> BaseResponse:
    """Show the form of one version with its prediction."""
    card = _card_of_version(name, version)
    if request.method != "POST" and not request.args:
        return redirect(url_for("pages.version_page", name=name, version=version), HTTPStatus.SEE_OTHER)
    return _prediction_page(card, url_for("pages.version_prediction", name=name, version=version), {}, pinned=True)


def _card_of_version(name: str, version: str) -> Card:
    try:
        return services().catalog.usable_card(name, version)
    except UnknownModel as error:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown_model", str(error)) from error


@pages.route("/models/<name>/prediction", methods=["GET", "POST"])
def model_prediction(name: str) -> BaseResponse:
    """Show the form with its prediction; a record that is too long for an address comes in the body."""
    card = found_card(name)
    if request.method != "POST" and not request.args:
        return redirect(url_for("pages.model_page", name=name), HTTPStatus.SEE_OTHER)
    return _prediction_page(card, url_for("pages.model_prediction", name=name), {})


@pages.route("/probability", methods=["GET", "POST"])
def probability() -> Response:
    """Show the form of the income model with its prediction, under its classic address."""
    card = found_card(forms.CLASSIC_MODEL)
    return _prediction_page(card, url_for("pages.probability"), forms.CLASSIC_NAMES)


@pages.get("/predictions/<prediction:prediction_id>")
def prediction_page(prediction_id: str) -> Response:
    """Show a prediction that its request could not wait for."""
    stored = services().stored_predictions.get(prediction_id)
    if stored is None or not current_identity().owns(stored.owner):
        raise unknown_prediction(prediction_id)
    if stored.result and ((stored.result and "model" not in stored.result) or stored.result["several"]):
        raise unknown_prediction(prediction_id)
    if stored.result is None:
        return _pending_page(prediction_id, request.args)
    document = prediction_document(prediction_id, stored.result)
    card = services().catalog.card(stored.result["model"], stored.result["version"])
    fields = forms.fields(card, {}, results.texts(document) or request.args)
    return _model_page(card, fields=fields, outcome=results.outcome(card, document))


def _prediction_page(card: Card, action: str, names: Mapping[str, str], pinned: bool = False) -> Response:
    """Return the form with the prediction of the submitted record, or with its errors."""
    parsed = forms.parse_form(card, _parameters(), names)
    fields = forms.fields(card, names, parsed.typed, parsed.faults, parsed.warnings)
    method = forms.method(card, names)
    shown: dict[str, Any] = {"action": action, "method": method, "fields": fields, "pinned": pinned}
    if parsed.faults:
        return _model_page(card, HTTPStatus.UNPROCESSABLE_ENTITY, **shown)
    owner = current_identity().owner
    services().store.user_limits.reserve_rows(owner, 1)
    request_ = make_request(card, [validated_record(parsed.values, parsed.warnings)], None, owner=owner)
    prediction_id, result = services().predictions.ask(request_, DEFAULT_WAIT_SECONDS)
    if result is None:
        return _pending_page(prediction_id, parsed.typed)
    document = prediction_document(prediction_id, result)
    return _model_page(
        card,
        outcome=results.outcome(card, document),
        changes=_largest_changes(card, parsed.values, document),
        link=forms.link(action, fields),
        record_hash=record_hash(card.name, parsed.values),
        **shown,
    )


def _parameters() -> Mapping[str, str]:
    """Return the form's parameters, from the query or the body."""
    return g.form if request.method == "POST" else request.args


def _largest_changes(
    card: Card, record: Mapping[str, Value], prediction: Mapping[str, Any]
) -> list[counterfactuals.Change]:
    """Return the changes with the largest effect; none if the workers are too busy."""
    variants = counterfactuals.variants(card, record) if "probability" in prediction else []
    if not variants:
        return []
    request_ = make_request(card, [{"values": variant.record} for variant in variants], None, True, transient=True)
    try:
        prediction_id, result = services().predictions.ask(request_, _CHANGES_WAIT_SECONDS)
    except (TooManyPredictions, Busy):
        return []
    services().stored_predictions.forget([prediction_id])
    if result is None or "items" not in result:
        return []
    return counterfactuals.largest_changes(record, prediction, variants, result["items"])


def _pending_page(prediction_id: str, typed: Mapping[str, str]) -> Response:
    address = url_for("pages.prediction_page", prediction_id=prediction_id)
    with_values = f"{address}?{urlencode(typed)}"
    if typed and len(with_values) <= forms.MAX_ADDRESS_BYTES:
        address = with_values
    return make_response(render_template("pending.html", address=address), HTTPStatus.ACCEPTED)


def _model_page(card: Card, status: HTTPStatus = HTTPStatus.OK, **shown: Any) -> Response:
    """Return the page of a model; ``shown`` are further variables of the template, or replace its usual ones."""
    own_address = url_for("pages.model_prediction", name=card.name)
    if shown.get("pinned"):
        own_address = url_for("pages.version_prediction", name=card.name, version=card.version)
    if shown.get("with_card"):
        shown |= _card_section(card)
    variables = {
        "action": own_address,
        "method": forms.method(card, {}),
        "threshold": forms.field_text(card.threshold),
        "titles": {feature.name: feature.title for feature in card.features},
        **shown,
    }
    variables.setdefault("fields", forms.blank_fields(card, {}))
    variables.setdefault("typed_options", {})
    other_models = _other_models(card.name)
    return make_response(render_template("model.html", card=card, other_models=other_models, **variables), status)


def _card_section(card: Card) -> dict[str, Any]:
    """Return the variables of the section about the model."""
    return {
        "metrics": model_card.metrics(card),
        "evaluation": evaluation(card),
        "importance_metric": model_card.importance_metric(card),
        "versions": services().catalog.versions(card.name),
        "load_failures": services().load_failures.of_model(card.name),
        "live": _live_performance(card),
    }


def _live_performance(card: Card) -> LivePerformance | None:
    """Return how well the model predicted what happened; None if nothing is known, or the database is away."""
    try:
        with services().database.reading() as connection:
            weeks = outcome_weeks(connection, card.name)
            return live_performance(card, weeks, drift_chart(connection, card)) if weeks else None
    except DatabaseError:
        return None


def _other_models(name: str) -> list[str]:
    return [other for other in services().catalog.names() if other != name]


@pages.errorhandler(BrokenModel)
def _broken_page(error: BrokenModel) -> Response:
    """Show the page of a broken model with the reason; as it exists, the page is never "not found"."""
    problem, catalog = to_problem(error), services().catalog
    assert problem is not None
    model_of_endpoint = {"pages.home": catalog.default, "pages.probability": forms.CLASSIC_MODEL}
    name = (request.view_args or {}).get("name") or model_of_endpoint.get(str(request.endpoint))
    if name is None:
        return problem_page(problem)
    versions = catalog.versions(name)
    title = next((version.card.title for version in versions if version.card), name)
    page = render_template(
        "broken.html",
        problem=problem,
        name=name,
        title=title,
        versions=versions,
        load_failures=services().load_failures.of_model(name),
        other_models=_other_models(name),
    )
    return make_response(page, problem.status, problem.headers)


@pages.post("/jobs")
def create_job() -> BaseResponse:
    """Create a job of an uploaded file and redirect to its page."""
    form = UploadForm()
    try:
        with refusals_logged():
            body = open_body(request, services().settings.max_upload_bytes, services().limits.uploads)
            form = body.form
            job_id = job_actions.upload_of(body).receive_all()
    except (JobsError, ModelError) as error:
        return _refused_upload_page(error, form)
    return redirect(url_for("pages.job_page", job_id=job_id), HTTPStatus.SEE_OTHER)


def _refused_upload_page(error: Exception, form: UploadForm) -> Response:
    """Return the form with what is wrong with the file; re-raise an error that is no known problem."""
    problem = to_problem(error)
    if problem is None:
        raise error
    try:
        card, *_ = parse_models(form.model, services().catalog, form.version)
    except (ModelError, UploadRefused):
        card = services().catalog.usable_card()
    typed: dict[str, Any] = {} if form.threshold is None else {"threshold": form.threshold}
    typed["typed_options"] = upload_options.typed_options(form)
    response = _model_page(card, HTTPStatus(problem.status), refusal=problem, **typed)
    response.headers.extend(problem.headers)
    return response


pages.get("/jobs")(job_list.jobs_page)
pages.get("/jobs/selected")(job_list.after_selection)
pages.post("/jobs/selected")(job_list.selected_jobs)


pages.get("/jobs/<job:job_id>")(job_actions.job_page)
for _action in ("again", "cancel", "corrections", "delete"):
    pages.get(f"/jobs/<job:job_id>/{_action}")(job_actions.after_action)
pages.post("/jobs/<job:job_id>/again")(job_actions.score_again)
pages.post("/jobs/<job:job_id>/cancel")(job_actions.cancel_job)
pages.post("/jobs/<job:job_id>/corrections")(job_actions.correct_job)
pages.post("/jobs/<job:job_id>/delete")(job_actions.delete_job)
