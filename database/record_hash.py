"""Recognise a record that has been asked about before."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson


def record_hash(model: str, values: Mapping[str, Any]) -> str:
    """Return a hash of a validated record of a model, whatever the order of its features."""
    # JSON may say 39 or 39.0, which are the same number.
    numbers = {name: float(value) if type(value) is int else value for name, value in values.items()}
    return hashlib.sha256(orjson.dumps([model, numbers], option=orjson.OPT_SORT_KEYS)).hexdigest()
