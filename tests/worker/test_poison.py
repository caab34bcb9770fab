"""The last attempt at a chunk finds the row that crashes or hangs its process."""

import faulthandler
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jobs.messages import InputChunk
from model.scorer import Scorer
from tests.faults import poison
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import score_chunk

MARKED = 11
LAYOUT = Layout(",", 2, {"dose": 0, "word": 1})


@pytest.fixture
def quiet() -> Iterator[None]:
    """A process that is expected to die need not say where."""
    faulthandler.disable()
    yield
    faulthandler.enable()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("kind", ["raises", "kills its process", "never ends, and lets nothing else run"])
def test_the_last_attempt_rejects_the_poisonous_row_alone(kind: str) -> None:
    records = [poison.HARMLESS] * 20
    records[13] = poison.POISON[kind]
    text = "".join(f"{record['dose']},{record['word']}\n" for record in records)
    chunk = InputChunk(1, len(records), text.encode())
    scored = score_chunk(chunk, LAYOUT, [poison.poison_scorer()], None, bisect=True, isolated_seconds=4)
    assert (scored.scored, scored.rejected, scored.scoring_failed) == (19, 1, 1)
    assert scored.rejects.startswith(b"14,")
    assert scored.output.splitlines()[12:15:2] == [b"10,fine,no,0.000000,"] * 2


@pytest.mark.usefixtures("quiet")
def test_any_number_of_hanging_rows_leaves_the_others_scored_in_time() -> None:
    records = [poison.HARMLESS] * 30
    for at in (3, 4, 17):
        records[at] = poison.POISON["never ends"]
    text = "".join(f"{record['dose']},{record['word']}\n" for record in records)
    chunk = InputChunk(1, len(records), text.encode())
    scored = score_chunk(chunk, LAYOUT, [poison.poison_scorer()], None, bisect=True, isolated_seconds=6)
    assert (scored.scored, scored.rejected, scored.scoring_failed) == (27, 3, 3)


class Marked:
    """A pipeline whose process is killed by the system, as often as it is told to, where it is asked about row 13."""

    def __init__(self, pipeline: Any, folder: Path, times: int) -> None:
        self._pipeline, self._folder, self._times = pipeline, folder, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def _check_poison(self, frame: pd.DataFrame) -> None:
        killed = len(list(self._folder.iterdir()))
        if (frame["dose"] == MARKED).any() and killed < self._times:
            (self._folder / str(killed)).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def predict(self, frame: pd.DataFrame) -> Any:
        self._check_poison(frame)
        return self._pipeline.predict(frame)

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        self._check_poison(frame)
        return self._pipeline.predict_proba(frame)


@pytest.mark.parametrize(("times", "rejected"), [(3, 0), (10**6, 1)])
def test_a_row_whose_process_was_killed_is_retried_before_it_is_rejected(
    tmp_path: Path, times: int, rejected: int
) -> None:
    """Once with its part and twice alone by the system's need of memory; or always, and then the row eats it."""
    sound = poison.poison_scorer()
    scorer = Scorer(sound.card, Marked(sound.pipeline, tmp_path, times))
    records = [poison.HARMLESS] * 20
    records[13] = {"dose": MARKED, "word": poison.FINE}
    text = "".join(f"{record['dose']},{record['word']}\n" for record in records)
    chunk = InputChunk(1, len(records), text.encode())
    scored = score_chunk(chunk, LAYOUT, [scorer], None, bisect=True, isolated_seconds=60)
    assert (scored.scored, scored.rejected) == (20 - rejected, rejected)
