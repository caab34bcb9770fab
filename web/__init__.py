"""The Flask front end: the JSON API and the pages. ``create_app`` builds it from its collaborators."""

from functools import partial
from http import HTTPStatus

from flask import Response, request
from flask_openapi3.openapi import OpenAPI

from jobs.logs import configure_logging
from jobs.settings import Settings
from web import ids, problems
from web.api import errors, health, jobs, models, predictions
from web.api.openapi import INFO, register_docs
from web.pages.views import pages
from web.problems import Problem
from web.server.hosts import OwnHosts, target_host
from web.services import Services, create_services, services

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_OWN_SITES = ("same-origin", "none")
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# What people typed or uploaded, and what was made of it, stays in no cache on the way or on a shared computer.
_PATHS_OF_DATA = (
    "/api/v1/jobs",
    "/api/v1/predictions",
    "/api/v1/preflight",
    "/api/v1/score",
    "/jobs",
    "/predictions",
    "/probability",
)
_MAY_LIE_AROUND = (None, "no-cache")


def create_app(settings: Settings, services: Services | None = None) -> OpenAPI:
    """The web application; its collaborators are made from the settings unless they are given."""
    configure_logging(settings, "web")
    app = OpenAPI("web", info=INFO, doc_ui=False)
    app.extensions["scoreline"] = services or create_services(settings)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the contract's order reads better
    problems.register(app)
    ids.register(app.url_map)
    for api in (jobs.api, predictions.api, models.api, errors.api, health.health):
        app.register_api(api)
    app.register_blueprint(pages)
    register_docs(app, jobs.api)
    app.security_schemes = {}  # OpenAPI wants an object where there are none
    app.extensions["refuse"] = partial(problems.refusal, app)
    app.extensions["stop_waiting"] = app.extensions["scoreline"].notifications.stop
    app.before_request(_limit_silence)
    app.before_request(partial(_refuse_foreign_hosts, OwnHosts(settings.host, settings.listed_hosts)))
    app.before_request(_refuse_foreign_requests)
    app.after_request(_add_security_headers)
    app.extensions["scoreline"].request_metrics.watch(app)
    return app


def _limit_silence() -> None:
    """A client that neither sends nor reads for long gives its thread back: gunicorn itself would wait for ever."""
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(services().settings.upload_idle_seconds)


def _refuse_foreign_hosts(hosts: OwnHosts) -> None:
    """Under a name that is not ours, a page of another site would be of the same origin as the service."""
    named = [request.environ.get("HTTP_HOST", ""), target_host(request.environ.get("RAW_URI", ""))]
    if not all(hosts.own(host) for host in named if host is not None):
        detail = "the request names a host that is not one of this service; SCORELINE_HOSTS lists further ones"
        raise Problem(HTTPStatus.MISDIRECTED_REQUEST, "unknown_host", detail)


def _refuse_foreign_requests() -> None:
    """A page of another site must not act here in the name of whoever looks at it."""
    if request.method not in _SAFE_METHODS and not _comes_from_here():
        raise Problem(HTTPStatus.FORBIDDEN, "foreign_request", "the request comes from a page of another site")


def _comes_from_here() -> bool:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site in _OWN_SITES
    # Every browser says where a request comes from; what says nothing is a program of the user's own.
    return origin is None or target_host(origin) == request.environ.get("HTTP_HOST")


def _add_security_headers(response: Response) -> Response:
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if response.headers.get("Cache-Control") in _MAY_LIE_AROUND and _shows_data(request.path):
        response.headers["Cache-Control"] = "no-store"
    return response


def _shows_data(path: str) -> bool:
    return path.startswith(_PATHS_OF_DATA) or path.endswith("/prediction")
