"""The list of jobs: search, sort, and what may be done with several at once."""

from collections import Counter
from datetime import date
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from flask import Response, g, make_response, redirect, render_template, request, url_for
from pydantic import Field
from werkzeug.wrappers import Response as BaseResponse

from jobs.state import Job, JobState
from web.api.openapi import parse
from web.api.schemas import JobsQuery
from web.auth.guard import forbidden
from web.auth.identity import current_identity
from web.auth.roles import Scope
from web.ids import is_job_id
from web.jobs import archive, downloads
from web.jobs.documents import found_job, found_own_job
from web.jobs.listing import ListedJob, decode_cursor, encode_cursor, visible_lists
from web.jobs.search import MAX_SORTED, JobFilter, Sort, find_jobs, sorted_jobs
from web.problems import Problem
from web.server.limits import LimitedResponseBody
from web.services import services

_MAX_SELECTED = 200


class ListQuery(JobsQuery):
    """Search, order and page of the list."""

    q: str = Field("", max_length=255)
    model: str = Field("", max_length=255)
    owner: str = Field("", max_length=320)
    start: date | None = None
    end: date | None = None
    sort: Sort = Sort.NEWEST
    page: int = Field(1, ge=1, le=MAX_SORTED)

    @property
    def wanted(self) -> JobFilter:
        """The filter."""
        owner = self.owner.strip()
        return JobFilter(self.state, self.q.strip(), self.model, owner, self.start, self.end)

    def address(self, **changes: Any) -> str:
        """Return the address of the list with other parameters; its first page unless they say otherwise."""
        given = self.model_dump(mode="json", exclude_defaults=True, exclude={"cursor", "page"}) | changes
        return url_for("pages.jobs_page", **{name: value for name, value in given.items() if value not in (None, "")})

    @property
    def parameters(self) -> str:
        """The parameters of this address."""
        return self.address().partition("?")[2]


def jobs_page() -> Response:
    """List the jobs that whoever asks may see: newest first, or as asked for."""
    query = parse(ListQuery, request.args.to_dict())
    listed, older, cut = _listed(query)
    names = Counter(item.job.filename for item in listed)
    page = render_template(
        "jobs.html",
        listed=listed,
        older=older,
        cut=cut,
        query=query,
        searched=query.wanted != JobFilter(state=query.state),
        states=list(JobState),
        sorts=Sort,
        models=services().catalog.names(),
        repeated={name for name, count in names.items() if count > 1},
        unfinished=any(not item.job.state.ended for item in listed),
    )
    return make_response(page)


def _listed(query: ListQuery) -> tuple[list[ListedJob], str | None, bool]:
    """Return the jobs of a page, the address of the next one, and whether not all jobs were looked at for sorting."""
    store, lists = services().store, visible_lists(current_identity())
    if query.sort is Sort.NEWEST:
        found = find_jobs(store, lists, query.wanted, query.limit, decode_cursor(query.cursor))
        jobs, older = found.jobs, found.rest and query.address(cursor=encode_cursor(*found.rest))
        cut = False
    else:
        found = sorted_jobs(store, lists, query.wanted, query.sort)
        jobs = found.jobs[(query.page - 1) * query.limit : query.page * query.limit]
        more = len(found.jobs) > query.page * query.limit
        older, cut = query.address(page=query.page + 1) if more else None, found.rest is not None
    return [ListedJob(job, store.queue_position(job)) for job in jobs], older, cut


def after_selection() -> BaseResponse:
    """Lead to the list, if the address of an action is opened or reloaded."""
    return redirect(url_for("pages.jobs_page"), HTTPStatus.SEE_OTHER)


def selected_jobs() -> BaseResponse:
    """Download the results of several jobs, or delete them after another question."""
    store = services().store
    ids = [job_id for job_id in dict.fromkeys(g.form.getlist("job")) if is_job_id(job_id)][:_MAX_SELECTED]
    # Those that are gone meanwhile do not stop what is done with the others.
    ids = [job_id for job_id in ids if store.get(job_id) is not None]
    action, search = g.form.get("action"), _search_of(g.form.get("search") or "")
    if action in ("delete", "confirm") and not current_identity().may(Scope.SCORE):
        raise forbidden(Scope.SCORE)
    if ids and action == "download":
        return _download([found_job(job_id) for job_id in ids])
    if ids and action == "delete":
        jobs = [found_own_job(job_id) for job_id in ids]
        return make_response(render_template("delete_jobs.html", chosen=jobs, search=search))
    if ids and action == "confirm":
        _delete([found_own_job(job_id) for job_id in ids])
    return redirect(search.address(), HTTPStatus.SEE_OTHER)


def _search_of(parameters: str) -> ListQuery:
    """Return the search that a selection was made in, by the parameters of its page; else one for all jobs."""
    try:
        return parse(ListQuery, dict(parse_qsl(parameters)))
    except Problem:
        return ListQuery.model_validate({})


def _download(jobs: list[Job]) -> Response:
    jobs = [job for job in jobs if job.state is JobState.SUCCEEDED]
    if not jobs:
        detail = "none of the selected jobs has results: select jobs that have succeeded"
        raise Problem(HTTPStatus.CONFLICT, "not_ready", detail)
    store, limits = services().store, services().limits
    files = ((job, downloads.finished_results(store, downloads.CsvForm(job, escapes_formulas=True))) for job in jobs)
    blocks = archive.archive(files, archive.file_names(jobs, "scored"))
    body = LimitedResponseBody(limits.downloads, blocks, request.remote_addr or "")
    response = Response(body, mimetype="application/zip", direct_passthrough=True)
    response.headers["Content-Disposition"] = 'attachment; filename="results.zip"'
    for job in jobs:
        services().auth.note_download(job.id)
    return response


def _delete(jobs: list[Job]) -> None:
    store = services().store
    for job in jobs:
        store.cancel(job.id)
        store.remove(job.id)
        services().auth.note_deletion(job.id)
