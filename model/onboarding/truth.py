"""The target columns of a table in the form of a pipeline's predictions: classes as indices, numbers as numbers."""

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
    """The actual targets: ``values``, shape (n,) or (n, targets), and which of them are known, shape (n,)."""

    values: NDArray[Any]
    known: NDArray[np.bool_]

    def of(self, rows: NDArray[np.bool_]) -> NDArray[Any]:
        """Return the known values of the given rows."""
        return self.values[rows & self.known]


def truth_of(inspection: PipelineInspection, data: TrainingData, targets: Sequence[str]) -> Truth | None:
    """Return the target's values, or None for models without a target.

    Raise RefusedModel where none of them is something that the pipeline predicts.
    """
    if inspection.kind in (ModelKind.OUTLIER_DETECTOR, ModelKind.CLUSTERER):
        return None
    check_targets(inspection, targets)
    truth = _truth(inspection, data, targets)
    if not truth.known.any():
        wanted = "a class that the pipeline predicts" if inspection.kind.predicts_classes else "a number"
        raise RefusedModel(f"no row of {data.path} has a target ({', '.join(targets)}) that is {wanted}")
    return truth


def _truth(inspection: PipelineInspection, data: TrainingData, targets: Sequence[str]) -> Truth:
    columns = [data.texts[data.name_of(target)] for target in targets]
    match inspection.kind:
        case ModelKind.MULTIOUTPUT_CLASSIFIER:
            places = [
                _class_indices(column, classes)
                for column, classes in zip(columns, inspection.target_classes, strict=True)
            ]
            values = np.column_stack(places)
            return Truth(values, np.asarray((values >= 0).all(axis=1)))
        case ModelKind.MULTIOUTPUT_REGRESSOR:
            numbers = np.column_stack([_numbers(column) for column in columns])
            return Truth(numbers, np.asarray(np.isfinite(numbers).all(axis=1)))
        case ModelKind.REGRESSOR:
            numbers = _numbers(columns[0])
            return Truth(numbers, np.isfinite(numbers))
        case _:
            values = _class_indices(columns[0], inspection.class_names or inspection.classes)
            return Truth(values, values >= 0)


def check_targets(inspection: PipelineInspection, targets: Sequence[str]) -> tuple[str, ...]:
    """Return the names of several targets; raise RefusedModel where more or fewer are given than predicted."""
    if not inspection.kind.has_several_targets:
        if len(targets) > 1:
            raise RefusedModel(f"the pipeline predicts one target, and --target names {len(targets)}")
        return ()
    width = inspection.targets
    if targets and len(targets) != width:
        raise RefusedModel(
            f"the pipeline predicts {width} targets at once, and --target names {len(targets)}: name all, with commas"
        )
    return tuple(targets) or tuple(f"target_{place}" for place in range(1, width + 1))


def name_classes(
    inspection: PipelineInspection, data: TrainingData, target: str | None, names: Sequence[str]
) -> list[str]:
    """Return the names of an encoded target's classes, as given or as the pipeline has them.

    Raise RefusedModel where the target holds other words than the pipeline predicts; where as many are there, name the
    option that gives them.
    """
    if names:
        if len(names) != len(inspection.classes):
            available = f"{len(inspection.classes)} classes: {', '.join(inspection.classes)}"
            raise RefusedModel(f"--classes names {len(names)} classes, and the pipeline has {available}")
        if len(set(names)) != len(names):
            raise RefusedModel("--classes names one class twice")
        return list(names)
    if target is None:
        return list(inspection.classes)
    texts = data.texts[data.name_of(target)]
    if (_class_indices(texts, inspection.classes) >= 0).any():
        return list(inspection.classes)
    texts_found = sorted({text.strip() for text in texts.unique()} - {""})
    detail = f"no value of the target is one of the classes {', '.join(inspection.classes)}"
    shown = ", ".join(map(repr, texts_found[:_NAMED])) or "nothing"
    if len(texts_found) == len(inspection.classes):
        hint = f"; if they were encoded in this order, as LabelEncoder does, add --classes {','.join(texts_found)}"
        raise RefusedModel(f"{detail}; there are {shown}{hint}")
    raise RefusedModel(f"{detail}; there are: {shown}")


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    return np.asarray(pd.to_numeric(column.str.strip(), errors="coerce"), np.float64)


def _class_indices(column: pd.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the index of each text's class, shape (n,), or -1; classes that differ only in case are kept apart."""
    folded = [_folded(name) for name in classes]
    # "yes" and "Yes" may be two classes, which only their exact spelling tells apart.
    by_spelling = {text: place for place, text in enumerate(folded) if folded.count(text) == 1}
    # The pipeline may have got the target as floats: the class 1 is "1.0" to it, and "1" in the file.
    exact = {spelling: place for place, name in enumerate(classes) for spelling in (label_text(name), name)}

    def index_of(text: str) -> int:
        index = exact.get(text, exact.get(label_text(text.strip())))
        return by_spelling.get(_folded(text), -1) if index is None else index

    places = {text: index_of(text) for text in column.unique()}
    return np.asarray(column.map(places), np.int64)


def _folded(text: str) -> str:
    return label_text(text.strip()).casefold()
