"""Logging for every process: one line per event, times in UTC, never a record's value.

Values can leak through exception messages, libraries' log lines and query strings. So exceptions are logged by type and
traceback location, with their message only where it is known to hold no record (``loggable`` on our own classes), and
libraries' lines are reduced in the same way.
"""

import logging
import re
import socket
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
from jobs.tracing import trace_id

_LEADING_KEYS = ("time", "level", "event", "logger", "role", "host", "trace_id", "job_id", "chunk", "attempt")
_HOST = socket.gethostname()
_MAX_FRAMES = 8
# Messages of connection errors come from the operating system or the server and hold no record.
_HARMLESS = (RedisConnectionError, RedisTimeoutError, OSError)
_WARNING = re.compile(r"(?P<place>\S+:\d+): (?P<category>\w+): ")
# What gunicorn quotes of a request: the query string, and bytes that it could not parse.
_QUOTED_REQUEST = re.compile(r"\?\S*|(?<=from ip=)(\S+): .*")


def describe(error: BaseException) -> str:
    """Return what may be logged of an exception: its type, and its message if that can hold no record."""
    name = type(error).__name__
    if isinstance(error, _HARMLESS) or getattr(type(error), "loggable", False):
        return f"{name}: {error}".partition("\n")[0]
    return name


def configure_logging(settings: Settings, role: str) -> None:
    """Log to standard error with the level and format of the settings; ``role`` names the process."""
    common = _common_processors(role)
    handler = logging.StreamHandler()
    handler.addFilter(_strip_values)
    last: Processor = _as_json if settings.log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _summarise_exception, last],
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
    # Celery logs two lines per task, which costs more than scoring a record.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _log_warnings_and_uncaught()


def _common_processors(role: str) -> list[Processor]:
    def add_context(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        event["role"] = role
        if trace := trace_id():
            event["trace_id"] = trace
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_context,
    ]


def _as_json(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    event["host"] = _HOST
    ordered = {name: event[name] for name in _LEADING_KEYS if name in event} | dict(event)
    return orjson.dumps(ordered, default=str).decode()


def _summarise_exception(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Replace an exception by its type, its cause, and where it was raised."""
    exc_info: Any = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(error, BaseException):
        # Billiard wraps an exception that comes from another process.
        error = getattr(error, "exc", error)
        event["error"] = describe(error)
        if error.__cause__:
            event["cause"] = describe(error.__cause__)
        frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
        event["raised_at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def _strip_values(record: logging.LogRecord) -> bool:
    """Reduce a library's log line to its first line, without messages of exceptions. Always keeps the record."""
    if isinstance(record.msg, dict):
        return True
    if record.name == "celery.redirected":
        record.msg, record.args = "output of a library was dropped", ()
    if record.name == "py.warnings" and (warning := _WARNING.search(record.getMessage())):
        record.msg, record.args = "warning of a library: %s at %s", (warning["category"], warning["place"])
    if record.name == "celery.app.trace" and isinstance(record.args, dict):
        record.msg, record.args = "task failed: %s", (record.args.get("id"),)
    if isinstance(record.args, tuple):
        record.args = tuple(describe(part) if isinstance(part, BaseException) else part for part in record.args)
    text = record.getMessage().strip().partition("\n")[0]
    if record.name.startswith("gunicorn"):
        text = _QUOTED_REQUEST.sub(r"\1", text)
    record.msg, record.args = text, ()
    return True


def _log_warnings_and_uncaught() -> None:
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
