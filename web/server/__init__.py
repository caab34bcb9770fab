"""How this process serves: gunicorn's worker, limits, hosts, metrics."""
