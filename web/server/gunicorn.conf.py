"""Settings of gunicorn, from the settings of Scoreline."""

import gc
import itertools
import resource
import runpy
import shutil
from pathlib import Path
from typing import Any

from gunicorn import glogging

from jobs.logs import configure_logging
from jobs.settings import get_settings

_settings = get_settings()

# As many open files as the system lets a process have, within reason: a connection needs one, maybe one to Redis.
_, _most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
_files = 10_240 if _most_files == resource.RLIM_INFINITY else min(_most_files, 10_240)
resource.setrlimit(resource.RLIMIT_NOFILE, (_files, _most_files))


class ServerLog(glogging.Logger):
    """Gunicorn's own lines, written as all others are."""

    def setup(self, cfg: Any) -> None:
        """Hand them on to our handler instead of gunicorn's."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        configure_logging(_settings, "web")


bind = [f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"]
# By its path, since importing the package ``web`` would load the application into the master process.
_worker_module = Path(__file__).with_name("gunicorn_worker.py")
worker_class = runpy.run_path(str(_worker_module), run_name="gunicorn_worker")["BufferedThreadWorker"]
worker_class.pace_seconds = float(_settings.upload_idle_seconds)
workers = _settings.web_processes
worker_connections = min(4096, (_files - 256) // 2)
threads = min(_settings.web_threads, worker_connections // 2)
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
limit_request_fields = 64
# No client says where the application is mounted, or which path it asked for, but by the address that it asks for.
forwarder_headers = ""
# Requests in hand get this long to finish when the service stops.
graceful_timeout = 10
timeout = 60
keepalive = 75
logger_class = ServerLog
loglevel = _settings.log_level.lower()
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Make the folder in which the processes count requests: an earlier run's counts are not ours."""
    if not _settings.only_local:
        server.log.warning("HOST=%s: there is no login; whoever reaches this address sees all jobs", _settings.host)
    shutil.rmtree(_settings.counters_dir, ignore_errors=True)
    _settings.counters_dir.mkdir(mode=0o700)


def pre_fork(server: Any, worker: Any) -> None:
    """Give each process a place that no other living one has: a dead one's, if there is one."""
    taken = {other.place for other in server.WORKERS.values()}
    worker.place = next(place for place in itertools.count() if place not in taken)


def post_fork(_server: Any, worker: Any) -> None:
    """Count requests at that place."""
    # Not imported above: what this process has loaded, a reload does not load again.
    from web.server.metrics import count_together  # noqa: PLC0415

    count_together(_settings.counters_dir, worker.place)


def post_worker_init(_worker: Any) -> None:
    """Spare what was loaded for good from being looked through for garbage, for which requests would wait 60 ms."""
    gc.freeze()


def on_exit(_server: Any) -> None:
    """Leave nothing behind in memory."""
    shutil.rmtree(_settings.counters_dir, ignore_errors=True)
