"""The audit log, for administrators: who did what to what, from where."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from io import StringIO
from typing import Any

import orjson
from flask import request, stream_with_context
from pydantic import Field
from werkzeug.wrappers import Response

from database.audit import AuditFilter
from web.api.openapi import parse
from web.jobs.formula_escaping import formula_escaper
from web.pages.accounts.blueprint import accounts, auth, page
from web.schemas import Described

ACTIONS = (
    "signed_in",
    "sign_in_refused",
    "signed_out",
    "signed_out_everywhere",
    "address_used",
    "password_changed",
    "password_reset_issued",
    "refused",
    "token_created",
    "token_revoked",
    "user_added",
    "user_invited",
    "invitation_withdrawn",
    "role_changed",
    "user_disabled",
    "user_enabled",
    "downloaded",
    "canceled",
    "deleted",
    "model_added",
    "model_removed",
    "model_made_default",
)
_COLUMNS = ("time", "actor", "action", "object", "address", "details")
_PAGE = 100
_MAX_ID = 2**63 - 1


class AuditQuery(Described):
    """Which entries: ``start`` and ``end`` are days in UTC, both included."""

    actor: str = ""
    action: str = ""
    object: str = ""
    start: date | None = None
    end: date | None = None
    before: int | None = Field(None, ge=1, le=_MAX_ID)

    @property
    def wanted(self) -> AuditFilter:
        """The filter of the database."""
        # Of the last day that a date can be, nothing comes after.
        end = None if self.end in (None, date.max) else _midnight(self.end + timedelta(days=1))
        return AuditFilter(self.actor.strip(), self.action, self.object.strip(), _midnight(self.start), end)


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


@accounts.get("/audit")
def audit_page() -> Response:
    """Show the log, newest first."""
    query = parse(AuditQuery, request.args.to_dict())
    events = auth().audit.page(query.wanted, _PAGE + 1, query.before)
    chosen = {name: value for name, value in request.args.items() if value and name != "before"}
    return page("audit", query=query, events=events[:_PAGE], more=len(events) > _PAGE, actions=ACTIONS, chosen=chosen)


@accounts.get("/audit.csv")
def export_audit() -> Response:
    """Download the log as CSV."""
    query = parse(AuditQuery, request.args.to_dict())
    auth().note("downloaded", "audit log")
    response = Response(
        stream_with_context(_lines(auth().audit.export(query.wanted))),
        HTTPStatus.OK,
        content_type="text/csv; charset=utf-8",
    )
    response.headers["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return response


def _lines(events: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield CSV for spreadsheets, in which a path that begins like a formula is not one."""
    escape = formula_escaper(",")
    yield escape(_line(_COLUMNS))
    for event in events:
        texts = {**event, "time": event["time"].isoformat(), "details": orjson.dumps(event["details"]).decode()}
        yield escape(_line([str(texts[name]) for name in _COLUMNS]))


def _line(fields: Sequence[str]) -> bytes:
    line = StringIO()
    csv.writer(line).writerow(fields)
    return line.getvalue().encode()
