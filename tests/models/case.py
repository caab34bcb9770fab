"""A user's model: a pipeline fitted on what pandas made of a file, and that file."""

import json
import lzma
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io

from tests.models.answers import ExpectedPredictions, own_answers, row_by_row

NATIVE = {"json", "ubj", "txt", "cbm"}
"""The boosters' own formats, which hold no code."""
CSV_SUFFIXES = {".csv", ".tsv", ".txt", ".gz", ".data"}


@dataclass(frozen=True)
class Table:
    """A file, and how its owner reads it: ``options`` are those of pandas, ``change`` is what is done to the inputs."""

    path: Path
    target: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[pd.DataFrame], Any] | None = None
    columns: tuple[str, ...] = ()

    def read(self, path: Path | None = None) -> pd.DataFrame:
        path = path or self.path
        if path.suffix == ".parquet":
            return pd.read_parquet(path, **self.options)
        if path.suffix in {".feather", ".arrow"}:
            return pd.read_feather(path, **self.options)
        return pd.read_csv(path, **self.options)

    def features(self, path: Path | None = None) -> pd.DataFrame:
        """The inputs as columns, before ``change``."""
        frame = self.read(path)
        return frame[list(self.columns)] if self.columns else frame.drop(columns=list(self.target), errors="ignore")

    def inputs(self, path: Path | None = None) -> Any:
        """What the pipeline is fitted on and predicts from."""
        frame = self.features(path)
        return self.change(frame) if self.change else frame

    def answer(self) -> Any:
        found = self.read()[list(self.target)]
        return found if len(self.target) > 1 else found[self.target[0]]


@dataclass(frozen=True)
class TrainedModel:
    """The fitted pipeline, its table, the arguments of ``model add``, and how the pipeline itself predicts.

    ``upload`` is the file that is sent to the service, ``scored`` the one in which its owner asks the pipeline
    themself: the same, unless the service does not take the file as it is. ``odd_values`` says whether rows of unseen
    values can be made of the upload by text, ``has_scores`` whether the probabilities have to be shown where the
    pipeline has them.
    """

    pipeline: Any
    table: Table
    words: tuple[str, ...]
    answers: Callable[[Any], ExpectedPredictions]
    upload: Path
    scored: Path
    odd_values: bool = True
    has_scores: bool = True

    @property
    def folder(self) -> Path:
        return self.upload.parent


@dataclass(frozen=True)
class Refused:
    """What is refused: the arguments of ``model add``."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A pipeline as practitioners have it. ``refused``: words in the one line of its refusal."""

    name: str
    bring: Callable[[Path], TrainedModel | Refused]
    refused: tuple[str, ...] = ()
    cheap: bool = False
    browser: bool = False


def save(model: Any, folder: Path, kind: str) -> Path:
    """The model's file, as people save it; ``kind`` is its suffix."""
    path = folder / f"model.{kind}"
    if kind == "skops":
        skops.io.dump(model, path)
    elif kind == "pkl.xz":
        path.write_bytes(lzma.compress(pickle.dumps(model)))
    elif kind == "joblib.gz":
        joblib.dump(model, path, compress=("gzip", 3))
    elif kind == "joblib":
        joblib.dump(model, path)
    elif kind in NATIVE:
        getattr(model, "booster_", model).save_model(str(path))
    else:
        path.write_bytes(pickle.dumps(model))
    return path


def write(table: pd.DataFrame, path: Path, **options: Any) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path, **options)
    elif path.suffix in {".feather", ".arrow"}:
        table.to_feather(path, **options)
    else:
        table.to_csv(path, index=False, **options)
    return path


def bring(
    folder: Path,
    model: Any,
    rows: pd.DataFrame | bytes,
    target: str | Sequence[str] = (),
    *,
    file: str = "data.csv",
    written: Mapping[str, Any] | None = None,
    read: Mapping[str, Any] | None = None,
    change: Callable[[pd.DataFrame], Any] | None = None,
    columns: Sequence[str] = (),
    fit: Callable[[Any, Any, Any], Any] | None = None,
    saved: str = "skops",
    words: Sequence[str] = (),
    classes: Sequence[str] = (),
    answers: Callable[[Any, Any], ExpectedPredictions] | None = None,
    upload: Callable[[Table], Path] | None = None,
    later: pd.DataFrame | None = None,
    odd_values: bool = True,
    has_scores: bool = True,
    taught: Callable[[Any], Any] | None = None,
) -> TrainedModel:
    """Write the table, read it as its owner does, fit the pipeline on it, and save that.

    ``fit`` is how it is fitted where that is not ``fit(X, y)``; ``taught`` what is done to the target beforehand;
    ``classes`` the words for the classes where the pipeline has only their numbers; ``later`` are rows that came after
    the training and are scored in its stead.
    """
    path = folder / file
    if isinstance(rows, bytes):
        path.write_bytes(rows)
    else:
        write(rows, path, **(written or {}))
    targets = (target,) if isinstance(target, str) else tuple(target)
    table = Table(path, targets, read or {}, change, tuple(columns))
    inputs, answer = table.inputs(), table.answer() if targets else None
    if answer is not None and taught:
        answer = taught(answer)
    if fit:
        model = fit(model, inputs, answer)
    else:
        model.fit(inputs) if answer is None else model.fit(inputs, answer)
    file_ = save(model, folder, saved)
    scored = path if later is None else write(later, folder / f"later-{file}", **(written or {}))
    options: list[str] = [*words]
    if saved not in {"skops", *NATIVE} and "--trust" not in options:
        options.append("--trust")
    if targets:
        options += ["--target", ",".join(targets)]
    if classes:
        options += ["--classes", ",".join(classes)]
    return TrainedModel(
        pipeline=model,
        table=table,
        words=(str(file_), "--data", str(path), *options),
        answers=partial(row_by_row, partial(answers, model) if answers else partial(own, model, classes)),
        upload=upload(table) if upload else as_csv(table, scored),
        scored=scored,
        odd_values=odd_values and upload is None and path.suffix in CSV_SUFFIXES,
        has_scores=has_scores,
    )


def own(model: Any, classes: Sequence[str], asked: Any) -> ExpectedPredictions:
    return own_answers(model, asked, classes)


def as_csv(table: Table, path: Path) -> Path:
    """The file that is scored as it is, or, of another format, what pandas writes of it."""
    return path if path.suffix in CSV_SUFFIXES else with_points(table)


def with_points(table: Table) -> Path:
    """The table with ``,`` between fields and decimal points, as pandas writes what it has read."""
    path = table.path.with_name("upload.csv")
    table.read().to_csv(path, index=False)
    return path


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as a program sends them: JSON types, null for missing values, times as texts."""
    return [
        {str(name): _json_value(value) for name, value in row.items()}
        for row in frame.astype(object).where(frame.notna(), None).to_dict("records")
    ]


def _json_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    json.dumps(value)
    return value
