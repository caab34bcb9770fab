"""Headers and parts of addresses, as pydantic models: the API's description is made from them."""

from typing import Literal

from pydantic import Field

from web.api.schemas import Described


class PreferHeader(Described):
    """How long to wait."""

    prefer: str | None = Field(
        None,
        alias="Prefer",
        description="`wait=N`: wait up to N seconds, at most 60, for a change; with `, until=ended`, for the end",
    )


class UploadHeader(Described):
    """How the body is packed."""

    content_encoding: Literal["identity", "gzip"] | None = Field(
        None, alias="Content-Encoding", description="`gzip`: the body is compressed"
    )


class JobUploadHeader(PreferHeader, UploadHeader):
    """How the body is packed, how long to wait, and what makes an upload one and the same."""

    idempotency_key: str | None = Field(
        None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="the same key and file again: the first job. Hard to guess, such as a UUID: keys are for everybody",
    )


class PredictionHeader(Described):
    """How long to wait."""

    prefer: str | None = Field(None, alias="Prefer", description="`wait=N` (default 10) or `respond-async`")


class JobHeader(PreferHeader):
    """Conditional request and long poll."""

    if_none_match: str | None = Field(None, alias="If-None-Match", description="ETag of the job as last seen")


class EventsHeader(Described):
    """Where to go on."""

    last_event_id: str | None = Field(None, alias="Last-Event-ID", description="id of the last event received")


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
