"""Entries of the history as documents of the API."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import url_for

from jobs.state import timestamp
from model.card import Card
from web.history.schemas import HistoryJob, HistoryJobDetails, HistoryPrediction
from web.jobs.documents import notes
from web.jobs.schemas import Rows, SummaryDocument
from web.jobs.summary import ScoredJob, summary_document
from web.schemas import ModelVersion

Entry = Mapping[str, Any]
Emails = Callable[[Collection[str]], Mapping[str, str]]
"""Returns the e-mail addresses of users by their ids."""


def with_owners(entries: Sequence[Entry], emails: Emails) -> list[Entry]:
    """Return the entries with their owners' e-mail addresses; an owner who is not known keeps the id."""
    names = emails({entry["owner"] for entry in entries if entry["owner"]})
    return [{**entry, "owner": names.get(entry["owner"], entry["owner"])} for entry in entries]


def job_document(entry: Entry) -> HistoryJob:
    """Return an ended job."""
    return HistoryJob(**_job_members(entry))


def job_details(entry: Entry, cards: list[Card | None]) -> HistoryJobDetails:
    """Return an ended job with its summary, made with the cards of its models."""
    counted = {"rows": _rows(entry), "notes": notes(entry["repaired"])}
    summary = counted | summary_document(entry["counts"] or {}, scored_job(entry), cards)
    return HistoryJobDetails(
        **_job_members(entry), error=entry["error"], summary=SummaryDocument.model_validate(summary)
    )


def scored_job(entry: Entry) -> ScoredJob:
    """Return what a summary needs of the job."""
    second = (entry["compared_model"], entry["compared_version"])
    return ScoredJob([(entry["model"], entry["version"]), *([second] if second[0] else [])])


def _job_members(entry: Entry) -> dict[str, Any]:
    versions = [ModelVersion(name=name, version=version) for name, version in scored_job(entry).models]
    return {
        "id": entry["id"],
        "state": entry["state"],
        "owner": entry["owner"],
        "visibility": entry["visibility"],
        "model": versions[0],
        **({"models": versions} if len(versions) > 1 else {}),
        "filename": entry["name"],
        "bytes": entry["bytes"],
        "threshold": entry["threshold"],
        "rows": _rows(entry),
        "created_at": time_text(entry["created"]),
        "started_at": time_text(entry["started"]),
        "finished_at": time_text(entry["finished"]),
        "links": {"self": url_for("history.get_history_job", job_id=entry["id"])},
    }


def _rows(entry: Entry) -> Rows:
    return Rows(total=entry["rows"], **{name: entry[name] for name in ("scored", "rejected", "warned", "repaired")})


def prediction_document(entry: Entry) -> HistoryPrediction:
    """Return a single prediction."""
    return HistoryPrediction(
        id=entry["id"],
        state=entry["state"],
        owner=entry["owner"],
        model=ModelVersion(name=entry["model"], version=entry["version"]),
        prediction=entry["prediction"],
        probability=entry["probability"],
        threshold=entry["threshold"],
        created_at=str(time_text(entry["time"])),
        record=entry["record"],
        answer=entry["answer"],
        links={"self": url_for("history.get_history_prediction", prediction_id=entry["id"])},
    )


def time_text(time: datetime | None) -> str | None:
    """Return a time as the API writes it."""
    return None if time is None else timestamp(time.timestamp())
