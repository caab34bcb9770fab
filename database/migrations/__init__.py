"""Alembic's environment; ``versions`` holds one module for each change of the tables, numbered in order."""

LATEST = "0001"
"""Revision that this code works with: the last one in ``versions``."""
