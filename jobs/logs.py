"""Logging as every process does it: one line an event, times in UTC, never a record's value.

A value can hide in what others write: in the text of an exception, in a line of a library, in a query. So of an
exception the log has the type and the place, the text only of those that are known to be harmless (our own say so of
themselves), and of others' lines no more than that.
"""

import logging
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

import orjson
import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.typing import EventDict, Processor, WrappedLogger

from jobs.settings import Settings

_FIRST = ("time", "level", "event", "logger", "role", "job_id", "chunk", "attempt")
_FRAMES = 8
# What says how a connection failed is written by the operating system or the server, and holds no record.
_HARMLESS = (RedisConnectionError, RedisTimeoutError, OSError)
_WARNING = re.compile(r"(?P<place>\S+:\d+): (?P<category>\w+): ")
# What gunicorn says of a request: the address' query, and the bytes that it could not read.
_OF_A_REQUEST = re.compile(r"\?\S*|(?<=from ip=)(\S+): .*")


def describe(error: BaseException) -> str:
    """What the log may say of an exception: its type, and its text only where that can hold no record."""
    name = type(error).__name__
    if isinstance(error, _HARMLESS) or getattr(type(error), "loggable", False):
        return f"{name}: {error}".partition("\n")[0]
    return name


def configure_logging(settings: Settings, role: str) -> None:
    """Log to standard error from the level in the settings on, in their format; ``role`` is the process'."""
    common = _common_processors(role)
    handler = logging.StreamHandler()
    handler.addFilter(_without_values)
    last: Processor = _as_json if settings.log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _place_of_exception, last],
        )
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    # Celery would write two lines for every task, which costs more than scoring a record.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _log_what_python_would_print()


def _common_processors(role: str) -> list[Processor]:
    def add_role(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        event["role"] = role
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_role,
    ]


def _as_json(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    ordered = {name: event[name] for name in _FIRST if name in event} | dict(event)
    return orjson.dumps(ordered, default=str).decode()


def _place_of_exception(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Instead of an exception: its type, those it came from, and where it was raised."""
    found: Any = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        # Billiard brings an exception from another process in one of its own.
        error = getattr(error, "exc", error)
        event["error"] = describe(error)
        if error.__cause__:
            event["cause"] = describe(error.__cause__)
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        event["raised_at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def _without_values(record: logging.LogRecord) -> bool:
    """Leave of another's line what is known to hold no value: its first line, without exceptions' texts."""
    if isinstance(record.msg, dict):
        return True
    if record.name == "celery.redirected":
        record.msg, record.args = "something was printed; it is not shown", ()
    if record.name == "py.warnings" and (found := _WARNING.search(record.getMessage())):
        record.msg, record.args = "warning of a library: %s at %s", (found["category"], found["place"])
    if record.name == "celery.app.trace" and isinstance(record.args, dict):
        record.msg, record.args = "task failed: %s", (record.args.get("id"),)
    if isinstance(record.args, tuple):
        record.args = tuple(describe(part) if isinstance(part, BaseException) else part for part in record.args)
    text = record.getMessage().strip().partition("\n")[0]
    if record.name.startswith("gunicorn"):
        text = _OF_A_REQUEST.sub(r"\1", text)
    record.msg, record.args = text, ()
    return True


def _log_what_python_would_print() -> None:
    logging.captureWarnings(True)
    log = structlog.stdlib.get_logger("python")

    def excepthook(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, place)
        else:
            log.critical("uncaught exception", exc_info=error)

    sys.excepthook = excepthook
    threading.excepthook = lambda failed: log.error(
        "uncaught exception", thread=failed.thread and failed.thread.name, exc_info=failed.exc_value
    )
