"""Errors of the model package; messages say what was wrong, where, and what would be right."""

import re
from typing import ClassVar

_MAX_REASON = 200
# Files and addresses of the machine that scores, which are not the client's business and may hold secrets.
_PLACES = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+|(?<![\w.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:'\",]+){2,}")


class ModelError(Exception):
    """Base of every error that the model package raises on purpose.

    ``loggable``: the first line of the text never holds a record's value, so that it may be logged.
    """

    loggable: ClassVar[bool] = False


class UnknownModel(ModelError):
    """Raised when the catalog has no model of that name, or no such version of it."""

    loggable = True


class BrokenModel(ModelError):
    """Raised when a model's files are missing, altered, unsafe, or made by another scikit-learn version."""

    loggable = True


class ScoringFailed(ModelError):
    """Raised when a pipeline raises, or returns NaN, infinity or another number of rows than it was given.

    The text may quote what the pipeline said about a value. ``reason`` says in one short line, for the owner of the
    record, what went wrong.
    """

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason or text


class ExplanationFailed(ModelError):
    """Raised when a prediction cannot be explained; the prediction itself may be fine."""


class RefusedModel(ModelError):
    """Raised when a pipeline cannot become a model; nothing of it is kept.

    The text may quote values of the training data.
    """


def failure_reason(error: BaseException) -> str:
    """Return why a record could not be scored: an exception's type and the first line of its text.

    It is cut to 200 characters, and paths and addresses in it are left out.
    """
    if isinstance(error, ScoringFailed):
        return error.reason
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    text = "".join(character if character.isprintable() else " " for character in _PLACES.sub("…", line))
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return reason if len(reason) <= _MAX_REASON else f"{reason[: _MAX_REASON - 1]}…"
