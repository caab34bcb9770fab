"""Settings of gunicorn, from the settings of Scoreline."""

import itertools
import shutil
from pathlib import Path
from typing import Any

from gunicorn import glogging

from jobs.logs import configure_logging
from jobs.settings import get_settings

_settings = get_settings()


class ServerLog(glogging.Logger):
    """Gunicorn's own lines, written as all others are."""

    def setup(self, cfg: Any) -> None:
        """Hand them on to our handler instead of gunicorn's."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        configure_logging(_settings, "web")


bind = [f"{_settings.host}:{_settings.port}"]
worker_class = "gthread"
workers = _settings.web_processes
threads = _settings.web_threads
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
# Requests in hand get this long to finish when the service stops.
graceful_timeout = 10
timeout = 60
keepalive = 75
logger_class = ServerLog
loglevel = _settings.log_level.lower()
control_socket_disable = True


def on_starting(_server: Any) -> None:
    """Make the folder in which the processes count requests: an earlier run's counts are not ours."""
    shutil.rmtree(_settings.counters_dir, ignore_errors=True)
    _settings.counters_dir.mkdir(mode=0o700)


def pre_fork(server: Any, worker: Any) -> None:
    """Give each process a place that no other living one has: a dead one's, if there is one."""
    taken = {other.place for other in server.WORKERS.values()}
    worker.place = next(place for place in itertools.count() if place not in taken)


def post_fork(_server: Any, worker: Any) -> None:
    """Count requests at that place."""
    # Not imported above: what this process has loaded, a reload does not load again.
    from web.metrics import count_together  # noqa: PLC0415

    count_together(_settings.counters_dir, worker.place)


def on_exit(_server: Any) -> None:
    """Leave nothing behind in memory."""
    shutil.rmtree(_settings.counters_dir, ignore_errors=True)
