"""gunicorn's settings, derived from Scoreline's."""

import gc
import itertools
import resource
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

from gunicorn import glogging

from jobs.errors import UnusableCertificate
from jobs.fork_server.client import fork_server
from jobs.logs import configure_logging
from jobs.settings import get_settings
from jobs.tls import check_certificate

_settings = get_settings()
try:
    check_certificate(_settings)
except UnusableCertificate as error:
    sys.exit(f"scoreline: {error}")

# Raise the limit of open files, within reason: each connection needs one, and perhaps another one to Redis.
_, _hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
_files = 10_240 if _hard_limit == resource.RLIM_INFINITY else min(_hard_limit, 10_240)
resource.setrlimit(resource.RLIMIT_NOFILE, (_files, _hard_limit))


class ServerLog(glogging.Logger):
    """gunicorn's log, written like all other log lines."""

    def setup(self, cfg: Any) -> None:
        """Propagate to our handler instead of gunicorn's own."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        configure_logging(_settings, "web")


bind = [f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"]
certfile, keyfile = (path and str(path) for path in (_settings.tls_certificate, _settings.tls_key))
# Loaded by path: importing the package ``web`` would load the application into the master process.
_worker_module = Path(__file__).with_name("gunicorn_worker.py")
worker_class = runpy.run_path(str(_worker_module), run_name="gunicorn_worker")["BufferedThreadWorker"]
worker_class.pace_seconds = float(_settings.upload_idle_seconds)
workers = _settings.web_processes
worker_connections = min(4096, (_files - 256) // 2)
threads = min(_settings.web_threads, worker_connections // 2)
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
limit_request_fields = 64
# Clients cannot set the mount point or path through headers, nor the scheme: what proxies may say is in
# ``web/server/proxies.py``.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# On shutdown, requests get this many seconds to finish.
graceful_timeout = 10
timeout = 60
keepalive = 75
logger_class = ServerLog
loglevel = _settings.log_level.lower()
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Create the directory of the request counters, without those of an earlier run."""
    if not _settings.only_local and not _settings.auth_on:
        text = "SCORELINE_AUTH=off with HOST=%s: there is no login; whoever reaches this address sees all jobs"
        server.log.warning(text, _settings.host)
    shutil.rmtree(_settings.counters_dir, ignore_errors=True)
    _settings.counters_dir.mkdir(mode=0o700)


def when_ready(_server: Any) -> None:
    """Start the fork server, which all workers share."""
    fork_server.start()


def on_reload(_server: Any) -> None:
    """Start another fork server, with the code as it is now; the old one ends with the last of the old workers."""
    fork_server.start()


def pre_fork(server: Any, worker: Any) -> None:
    """Give each worker the lowest place that no live worker has."""
    taken = {other.place for other in server.WORKERS.values()}
    worker.place = next(place for place in itertools.count() if place not in taken)


def post_fork(_server: Any, worker: Any) -> None:
    """Count requests at the worker's place."""
    # Imported here: modules loaded in the master process are not reloaded.
    from web.server.metrics import count_together  # noqa: PLC0415

    count_together(_settings.counters_dir, worker.place)


def post_worker_init(worker: Any) -> None:
    """Exempt what is loaded from garbage collection, which would delay requests by 60 ms.

    One worker tells how to become the first administrator.
    """
    gc.freeze()
    if _settings.auth_on and worker.place == 0:
        worker.wsgi.extensions["announce_first_administrator"]()


def on_exit(_server: Any) -> None:
    """Remove the counters from memory."""
    shutil.rmtree(_settings.counters_dir, ignore_errors=True)
