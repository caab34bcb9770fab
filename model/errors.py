"""Errors of the model package; messages say what was wrong, where, and what would be right."""

from typing import ClassVar


class ModelError(Exception):
    """Base of every error the model package raises on purpose.

    ``loggable`` says that the first line of its text never holds a record's value, so that it may go into the log.
    """

    loggable: ClassVar[bool] = False


class UnknownModel(ModelError):
    """Raised when the catalog holds no model of that name, or no such version of it."""

    loggable = True


class BrokenModel(ModelError):
    """Raised when a model's files are missing, altered, unsafe, or made by another scikit-learn version."""

    loggable = True


class ScoringFailed(ModelError):
    """Raised when a pipeline raises, or answers with NaN or with another number of rows than it was given.

    Its text may repeat what the pipeline said of a value.
    """


class ExplanationFailed(ModelError):
    """Raised when a prediction could not be explained; the prediction itself may be fine."""


class RefusedModel(ModelError):
    """Raised when a pipeline that somebody brings cannot become a model; nothing of it is kept.

    Its text may repeat values of the training data.
    """
