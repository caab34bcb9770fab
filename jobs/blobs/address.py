"""Addresses in object stores. Pure."""

from urllib.parse import urlsplit

MARK_FOLDER = "scoreline/"
"""A folder that every storage has, with the mark that tells it from others."""


def without_secrets(url: str) -> str:
    """Return an address without its query and user."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
