"""Wraps the model for ``mlflow models serve``: ``python save_model.py TARGET``."""

import shutil
import sys
from typing import Any

import mlflow
import pandas as pd
from census import load_pipeline, prepared


class Income(mlflow.pyfunc.PythonModel):
    """A frame in, the probability of the positive class of each of its rows out."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """Probabilities, shape (n,)."""
        return self.pipeline.predict_proba(prepared(model_input))[:, 1]


if __name__ == "__main__":
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    mlflow.pyfunc.save_model(sys.argv[1], python_model=Income(load_pipeline()), pip_requirements=[])
