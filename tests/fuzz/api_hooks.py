"""What schemathesis is told of the API that no description can say: what a CSV file is, and that keys are used once."""

import uuid
from typing import Any

import schemathesis

from model.income_features import FEATURES
from tests.fuzz.files import csv_files

schemathesis.openapi.media_type("text/csv", csv_files(FEATURES).map(lambda file: file.data))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """A key that was used for another upload would be refused, as it has to be."""
    del context, kwargs
    if case.headers and case.headers.get("Idempotency-Key"):
        case.headers["Idempotency-Key"] = f"{uuid.uuid4()}"
