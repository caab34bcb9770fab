"""What schemathesis is told of the API that no description can say.

Text that is CSV for a model; that an idempotency key belongs to one upload; that DELETE cancels a job that has not
ended, so that who wants it gone waits for its end.
"""

import uuid
from typing import Any

import httpx
import schemathesis

from model.income_features import FEATURES
from tests.fuzz.files import csv_files

schemathesis.openapi.media_type("text/csv", csv_files(FEATURES).map(lambda file: file.data))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    del context
    if case.headers and case.headers.get("Idempotency-Key"):
        case.headers["Idempotency-Key"] = f"{uuid.uuid4()}"
    if case.method.upper() == "DELETE" and case.path_parameters:
        address = httpx.URL(kwargs.get("base_url") or case.operation.base_url).join(case.formatted_path.lstrip("/"))
        httpx.get(address, headers={"Prefer": "wait=30"}, timeout=60)
