"""The server side of the web: gunicorn worker and settings, concurrency limits, hosts, metrics."""
