"""The pages of the history: search among ended jobs and single predictions, and charts of a model by week."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, g, make_response, render_template, request, url_for

from database import history as entries
from database.history import HistoryFilter, HistoryPage, Place
from jobs.state import JobState
from web.api.openapi import parse
from web.auth.csrf import check_form
from web.auth.identity import current_identity
from web.compression import compress
from web.history.deletion import Kind
from web.history.documents import job_details, scored_job
from web.history.queries import HistoryQuery, RecordQuery, encode_cursor
from web.ids import unknown_job, unknown_prediction
from web.jobs.summary import cards_of
from web.pages.formatting import format_significant
from web.pages.history_deletion import ask_deletion, delete_entries
from web.pages.model_history import charts
from web.pages.posted_form import read_form
from web.services import services

history_pages = Blueprint("history_pages", __name__)

_SHOWN_VALUES = 4


@history_pages.after_request
def _require_revalidation(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


history_pages.after_request(compress.after_request)


@history_pages.before_request
def _read_form() -> None:
    if request.method == "POST":
        g.form = read_form(request, services().limits.records)
        check_form(g.form)


@history_pages.get("/history")
def jobs() -> Response:
    """Show ended jobs, and the charts of a model."""
    query = parse(HistoryQuery, request.args)
    return _page("jobs", query, query.to_filter(), entries.list_jobs)


@history_pages.get("/history/predictions")
def predictions() -> Response:
    """Show single predictions; with ``record``, those of one record."""
    query = parse(RecordQuery, request.args)
    return _page("predictions", query, query.to_filter(), entries.list_predictions)


@history_pages.get("/history/deletion")
def jobs_deletion() -> Response:
    """Ask whether the jobs that match are to be deleted."""
    return ask_deletion(Kind.JOBS)


@history_pages.post("/history/deletion")
def delete_jobs() -> Response:
    """Delete the jobs that match."""
    return delete_entries(Kind.JOBS)


@history_pages.get("/history/predictions/deletion")
def predictions_deletion() -> Response:
    """Ask whether the predictions that match are to be deleted."""
    return ask_deletion(Kind.PREDICTIONS)


@history_pages.post("/history/predictions/deletion")
def delete_predictions() -> Response:
    """Delete the predictions that match."""
    return delete_entries(Kind.PREDICTIONS)


@history_pages.get("/history/jobs/<job:job_id>")
def job(job_id: str) -> Response:
    """Show a job after its results have expired."""
    with services().database.reading() as connection:
        entry = entries.find_job(connection, job_id)
    if entry is None or not current_identity().sees_entry(entry):
        raise unknown_job(job_id)
    details = job_details(entry, cards_of(services().catalog, scored_job(entry)))
    is_kept = services().store.get(job_id) is not None
    return make_response(render_template("history_job.html", entry=entry, job=details, is_kept=is_kept))


@history_pages.get("/history/predictions/<prediction:prediction_id>")
def prediction(prediction_id: str) -> Response:
    """Show what was asked and answered."""
    with services().database.reading() as connection:
        entry = entries.find_prediction(connection, prediction_id)
    if entry is None or not current_identity().sees_entry(entry):
        raise unknown_prediction(prediction_id)
    return make_response(render_template("history_prediction.html", entry=entry, shown_value=shown_value))


def _page(
    kind: str,
    query: HistoryQuery,
    wanted: HistoryFilter,
    list_entries: Callable[[Any, HistoryFilter, int, Place | None], HistoryPage],
) -> Response:
    current = services()
    with current.database.reading() as connection:
        page = list_entries(connection, wanted, query.limit, query.place)
        models = sorted({*entries.known_models(connection), *current.catalog.names()})
        model = query.model or current.catalog.default
        is_first = query.cursor is None and kind == "jobs"
        plots = charts(connection, model, query.version) if is_first and model else []
    given = query.model_dump(by_alias=True, exclude_defaults=True, exclude={"cursor", "escape", "format"})
    exported = {name: value for name, value in given.items() if name not in ("limit", "record")}
    return make_response(
        render_template(
            "history.html",
            kind=kind,
            query=query,
            given=given,
            owners=_owners(page),
            page=page,
            next_cursor=encode_cursor(page.next),
            models=models,
            states=[state.value for state in JobState if state.ended],
            charts=plots,
            charted=model,
            shown_values=_shown_values,
            export=url_for(f"history.list_history_{kind}", **exported, format="csv", escape="formulas"),
        )
    )


def _owners(page: HistoryPage) -> dict[str, str]:
    """Return the e-mail addresses of the users whose entries are on a page, by their ids."""
    auth = services().auth
    return auth.users.emails({entry["owner"] for entry in page.entries if entry["owner"]}) if auth.on else {}


def _shown_values(record: Mapping[str, Any] | None) -> str:
    """Return the first values of a record in one line."""
    texts = [f"{name} {shown_value(value)}" for name, value in (record or {}).items() if value is not None]
    return ", ".join(texts[:_SHOWN_VALUES]) + (", …" if len(texts) > _SHOWN_VALUES else "")


def shown_value(value: Any) -> str:
    """Return a value of a record; numbers are kept as floats, though they may be whole."""
    if value is None:
        return "missing"
    return format_significant(value) if isinstance(value, float) else str(value)
