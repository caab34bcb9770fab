"""What all peers share: the model's artifact, and census frames as its pipeline takes them."""

import os
from typing import Any

import pandas as pd
import skops.io

FEATURES = ["age", "workclass", "education", "marital_status", "race", "sex", "hours_per_week"]
# The launcher of the peers names the artifact here.
ARTIFACT = "BENCH_ARTIFACT"


def load_pipeline() -> Any:
    """The fitted pipeline; it is the bench's own, so all of its types are trusted."""
    path = os.environ[ARTIFACT]
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame read from a census file with the columns' names as the model knows them, and no blanks around texts."""
    frame.columns = [name.strip().replace("-", "_") for name in frame.columns]
    texts = [name for name in FEATURES if not pd.api.types.is_numeric_dtype(frame[name])]
    if str(frame[texts[0]].iloc[0]).startswith(" "):
        frame[texts] = frame[texts].apply(lambda column: column.str.strip())
    return frame
