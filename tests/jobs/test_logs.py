"""Logging: one line per event, and of libraries' messages no more than is known to be harmless."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import ops.backup
import web
from jobs.errors import JobsError
from model.errors import ModelError
from tests.stack import ROOT

# What defines errors of ours.
_DEFINING = (ops.backup, web)

SECRET = "Kryptonian"
# Everything that brings a text from elsewhere into a process' log.
PROGRAM = """
import logging, sys, threading, warnings
import structlog
from redis.exceptions import ConnectionError
from jobs.logs import configure_logging
from jobs.settings import get_settings

configure_logging(get_settings(), "bulk")
log = structlog.stdlib.get_logger("ours")
secret = sys.argv[1]

def fail():
    raise ValueError(f"bad value {secret}") from KeyError(secret)

try:
    fail()
except ValueError as error:
    log.warning("ours failed", job_id="1", exc_info=error)
    logging.getLogger("theirs").exception("it failed: %s", error)
    trace = {"id": "7", "exc": repr(error), "args": secret}
    logging.getLogger("celery.app.trace").error("%(id)s raised %(exc)s", trace, exc_info=True)
from model.errors import ScoringFailed, UnknownModel
for kind in (UnknownModel, ScoringFailed):
    log.error("no model", exc_info=kind("there is no model 'x'\\n" + secret))
log.error("no store", exc_info=ConnectionError("connection refused"))
logging.getLogger("theirs").error("unknown message\\nits body: " + secret)
logging.getLogger("gunicorn.error").error("Error handling request /probability?age=" + secret)
logging.getLogger("gunicorn.error").warning("Invalid request from ip=::1: " + secret)
logging.getLogger("celery.redirected").warning(secret)
logging.getLogger("celery.app.trace").info("every task")
warnings.warn("unknown category " + secret)
thread = threading.Thread(target=fail, name="lease")
thread.start()
thread.join()
fail()
"""


def run(**environment: str) -> str:
    arguments = [sys.executable, "-c", PROGRAM, SECRET]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    text = run(SCORELINE_LOG_FORMAT="json")
    assert SECRET not in text
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_has_time_level_event_and_logger(lines: list[dict[str, Any]]) -> None:
    assert list(lines[0])[:7] == ["time", "level", "event", "logger", "role", "host", "job_id"]
    assert (lines[0]["level"], lines[0]["logger"], lines[0]["role"]) == ("warning", "ours", "bulk")
    assert [line["event"] for line in lines] == [
        "ours failed",
        "it failed: ValueError",
        "task failed: 7",
        "no model",
        "no model",
        "no store",
        "unknown message",
        "Error handling request /probability",
        "Invalid request from ip=::1",
        "output of a library was dropped",
        "warning of a library: UserWarning at <string>:31",
        "uncaught exception",
        "uncaught exception",
    ]


def test_exceptions_are_logged_by_type_and_location(lines: list[dict[str, Any]]) -> None:
    for line in (lines[0], lines[1], lines[2], lines[-1]):
        assert (line["error"], line["cause"]) == ("ValueError", "KeyError")
        assert line["raised_at"][-1].endswith(" fail")
    assert lines[-2]["thread"] == "lease"


def test_messages_of_connection_errors_are_logged(lines: list[dict[str, Any]]) -> None:
    assert lines[5]["error"] == "ConnectionError: connection refused"


def test_the_first_line_of_loggable_exceptions_is_logged(lines: list[dict[str, Any]]) -> None:
    assert [line["error"] for line in lines[3:5]] == ["UnknownModel: there is no model 'x'", "ScoringFailed"]


def test_every_error_class_declares_whether_its_message_may_be_logged() -> None:
    """Whoever adds a class must decide."""
    found = {kind.__name__: kind.loggable for base in (JobsError, ModelError) for kind in heirs(base)}
    assert {name for name, loggable in found.items() if not loggable} == {
        "ScoringFailed", "ExplanationFailed", "RefusedModel", "UploadRefused",
    }  # fmt: skip
    assert {name for name, loggable in found.items() if loggable} == {
        "UnknownModel", "BrokenModel", "StoreFull", "UnsuitableStore", "TooMany", "TooManyJobs", "Overtaken",
        "TooManyPredictions", "UploadEnded", "UploadForgotten", "StillUploading", "CannotStart", "CannotBackUp", "Busy",
        "ConversionLost", "NotDurable", "RateLimited", "StorageFull", "StorageUnavailable", "UnsuitableStorage",
        "DamagedBlob", "SharingRefused", "NotShared", "UnusableCertificate", "UnknownMessage",
    }  # fmt: skip


def heirs(base: type[Any]) -> Iterator[type[Any]]:
    for kind in base.__subclasses__():
        yield kind
        yield from heirs(kind)


def test_the_console_format_has_the_same_content_without_braces() -> None:
    text = run()
    assert SECRET not in text
    assert "ours failed" in text
    assert "{" not in text.partition("raised_at")[0]


def test_events_below_the_level_are_dropped() -> None:
    assert "ours failed" not in run(SCORELINE_LOG_LEVEL="ERROR")
