"""What schemathesis is told of the API that no description can say.

Text that is CSV for a model; names of models that there are; that a file has the delimiter and the format
that are stated; that not every format of results can be followed; that a body of ``Content-Encoding: gzip`` is
compressed; that corrections fit the rows of one job alone; that an idempotency key belongs to one upload; that DELETE
cancels a job that has not ended, so that who wants it gone waits for its end; that the history is deleted by a filter,
and asked for from a date or time to another; that outcomes are CSV, too.
"""

import gzip
import uuid
from datetime import datetime
from typing import Any

import httpx
import schemathesis

from model.census.income_features import FEATURES
from tests.fuzz.files import csv_files

FILES = csv_files(FEATURES).map(lambda file: file.data)
for kind in ("application/octet-stream", "text/csv"):
    schemathesis.openapi.media_type(kind, FILES)

KNOWN = {"model": ("income", "income-full"), "version": (), "delimiter": ()}
FOLLOWED = ("csv", "jsonl")
RECORD = "39,State-gov,Bachelors,Never-married,White,Male,40"
# In the place of bytes that are no CSV: that they are refused, other tests know.
FILE = f"{','.join(feature.name for feature in FEATURES)}\n{RECORD}\n"

NO_JOB = 32 * "0"
OUTCOMES = b"prediction,value\n" + NO_JOB.encode() + b",<=50K\n"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    del context
    if case.meta is None or case.meta.generation.mode.is_positive:
        make_acceptable(case)
    if "/history/" in case.operation.path and case.method.upper() == "DELETE":
        case.query = {"model": "no-model", **(case.query or {})}
    if case.operation.path.endswith("/corrections"):
        case.path_parameters["job_id"] = NO_JOB
    if case.headers and case.headers.get("Idempotency-Key"):
        case.headers["Idempotency-Key"] = f"{uuid.uuid4()}"
    if case.method.upper() == "DELETE" and case.path_parameters:
        address = httpx.URL(kwargs.get("base_url") or case.operation.base_url).join(case.formatted_path.lstrip("/"))
        httpx.get(address, headers={"Prefer": "wait=30"}, timeout=60)


def make_acceptable(case: Any) -> None:
    if case.operation.path.endswith("/results"):
        if case.query and case.query.get("format") not in (None, *FOLLOWED):
            case.query.pop("follow", None)
        return
    if case.operation.path.endswith("/outcomes") and case.body is not None:
        case.body = OUTCOMES
    if "/history/" in case.operation.path:
        make_history_acceptable(case)
    for given in (case.query, case.body):
        if isinstance(given, dict) and given.get("format") != "csv":
            given.pop("format", None)
        for name, known in KNOWN.items() if isinstance(given, dict) else ():
            if name in given and given[name] not in known:
                del given[name]
    if isinstance(case.body, dict) and "file" in case.body and "age" not in str(case.body["file"]):
        case.body["file"] = FILE
    if case.headers and case.headers.get("Content-Encoding") == "gzip":
        if isinstance(case.body, bytes):
            case.body = gzip.compress(case.body)
        else:
            del case.headers["Content-Encoding"]


def make_history_acceptable(case: Any) -> None:
    query = case.query or {}
    for name in ("from", "to"):
        if name in query and not is_time(query[name]):
            query[name] = "2026-01-31"


def is_time(text: Any) -> bool:
    try:
        datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return False
    return True
