"""The version of Scoreline, and the number of what processes that share a store agree on."""

VERSION = "0.1.0"

PROTOCOL = 1
"""Raised by each change of keys, fields, scripts or messages that the version before cannot work beside.

Versions with the same number may use one store at the same time. A newer one reads what an older one has left, once
the processes of the older one have ended (``docs/operations.md``, "Upgrading").
"""
