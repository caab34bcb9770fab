"""URL converters for ids: only what looks like an id reaches a view and becomes part of a Redis key."""

import re
from http import HTTPStatus

from werkzeug.routing import BaseConverter, Map

from web.problems import Problem, Unroutable

_MAX_ECHO = 64


class JobId(BaseConverter):
    """The id of a job: 128 bits in hexadecimal digits."""

    part_isolating = True
    _pattern = re.compile("[0-9a-f]{32}")

    def to_python(self, value: str) -> str:
        """Return the id; raise ``Unroutable`` if it is malformed."""
        if self._pattern.fullmatch(value) is None:
            raise Unroutable(self.unknown(value))
        return value

    @staticmethod
    def unknown(value: str) -> Problem:
        """Return the problem of an unknown, expired or deleted job."""
        detail = f"there is no job {value[:_MAX_ECHO]!r}: unknown, expired or deleted"
        return Problem(HTTPStatus.NOT_FOUND, "unknown_job", detail)


class PredictionId(JobId):
    """The id of a prediction, or of one of a batch: the id of the batch and an index."""

    _pattern = re.compile(r"[0-9a-f]{32}(?:\.[0-9]{1,4})?")

    @staticmethod
    def unknown(value: str) -> Problem:
        """Return the problem of an unknown or expired prediction."""
        detail = f"there is no prediction {value[:_MAX_ECHO]!r}: unknown or expired"
        return Problem(HTTPStatus.NOT_FOUND, "unknown_prediction", detail)


class TokenId(JobId):
    """The id of a token, which is not the token itself."""

    _pattern = re.compile("[0-9a-f]{16}")

    @staticmethod
    def unknown(value: str) -> Problem:
        """Return the problem of an unknown or revoked token."""
        detail = f"there is no token with the id {value[:_MAX_ECHO]!r}, or it was revoked"
        return Problem(HTTPStatus.NOT_FOUND, "unknown_token", detail)


class UserId(JobId):
    """The id of a user."""

    @staticmethod
    def unknown(value: str) -> Problem:
        """Return the problem of an unknown user."""
        return Problem(HTTPStatus.NOT_FOUND, "not_found", f"there is no user {value[:_MAX_ECHO]!r}")


def register(routes: Map) -> None:
    """Register the converters of ids, such as ``<job:job_id>``."""
    routes.converters |= {"job": JobId, "prediction": PredictionId, "token": TokenId, "user": UserId}


def is_job_id(value: str) -> bool:
    """Return whether a text looks like the id of a job."""
    return JobId._pattern.fullmatch(value) is not None


unknown_job = JobId.unknown
unknown_prediction = PredictionId.unknown
unknown_token = TokenId.unknown
unknown_user = UserId.unknown
