"""Request headers and path parameters, as pydantic models: the OpenAPI description is made from them."""

from typing import Literal

from pydantic import Field

from web.request_limits import MAX_IDEMPOTENCY_KEY, MAX_WAIT_SECONDS
from web.schemas import Described


class PreferHeader(Described):
    """How long to wait."""

    prefer: str | None = Field(
        None,
        alias="Prefer",
        description=f"`wait=N`: wait up to N seconds, at most {MAX_WAIT_SECONDS:.0f}, for a change; "
        "with `, until=ended`, for the end",
    )


class UploadHeader(Described):
    """How the body is encoded."""

    content_encoding: Literal["identity", "gzip"] | None = Field(
        None, alias="Content-Encoding", description="`gzip`: the body is compressed"
    )


class JobUploadHeader(PreferHeader, UploadHeader):
    """How the body is encoded, how long to wait, and the idempotency key."""

    idempotency_key: str | None = Field(
        None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_IDEMPOTENCY_KEY,
        description="the same key and file again return the first job; use one that is hard to guess, such as a UUID",
    )


class PredictionHeader(Described):
    """How long to wait."""

    prefer: str | None = Field(None, alias="Prefer", description="`wait=N` (default 10) or `respond-async`")


class JobHeader(PreferHeader):
    """Conditional request and long poll."""

    if_none_match: str | None = Field(None, alias="If-None-Match", description="ETag of the job as last seen")


class EventsHeader(Described):
    """Where to resume."""

    last_event_id: str | None = Field(None, alias="Last-Event-ID", description="id of the last event received")


class RangeHeader(Described):
    """Which part of the file."""

    range: str | None = Field(
        None,
        alias="Range",
        description="of CSV as it is stored: one range of bytes, to go on with a download that broke off; "
        "anything else gets the whole file",
    )
    if_range: str | None = Field(
        None, alias="If-Range", description="ETag of the file that the part belongs to; of another, all is sent"
    )


class JobPath(Described):
    """A job."""

    job_id: str = Field(description="id of the job")


class PredictionPath(Described):
    """A prediction."""

    prediction_id: str = Field(description="id of the prediction")


class ModelPath(Described):
    """A model."""

    name: str = Field(description="name of the model")


class ErrorPath(Described):
    """A code."""

    code: str = Field(description="code of a problem, or of one of its `errors`")
