"""Entries of the history as the API returns them, as pydantic models: the OpenAPI description is made from them."""

from typing import Any

from pydantic import Field

from database.tables import Visibility
from web.jobs.schemas import Rows, SummaryDocument
from web.schemas import Described, ModelVersion


class HistoryJob(Described):
    """A job that has ended, also after its results have expired."""

    id: str
    state: str
    owner: str | None = Field(description="e-mail address of the user whose job it was")
    visibility: Visibility
    model: ModelVersion
    models: list[ModelVersion] | None = Field(None, description="both, where two were compared")
    filename: str
    bytes: int
    threshold: float | None
    rows: Rows
    created_at: str
    started_at: str | None
    finished_at: str
    links: dict[str, str]


class HistoryJobDetails(HistoryJob):
    """A job that has ended, with its summary."""

    error: str | None = Field(description="why it failed")
    summary: SummaryDocument


class HistoryJobs(Described):
    """A page of ended jobs, newest first. With a `next_cursor`, a search may go on though the page is not full."""

    jobs: list[HistoryJob]
    next_cursor: str | None


class HistoryPrediction(Described):
    """A single prediction; `record` and `answer` are null where they are not kept."""

    id: str
    state: str
    owner: str | None = Field(description="e-mail address of the user who asked")
    model: ModelVersion
    prediction: str | None
    probability: float | None
    threshold: float | None
    created_at: str
    record: dict[str, Any] | None
    answer: dict[str, Any] | None
    links: dict[str, str]


class HistoryPredictions(Described):
    """A page of predictions, newest first. With a `next_cursor`, a search may go on though the page is not full."""

    predictions: list[HistoryPrediction]
    next_cursor: str | None


class Deleted(Described):
    """The number of entries that were deleted."""

    deleted: int
