"""Settings of gunicorn, from the settings of Scoreline."""

from jobs.settings import get_settings

_settings = get_settings()

bind = [f"{_settings.host}:{_settings.port}"]
worker_class = "gthread"
workers = _settings.web_processes
threads = _settings.web_threads
worker_tmp_dir = "/dev/shm" if __import__("pathlib").Path("/dev/shm").is_dir() else None  # noqa: S108
# Requests in hand get this long to finish when the service stops.
graceful_timeout = 10
timeout = 60
keepalive = 75
errorlog = "-"
loglevel = _settings.log_level.lower()
control_socket_disable = True
