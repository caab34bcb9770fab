"""The Flask front end: the JSON API and the pages. ``create_app`` builds it from its collaborators."""

from functools import partial
from http import HTTPStatus

from flask import Response, request
from flask_openapi3.openapi import OpenAPI

from jobs.logs import configure_logging
from jobs.settings import Settings
from web import ids, problems
from web.api import corrections, errors, health, history, jobs, models, outcomes, predictions, tokens
from web.api.openapi import INFO, register_docs
from web.auth.first_administrator import announce
from web.auth.guard import configure_signing_in, register_guard, signed_in
from web.compression import configure_compression
from web.pages.accounts.routes import accounts, register_provider
from web.pages.history import history_pages
from web.pages.views import pages
from web.problems import Problem
from web.server.broken_responses import reset_broken_responses
from web.server.hosts import OwnHosts, complete_targets, target_host
from web.server.proxies import named_hosts, trust_proxies
from web.server.tracing import trace_requests
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
# Responses under these paths contain users' data, which must not be cached by proxies or on shared computers.
_PRIVATE_PATHS = (
    "/api/v1/jobs",
    "/api/v1/predictions",
    "/api/v1/preflight",
    "/api/v1/score",
    "/api/v1/history",
    "/history",
    "/jobs",
    "/predictions",
    "/probability",
)
_WEAK_CACHE_CONTROL = (None, "no-cache")


def create_app(settings: Settings, services: Services | None = None) -> OpenAPI:
    """Create the web application; its collaborators are made from the settings unless given."""
    configure_logging(settings, "web")
    app = OpenAPI("web", info=INFO, doc_ui=False)
    app.extensions["scoreline"] = services or create_services(settings)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the contract's order reads better
    configure_compression(app)
    configure_signing_in(app, app.extensions["scoreline"].auth)
    problems.register(app)
    ids.register(app.url_map)
    apis = (jobs, corrections, predictions, history, outcomes, models, errors)
    for api in (*(module.api for module in apis), health.health):
        app.register_api(api)
    app.register_blueprint(pages)
    app.register_blueprint(history_pages)
    if settings.auth_on:
        app.register_api(tokens.api)
        app.register_blueprint(accounts)
        register_provider(app, app.extensions["scoreline"].auth)
    register_docs(app, jobs.api)
    app.security_schemes = {}  # OpenAPI requires an object here
    app.extensions["refuse"] = partial(problems.refusal, app)
    app.extensions["stop_waiting"] = app.extensions["scoreline"].notifications.stop
    app.extensions["announce_first_administrator"] = partial(announce, app.extensions["scoreline"].auth)
    trace_requests(app, settings)
    app.before_request(_limit_silence)
    trust_proxies(app, settings)
    hosts = OwnHosts(settings.host, settings.listed_hosts)
    app.before_request(partial(_refuse_foreign_hosts, hosts))
    app.before_request(partial(_refuse_foreign_requests, hosts))
    app.after_request(_add_security_headers)
    register_guard(app, app.extensions["scoreline"].auth)
    app.extensions["scoreline"].request_metrics.watch(app)
    reset_broken_responses(app)
    complete_targets(app)
    return app


def _limit_silence() -> None:
    """Time out a client that neither sends nor reads; gunicorn would wait for ever."""
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(services().settings.upload_idle_seconds)


def _refuse_foreign_hosts(hosts: OwnHosts) -> None:
    """Refuse requests under a host name that is not the service's own, against DNS rebinding."""
    named = [*named_hosts(request.environ), target_host(request.environ.get("RAW_URI", ""))]
    if not all(hosts.own(host) for host in named if host is not None):
        detail = "the request names a host that is not one of this service; SCORELINE_HOSTS lists further ones"
        raise Problem(HTTPStatus.MISDIRECTED_REQUEST, "unknown_host", detail)


def _refuse_foreign_requests(hosts: OwnHosts) -> None:
    """Refuse requests that a page of another site makes on behalf of its visitor (CSRF)."""
    if request.method not in _SAFE_METHODS and not _is_same_origin(hosts):
        raise Problem(HTTPStatus.FORBIDDEN, "foreign_request", "the request comes from a page of another site")


def _is_same_origin(hosts: OwnHosts) -> bool:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site in _OWN_SITES
    # Browsers always send one of these headers; a request without is made by a program.
    # A proxy may have put a Host of its own: the name that the browser knows is then in the origin alone.
    return origin is None or target_host(origin) == request.environ.get("HTTP_HOST") or hosts.lists_origin(origin)


def _add_security_headers(response: Response) -> Response:
    # One look at the headers that are there: ``setdefault`` would take one for each of ours.
    own = {name for name, _ in response.headers}
    for name, value in _SECURITY_HEADERS.items():
        if name not in own:
            response.headers.add(name, value)
    if response.headers.get("Cache-Control") in _WEAK_CACHE_CONTROL and (_is_private(request.path) or signed_in()):
        response.headers["Cache-Control"] = "no-store"
    return response


def _is_private(path: str) -> bool:
    return path.startswith(_PRIVATE_PATHS) or path.endswith("/prediction")
