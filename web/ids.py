"""Ids in addresses, checked in one place before any route acts: only what looks like one becomes part of a key."""

import re
from http import HTTPStatus

from werkzeug.routing import BaseConverter, Map

from web.problems import Problem, Unroutable

_MAX_SHOWN = 64


class JobId(BaseConverter):
    """The id of a job: 128 bits in hexadecimal digits."""

    part_isolating = True
    _form = re.compile("[0-9a-f]{32}")

    def to_python(self, value: str) -> str:
        """The id. Raises Unroutable."""
        if self._form.fullmatch(value) is None:
            raise Unroutable(self.unknown(value))
        return value

    @staticmethod
    def unknown(value: str) -> Problem:
        """There is no job with this id, or no longer."""
        detail = f"there is no job {value[:_MAX_SHOWN]!r}: unknown, expired or deleted"
        return Problem(HTTPStatus.NOT_FOUND, "unknown_job", detail)


class PredictionId(JobId):
    """The id of a prediction, or of one of several that were asked for together: their id and its place."""

    _form = re.compile(r"[0-9a-f]{32}(?:\.[0-9]{1,4})?")

    @staticmethod
    def unknown(value: str) -> Problem:
        """There is no prediction with this id, or no longer."""
        detail = f"there is no prediction {value[:_MAX_SHOWN]!r}: unknown or expired"
        return Problem(HTTPStatus.NOT_FOUND, "unknown_prediction", detail)


def register(routes: Map) -> None:
    """Have routes take ids as ``<job:job_id>`` and ``<prediction:prediction_id>``."""
    routes.converters |= {"job": JobId, "prediction": PredictionId}


unknown_job = JobId.unknown
unknown_prediction = PredictionId.unknown
