"""The path under which the service is mounted."""

from flask import has_request_context, request


def path_prefix() -> str:
    """Return the prefix that a proxy takes off the paths of requests, such as ``/scoreline``; mostly empty."""
    return request.script_root if has_request_context() else ""
