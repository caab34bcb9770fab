"""Where the models lie: in the same data folder as the service's, as the environment says."""

import os
from pathlib import Path

DATA_DIR = "SCORELINE_DATA_DIR"


def models_directory() -> Path:
    """The folder of the models: ``models`` in the folder that SCORELINE_DATA_DIR names, or in ``var``."""
    return Path(os.environ.get(DATA_DIR, "var")) / "models"
