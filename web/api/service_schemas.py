"""What is said of the service itself, as pydantic models: the API's description is made from them."""

from typing import Literal

from web.api.schemas import Described


class ErrorDocument(Described):
    """A code that problems have: with which statuses (none: only within `errors`), and what to do about it."""

    code: str
    title: str
    type: str
    statuses: list[int]
    meaning: str
    remedy: str


class ErrorList(Described):
    """All codes that problems have."""

    errors: list[ErrorDocument]


class VersionDocument(Described):
    """A version of a model; `broken` says why it cannot be used, if it cannot."""

    version: str
    trained_at: str | None
    current: bool
    broken: str | None
    links: dict[str, str]


class VersionList(Described):
    """All versions of a model, the newest first."""

    name: str
    versions: list[VersionDocument]


class Health(Described):
    """This process lives."""

    status: Literal["ok"]


class Readiness(Described):
    """Whether all parts answer, and which do not; `broken`: why the default model cannot be used."""

    ready: bool
    missing: list[str]
    broken: str | None = None
