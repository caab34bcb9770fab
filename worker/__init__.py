"""Celery workers that convert files and score chunks and single records; also the reconciler and the recorder."""
