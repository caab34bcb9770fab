"""Documents about the service itself, as pydantic models: the OpenAPI description is made from them."""

from typing import Literal

from web.schemas import Described


class ErrorDocument(Described):
    """An error code: its HTTP statuses (none: it occurs only within ``errors``), its meaning and its remedy."""

    code: str
    title: str
    type: str
    statuses: list[int]
    meaning: str
    remedy: str


class ErrorList(Described):
    """All error codes."""

    errors: list[ErrorDocument]


class LoadFailureDocument(Described):
    """A host on which workers of a queue (``role``) cannot load a version, and the reason."""

    host: str
    role: str
    reason: str


class VersionDocument(Described):
    """A version of a model; ``broken`` is the reason if it cannot be used.

    ``cannot_be_loaded``: where workers cannot load it at the moment.
    """

    version: str
    trained_at: str | None
    current: bool
    broken: str | None
    cannot_be_loaded: list[LoadFailureDocument]
    links: dict[str, str]


class VersionList(Described):
    """All versions of a model, newest first."""

    name: str
    versions: list[VersionDocument]


class Health(Described):
    """This process is alive."""

    status: Literal["ok"]


class Readiness(Described):
    """Whether all parts of the service answer, and which do not; ``broken``: why the default model cannot be used.

    ``history``: why nothing is added to the history at the moment. Scoring goes on without it. ``models``: which
    versions of models cannot be loaded on which hosts, and why. Others score with them.
    """

    ready: bool
    missing: list[str]
    broken: str | None = None
    history: str | None = None
    models: list[str] | None = None
