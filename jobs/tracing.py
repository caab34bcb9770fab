"""Which trace the work of this thread belongs to, and spans for OpenTelemetry.

The trace comes with a request (W3C Trace Context, ``traceparent``), and goes into jobs, messages and the log. Spans are
exported only with ``SCORELINE_TRACES``; nothing of OpenTelemetry is loaded otherwise.
"""

import atexit
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import entry_points
from typing import Any

import structlog

from jobs.settings import Settings
from jobs.version import VERSION

log = structlog.stdlib.get_logger(__name__)

HEADER = "traceparent"
_FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_GROUP = "opentelemetry_traces_exporter"
# What OpenTelemetry's own settings call the exporter that needs the least.
_EXPORTERS = {"otlp": "otlp_proto_http"}
_EXTRA = "install requirements-tracing.txt"

_parent: ContextVar[str] = ContextVar("traceparent", default="")
# The provider of this process, with the process that made it: its threads do not survive a fork.
_made: tuple[int, Any] | None = None
_flusher: "_Flusher | None" = None
_FLUSH_SECONDS = 2.0


def follow(traceparent: str | None) -> None:
    """Let the work of this thread belong to a trace from here on; to none if that is missing or is not one."""
    _parent.set(traceparent if traceparent and _FORM.fullmatch(traceparent) else "")


def traceparent() -> str:
    """Return what names the trace that the work of this thread belongs to; empty if there is none."""
    return _parent.get()


def trace_id() -> str:
    """Return the id of that trace; empty if there is none."""
    return _parent.get()[3:35]


def export_traces(settings: Settings, role: str) -> None:
    """Export the spans of this process, if the settings name an exporter. To be called after a fork.

    What cannot be exported is logged once; the service does its work nevertheless.
    """
    global _made, _flusher
    if settings.traces is None or (_made and _made[0] == os.getpid()):
        return
    try:
        provider = _make_provider(settings.traces, role)
    except (ImportError, LookupError) as error:
        log.warning("traces are not exported", reason=str(error))
        return
    _made, _flusher = (os.getpid(), provider), _Flusher(provider)
    _flusher.start()
    atexit.register(flush_traces)


def _make_provider(name: str, role: str) -> Any:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    found = {point.name: point for point in entry_points(group=_GROUP)}
    wanted = _EXPORTERS.get(name, name)
    if wanted not in found:
        raise LookupError(f"there is no exporter {name!r}, but {', '.join(sorted(found)) or 'none'}: {_EXTRA}")
    service = {
        "service.name": "scoreline",
        "service.version": VERSION,
        "host.name": socket.gethostname(),
        "scoreline.role": role,
    }
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
    resource = Resource(service).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(found[wanted].load()()))
    return provider


class _Flusher(threading.Thread):
    """Exports what has ended when the process ends, for which a collector that is away would have it wait 30 s.

    The thread is there from the beginning: none can be started once an interpreter ends.
    """

    def __init__(self, provider: Any) -> None:
        super().__init__(name="traces", daemon=True)
        self._provider, self._ending = provider, threading.Event()

    def run(self) -> None:
        self._ending.wait()
        self._provider.shutdown()

    def flush(self, seconds: float) -> None:
        """Export, for so long at most."""
        self._ending.set()
        self.join(seconds)


def flush_traces() -> None:
    """Export what has ended, for two seconds at most; to be called before this process ends."""
    if _flusher and is_exported():
        _flusher.flush(_FLUSH_SECONDS)


class Span:
    """A span that has begun, or nothing where none are exported."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def note(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes."""
        if self._span is not None:
            self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        """Give it another name."""
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, what: str) -> None:
        """Mark it as failed; ``what`` holds no values of records."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - it is loaded

            self._span.set_status(Status(StatusCode.ERROR, what))

    def end(self, at: int | None = None) -> None:
        """End it, at a time in nanoseconds since the epoch or now."""
        if self._span is not None:
            self._span.end(at)

    def follow(self) -> None:
        """Let the work of this thread belong to it."""
        if self._span is not None:
            context = self._span.get_span_context()
            _parent.set(f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}")


_NONE = Span()


def begin(
    name: str, kind: str, attributes: Mapping[str, Any], parent: str | None = None, at: int | None = None
) -> Span:
    """Begin a span, a child of ``parent`` (None: of the trace that this thread's work belongs to).

    ``kind`` is ``SERVER`` or ``CONSUMER``; ``at`` is when it began, in nanoseconds since the epoch.
    """
    if not is_exported():
        return _NONE
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - it is loaded
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    assert _made is not None
    context = TraceContextTextMapPropagator().extract({HEADER: traceparent() if parent is None else parent})
    tracer = _made[1].get_tracer("scoreline", VERSION)
    return Span(tracer.start_span(name, context, SpanKind[kind], attributes, start_time=at))


def is_exported() -> bool:
    """Whether spans of this process are exported."""
    return _made is not None and _made[0] == os.getpid()


@contextmanager
def consuming(name: str, attributes: Mapping[str, Any]) -> Iterator[Span]:
    """Span what a worker does for a message. Of an exception, only the type is exported: its text may hold records."""
    span = begin(name, "CONSUMER", attributes)
    try:
        yield span
    except BaseException as error:
        span.fail(type(error).__name__)
        raise
    finally:
        span.end()


def now() -> int:
    """Return the time as spans have it, in nanoseconds since the epoch."""
    return time.time_ns()
