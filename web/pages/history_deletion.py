"""Deleting history by filter, as for a person who wants to be forgotten: asked for once more, then done."""

from flask import Response, g, make_response, render_template, request

from web.api.openapi import parse
from web.history.deletion import Kind, count_matching, delete_matching, require_filter
from web.history.queries import RecordQuery

_MAX_COUNTED = 1000


def ask_deletion(kind: Kind) -> Response:
    """Show what would be deleted."""
    query = parse(RecordQuery, request.args)
    require_filter(query)
    count, is_more = count_matching(kind, query, _MAX_COUNTED)
    return _page(kind, query, count=count, is_more=is_more)


def delete_entries(kind: Kind) -> Response:
    """Delete it, and say how much it was."""
    query = parse(RecordQuery, g.form)
    return _page(kind, query, deleted=delete_matching(kind, query))


def _page(kind: Kind, query: RecordQuery, **shown: int) -> Response:
    return make_response(render_template("delete_history.html", kind=kind, given=query.given, **shown))
