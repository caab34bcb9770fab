"""The settings of the service that concern models: where they lie, which is the default, and who shares them."""

import os
from pathlib import Path

DATA_DIR, DEFAULT_MODEL, STORE = "SCORELINE_DATA_DIR", "SCORELINE_DEFAULT_MODEL", "SCORELINE_REDIS_URL"


def models_directory() -> Path:
    """Return the folder ``models`` in the folder that SCORELINE_DATA_DIR names, or in ``var``."""
    return Path(os.environ.get(DATA_DIR, "var")) / "models"


def default_model() -> str | None:
    """Return the default model that SCORELINE_DEFAULT_MODEL names, or None."""
    return os.environ.get(DEFAULT_MODEL) or None


def shares_models() -> bool:
    """Return whether the models are shared with other hosts by way of the store that SCORELINE_REDIS_URL names."""
    return bool(os.environ.get(STORE))
