"""The proof that the product predicts as the pipeline does: every record is scored both ways, in a worker's process.

That is another process, in a worker's environment, which loads the version as workers do. So whatever works only where
the pipeline was made is found here, and a pipeline that crashes its process does no harm.
"""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.answers import TOLERANCE, absolute_tolerance
from model.card import Card, Scores
from model.columns import Floats
from model.errors import RefusedModel

RECORDS_FILE, ANSWERS_FILE = "records.csv", "answers.npz"
_ROOT = Path(__file__).parent.parent.parent
_COMMAND = (sys.executable, "-m", "worker.check")
# As in a running service, where each process uses one thread.
_WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_MAX_SHOWN = 3

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExpectedPredictions:
    """The pipeline's own predictions for n records.

    ``answered``, shape (n,), tells which of them it can predict; ``predicted``, shape (m, targets), are the predictions
    for these, as text where they are classes; ``scores``, shape (m, s), accompany them.
    """

    answered: NDArray[np.bool_]
    predicted: NDArray[Any]
    scores: Floats

    def tolerances(self, card: Card) -> tuple[float, ...]:
        """Return how far each part of an answer may differ near 0: see ``same_answers``.

        A distance is the root of a difference of squares, so that near 0 half of its digits are rounding.
        """
        predicted = [absolute_tolerance(column) if column.dtype.kind == "f" else 0.0 for column in self.predicted.T]
        match card.scores:
            case Scores.PROBABILITY | Scores.DECISION:
                scores = [TOLERANCE for _ in self.scores.T]
            case Scores.DISTANCE:
                scores = [TOLERANCE * float(np.abs(column).max(initial=0.0)) for column in self.scores.T]
            case _:
                scores = [absolute_tolerance(column) for column in self.scores.T]
        return (*predicted, *scores)

    def save(self, path: Path) -> None:
        """Write the predictions, without pickle."""
        np.savez(path, answered=self.answered, predicted=self.predicted, scores=self.scores)

    @classmethod
    def load(cls, path: Path) -> "ExpectedPredictions":
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["answered"], arrays["predicted"], arrays["scores"])


@dataclass(frozen=True, slots=True)
class Difference:
    """A record, by its number from 1, for which the product predicts something else in one of its ways."""

    way: str
    row: int
    expected: str
    found: str

    def __str__(self) -> str:
        return f"row {self.row} as {self.way}: the pipeline says {self.expected}, here it is {self.found}"


def prove(
    directory: Path, card: Card, folder: Path, texts: pd.DataFrame, expected: ExpectedPredictions, progress: Progress
) -> tuple[int, list[Difference]]:
    """Score records with a version as a worker serves it; return how many predictions differ, and the first of them.

    ``directory`` holds the model, ``folder`` is for temporary files, ``texts``, shape (n, columns), are the records as
    a CSV file holds them. Raise RefusedModel where the worker's process cannot load the model or dies.
    """
    _write(folder / RECORDS_FILE, texts)
    expected.save(folder / ANSWERS_FILE)
    command = [*_COMMAND, str(directory), card.name, card.version, str(folder)]
    environment = {**os.environ, **_WORKER_ENVIRONMENT}
    # A file, since a full pipe would block the process: only its output is read meanwhile.
    with (folder / "errors").open("w+") as errors:
        with subprocess.Popen(  # noqa: S603 - a command of our own
            command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process:
            outcome = _follow_process(process, progress, len(texts))
        # A pipeline may end the process with any status: without an outcome, nothing is proved.
        if outcome is None or process.returncode:
            errors.seek(0)
            raise RefusedModel(f"a worker cannot serve the model: {_last_line(errors.read(), process.returncode)}")
    differences = [Difference(**difference) for difference in outcome["differences"]]
    # The process numbers the records that it was given; the user numbers the rows of the table.
    return outcome["different"], [replace(each, row=int(texts.index[each.row - 1]) + 1) for each in differences]


def explain_differences(
    different: int,
    rows: int,
    differences: Sequence[Difference],
    columns: Sequence[str],
    declared: Collection[str],
    path: Path,
    in_batches: bool = False,
) -> str:
    """Return in one line why a model is refused whose predictions differ from the pipeline's, and what to do.

    ``columns`` are those that the pipeline gets in another form than in training, ``declared`` those about which the
    user has said something. ``in_batches``: the pipeline itself predicts otherwise when it is given the first such row
    alone.
    """
    places = f"; these columns are not read as they were in training: {', '.join(columns)}" if columns else ""
    first = "; ".join(map(str, differences[:_MAX_SHOWN]))
    advice = "look for steps whose output depends on more than the record's own values"
    if in_batches:
        advice = (
            f"the pipeline's own prediction for row {differences[0].row} depends on the other rows in the call; leave "
            "such rows out, or change the step that looks at other rows"
        )
    elif corrected := [name for name in columns if name in declared]:
        advice = f"correct what the schema or --dtypes says of {corrected[0]!r}, or give the data as Parquet"
    elif columns:
        kinds = "str, category, int64, float64, bool or datetime64[us]"
        advice = f"say what {columns[0]!r} was in training with --dtypes {columns[0]}=… ({kinds}), or give Parquet"
    detail = f"{different:,} of {rows:,} answers on {path} are not the pipeline's own"
    return f"{detail}{places}. {first}. What to do: {advice}"


def _write(path: Path, texts: pd.DataFrame) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(texts.columns)
        writer.writerows(zip(*(texts[name].tolist() for name in texts.columns), strict=True))


def _follow_process(process: "subprocess.Popen[str]", progress: Progress, rows: int) -> dict[str, Any] | None:
    """Report the process's progress; return its final message."""
    assert process.stdout is not None
    outcome = None
    for line in process.stdout:
        message = json.loads(line)
        if "done" in message:
            progress(f"checked {message['done']:,} of {rows:,} rows as {message['way']}")
        else:
            outcome = message
    return outcome


def _last_line(errors: str, status: int) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    if status < 0:
        return f"its process was ended by signal {-status}"
    return lines[-1].strip() if lines else f"its process ended with status {status}"
