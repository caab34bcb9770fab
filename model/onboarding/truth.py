"""The target columns of a table as a pipeline's predictions have them: classes as indices, numbers as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.card import ModelKind
from model.errors import RefusedModel
from model.onboarding.pipeline_inspection import PipelineInspection
from model.onboarding.training_data import TrainingData
from model.scorer import label_text

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Truth:
    """What really was: ``values``, shape (n,) or (n, targets), and which of them are known, shape (n,)."""

    values: NDArray[Any]
    known: NDArray[np.bool_]

    def of(self, rows: NDArray[np.bool_]) -> NDArray[Any]:
        """The values of the given rows of which they are known."""
        return self.values[rows & self.known]


def truth_of(found: PipelineInspection, data: TrainingData, targets: Sequence[str]) -> Truth | None:
    """Return the target's values, or None of models that have none.

    Raises RefusedModel where none of them is something that the pipeline predicts.
    """
    if found.kind in (ModelKind.OUTLIER_DETECTOR, ModelKind.CLUSTERER):
        return None
    check_targets(found, targets)
    truth = _truth(found, data, targets)
    if not truth.known.any():
        wanted = "a class that the pipeline predicts" if found.kind.predicts_classes else "a number"
        raise RefusedModel(f"no row of {data.path} has a target ({', '.join(targets)}) that is {wanted}")
    return truth


def _truth(found: PipelineInspection, data: TrainingData, targets: Sequence[str]) -> Truth:
    columns = [data.texts[data.name_of(target)] for target in targets]
    match found.kind:
        case ModelKind.MULTIOUTPUT_CLASSIFIER:
            places = [_places(column, classes) for column, classes in zip(columns, found.target_classes, strict=True)]
            values = np.column_stack(places)
            return Truth(values, np.asarray((values >= 0).all(axis=1)))
        case ModelKind.MULTIOUTPUT_REGRESSOR:
            numbers = np.column_stack([_numbers(column) for column in columns])
            return Truth(numbers, np.asarray(np.isfinite(numbers).all(axis=1)))
        case ModelKind.REGRESSOR:
            numbers = _numbers(columns[0])
            return Truth(numbers, np.isfinite(numbers))
        case _:
            values = _places(columns[0], found.class_names or found.classes)
            return Truth(values, values >= 0)


def check_targets(found: PipelineInspection, targets: Sequence[str]) -> tuple[str, ...]:
    """Return the names of several targets; raises RefusedModel where more or fewer are given than are predicted."""
    if not found.kind.has_several_targets:
        if len(targets) > 1:
            raise RefusedModel(f"the pipeline predicts one target, and --target names {len(targets)}")
        return ()
    width = found.targets
    if targets and len(targets) != width:
        raise RefusedModel(
            f"the pipeline predicts {width} targets at once, and --target names {len(targets)}: name all, with commas"
        )
    return tuple(targets) or tuple(f"target_{place}" for place in range(1, width + 1))


def name_classes(found: PipelineInspection, data: TrainingData, target: str | None, names: Sequence[str]) -> list[str]:
    """Return what the classes of an encoded target are called: as given, or as the pipeline has them.

    Raises RefusedModel where the target holds other words than the pipeline predicts, with the option that would name
    them where as many are there.
    """
    if names:
        if len(names) != len(found.classes):
            there_are = f"{len(found.classes)} classes: {', '.join(found.classes)}"
            raise RefusedModel(f"--classes names {len(names)} classes, and the pipeline has {there_are}")
        if len(set(names)) != len(names):
            raise RefusedModel("--classes names one class twice")
        return list(names)
    if target is None:
        return list(found.classes)
    texts = data.texts[data.name_of(target)]
    if (_places(texts, found.classes) >= 0).any():
        return list(found.classes)
    there = sorted({text.strip() for text in texts.unique()} - {""})
    detail = f"no value of the target is one of the classes {', '.join(found.classes)}"
    shown = ", ".join(map(repr, there[:_NAMED])) or "nothing"
    if len(there) == len(found.classes):
        hint = f"; if they were encoded in this order, as LabelEncoder does, add --classes {','.join(there)}"
        raise RefusedModel(f"{detail}; there are {shown}{hint}")
    raise RefusedModel(f"{detail}; there are: {shown}")


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    return np.asarray(pd.to_numeric(column.str.strip(), errors="coerce"), np.float64)


def _places(column: pd.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    """The index of each text's class, shape (n,), -1 for what is none; classes that differ in case are told apart."""
    folded = [_folded(name) for name in classes]
    spelt = {text: place for place, text in enumerate(folded) if folded.count(text) == 1}
    exact = {spelling: place for place, name in enumerate(classes) for spelling in (label_text(name), name)}

    def place_of(text: str) -> int:
        found = exact.get(text, exact.get(label_text(text.strip())))
        return spelt.get(_folded(text), -1) if found is None else found

    places = {text: place_of(text) for text in column.unique()}
    return np.asarray(column.map(places), np.int64)


def _folded(text: str) -> str:
    return label_text(text.strip()).casefold()
