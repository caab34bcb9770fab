"""Errors of the model package; messages say what was wrong, where, and what would be right."""


class ModelError(Exception):
    """Base of every error the model package raises on purpose."""


class UnknownModel(ModelError):
    """Raised when the catalog holds no model of that name, or no such version of it."""


class BrokenModel(ModelError):
    """Raised when a model's files are missing, altered, unsafe, or made by another scikit-learn version."""


class ScoringFailed(ModelError):
    """Raised when a pipeline raises, or answers with NaN or with another number of rows than it was given."""


class ExplanationFailed(ModelError):
    """Raised when a prediction could not be explained; the prediction itself may be fine."""


class RefusedModel(ModelError):
    """Raised when a pipeline that somebody brings cannot become a model; nothing of it is kept."""
