"""An error code of the API: its meaning, and the address that explains it."""

from dataclasses import dataclass

from web.prefix import path_prefix

PATH = "/api/v1/errors"


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A stable code of the API, with the statuses it comes with; none if it only appears within ``errors``."""

    code: str
    statuses: tuple[int, ...]
    meaning: str
    remedy: str

    @property
    def title(self) -> str:
        """The code as a heading."""
        return title_of(self.code)


def title_of(code: str) -> str:
    """Return the ``title`` of problems with this code."""
    return code.replace("_", " ").capitalize()


def type_of(code: str) -> str:
    """Return the ``type`` of problems with this code: the address of its description."""
    return f"{path_prefix()}{PATH}/{code}"
