"""Parts that several documents of the API share, as pydantic models."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Described(BaseModel):
    """Base of the models in the OpenAPI description. Unknown members are ignored."""

    model_config = ConfigDict(extra="ignore")


class Fault(Described):
    """One fault of an upload or a record."""

    code: str
    column: str | None = None
    row: int | None = None
    value: str | None = None
    detail: str
    did_you_mean: str | None = None


class ProblemDocument(Described):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[Fault] = []


class ModelVersion(Described):
    """A version of a model."""

    name: str
    version: str


class CorrectionsRequest(Described):
    """Corrected records: in each, `_row` and the new values by column."""

    records: list[dict[str, Any]] = Field(min_length=1, examples=[[{"_row": 17, "age": 39}]])
