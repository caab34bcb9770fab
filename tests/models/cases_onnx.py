"""Models exported to ONNX, compared with ONNX Runtime's output for their owner's arrays."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.models import tables
from tests.models.answers import ExpectedPredictions, row_by_row
from tests.models.case import Case, TrainedModel, bring
from tests.models.pipelines import logistic, one_hot, scaled

NUMBERS = ["tenure", "MonthlyCharges"]
WORDS = ["Contract", "InternetService", "OnlineSecurity"]

Feed = Callable[[Any], dict[str, NDArray[Any]]]


def answers_of(path: Path, feed: Feed, inputs: Any) -> ExpectedPredictions:
    """ONNX Runtime's output: labels and, of classifiers, probabilities; raises ValueError where these are NaN."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    labels, *more = session.run(None, feed(inputs))
    labels = np.asarray(labels).reshape(len(inputs), -1)
    if not more:
        return ExpectedPredictions(labels.astype(np.float64), {})
    probabilities = np.asarray(more[0], np.float64)
    if np.isnan(probabilities).any():  # of a missing number; that is no answer, as where scikit-learn raises
        raise ValueError("NaN")
    return ExpectedPredictions(
        labels, {"probability": probabilities[:, 1:] if probabilities.shape[1] == 2 else probabilities}
    )


def as_table(inputs: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """One input for the whole table."""
    return {"X": inputs.to_numpy(np.float32)}


def as_columns(inputs: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """An input for each column, shape (n, 1), as scikit-learn's converter makes them of a frame."""
    return {name: inputs[[name]].to_numpy(np.float32 if name in NUMBERS else object).reshape(-1, 1) for name in inputs}


def exported(trained: TrainedModel, onnx: Any, feed: Feed) -> TrainedModel:
    path = trained.folder / "model.onnx"
    path.write_bytes(onnx.SerializeToString())
    answers = partial(row_by_row, partial(answers_of, path, feed))
    return replace(trained, words=(str(path), *trained.words[1:]), answers=answers)


def of_numbers(model: Any, table: pd.DataFrame, target: str, folder: Path) -> TrainedModel:
    trained = bring(folder, model, table, target)
    sample = trained.table.inputs().head(1).to_numpy(np.float32)
    options = {id(trained.pipeline): {"zipmap": False}} if hasattr(trained.pipeline, "predict_proba") else None
    return exported(trained, to_onnx(trained.pipeline, sample, options=options), as_table)


def numbers_and_words() -> Pipeline:
    columns = make_column_transformer((StandardScaler(), NUMBERS), (one_hot(), WORDS))
    return make_pipeline(columns, logistic())


def of_columns(folder: Path) -> TrainedModel:
    table = tables.telco()[[*NUMBERS, *WORDS, "Churn"]]
    trained = bring(folder, numbers_and_words(), table, "Churn")
    kinds = [
        (name, FloatTensorType([None, 1]) if name in NUMBERS else StringTensorType([None, 1]))
        for name in (*NUMBERS, *WORDS)
    ]
    options = {id(trained.pipeline): {"zipmap": False}}
    return exported(trained, to_onnx(trained.pipeline, initial_types=kinds, options=options), as_columns)


CASES = (
    Case("onnx", partial(of_numbers, scaled(logistic()), tables.wine(), "cultivar"), browser=True),
    Case("onnx-forest", partial(of_numbers, RandomForestClassifier(10, random_state=0), tables.cancer(), "diagnosis")),
    Case(
        "onnx-regressor",
        partial(of_numbers, RandomForestRegressor(10, random_state=0), tables.diabetes(), "progression"),
    ),
    Case("onnx-columns", of_columns),
)
