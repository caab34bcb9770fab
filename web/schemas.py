"""Parts that several documents of the API share, as pydantic models."""

from pydantic import BaseModel, ConfigDict


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
