"""Find what keeps an estimator from being stored without pickle: pandas objects and dictionaries with odd keys."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

_MAX_DEPTH = 12
_PANDAS = (pd.DataFrame, pd.Series, pd.Index)
_KEYS = (str, int, float, bool, type(None))


def unstorable_part(estimator: Any) -> str | None:
    """Return in words the first part of an estimator's state that cannot be stored, and what to use instead."""
    return next(_parts(estimator, type(estimator).__name__, set(), 0), None)


def _parts(value: Any, where: str, seen: set[int], depth: int) -> Iterator[str]:
    # Estimators refer to one another, in circles too.
    if id(value) in seen or depth > _MAX_DEPTH:
        return
    seen.add(id(value))
    if isinstance(value, _PANDAS):
        kind = type(value).__name__
        instead = "a dictionary (to_dict)" if isinstance(value, pd.Series) else "NumPy arrays (to_numpy)"
        yield f"a pandas {kind} in {where}; keep it as {instead}"
    elif isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, _KEYS)]:
            kind = type(odd[0]).__name__
            yield f"a dictionary with keys of the kind {kind} in {where}; use texts or numbers as keys"
        for key, item in value.items():
            yield from _parts(item, f"{where}[{key!r}]", seen, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            inner = type(item).__name__ if hasattr(item, "get_params") else where
            yield from _parts(item, inner, seen, depth + 1)
    elif not isinstance(value, type):
        for name, item in getattr(value, "__dict__", {}).items():
            inner = type(item).__name__ if hasattr(item, "get_params") else f"{type(value).__name__}.{name}"
            yield from _parts(item, inner, seen, depth + 1)
