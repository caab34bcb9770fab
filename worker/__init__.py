"""Celery workers: score chunks and single records; the reconciler."""
