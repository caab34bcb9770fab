"""Requests as parts of traces: ``traceparent`` is taken over from the client, and a span is exported if asked for."""

from flask import Flask, Response, g, request

from jobs import tracing
from jobs.settings import Settings

_HEADER = "HTTP_TRACEPARENT"


def trace_requests(app: Flask, settings: Settings) -> None:
    """Follow the trace of each request. To be called before other functions are registered that see requests."""
    tracing.export_traces(settings, "web")
    app.before_request(_follow)
    if tracing.is_exported():
        app.before_request(_begin)
        app.after_request(_note)
        app.teardown_request(_end)


def _follow() -> None:
    tracing.follow(request.environ.get(_HEADER))


def _begin() -> None:
    rule = request.url_rule.rule if request.url_rule else ""
    attributes = {"http.request.method": request.method, "http.route": rule}
    g.span = tracing.begin(f"{request.method} {rule}".strip(), "SERVER", attributes)
    g.span.follow()


def _note(response: Response) -> Response:
    # A request that was refused before has none.
    if span := g.get("span"):
        span.note({"http.response.status_code": response.status_code})
        if response.status_code >= 500:
            span.fail(str(response.status_code))
    return response


def _end(_error: BaseException | None) -> None:
    if span := g.get("span"):
        span.end()
