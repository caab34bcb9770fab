"""The folder of the models, inside the data folder that the service uses too."""

import os
from pathlib import Path

DATA_DIR = "SCORELINE_DATA_DIR"


def models_directory() -> Path:
    """Return the folder ``models`` in the folder that SCORELINE_DATA_DIR names, or in ``var``."""
    return Path(os.environ.get(DATA_DIR, "var")) / "models"
