"""Errors of the model package; messages say what was wrong, where, and what would be right."""

from typing import ClassVar


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
    """Raised when a pipeline raises, or returns NaN or another number of rows than it was given.

    The text may quote what the pipeline said about a value.
    """


class ExplanationFailed(ModelError):
    """Raised when a prediction cannot be explained; the prediction itself may be fine."""


class RefusedModel(ModelError):
    """Raised when a pipeline cannot become a model; nothing of it is kept.

    The text may quote values of the training data.
    """
