"""Check that an object is one fitted model that predicts; say what anything else is, and what to do about it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from model.errors import RefusedModel
from model.trusted_types import ESTIMATOR_PACKAGES

_TO_ONNX = "export it to ONNX and add that file"
_OTHER_LIBRARIES = {
    "statsmodels": (
        "results of statsmodels, which build their inputs by a formula or need a constant column; refit the model with "
        "scikit-learn (LinearRegression, LogisticRegression, PoissonRegressor), or wrap it in a class of --module"
    ),
    "torch": f"a PyTorch module; {_TO_ONNX}",
    "keras": f"a Keras model; {_TO_ONNX}",
    "tensorflow": f"a TensorFlow model; {_TO_ONNX}",
    "pyspark": f"a Spark model, which needs a Spark session; {_TO_ONNX}",
    "transformers": f"a model of Hugging Face's transformers; {_TO_ONNX}",
    "mlflow": "a wrapper of MLflow's; add the folder of the model, or the model in it",
}
_SAVE_WHOLE = "save the whole Pipeline, with the model as its last step"


def check_model(model: Any, path: Path) -> None:
    """Raise RefusedModel where ``model`` is not a fitted estimator with ``predict``."""
    root = type(model).__module__.partition(".")[0]
    if root in _OTHER_LIBRARIES:
        raise RefusedModel(f"{path} holds {_OTHER_LIBRARIES[root]}")
    if isinstance(model, type):
        raise RefusedModel(
            f"{path} holds the class {model.__name__}, not a fitted instance of it; fit one and save that"
        )
    if not hasattr(model, "predict") and not hasattr(model, "fit") and callable(model):
        name = getattr(model, "__name__", type(model).__name__)
        raise RefusedModel(
            f"{path} holds the function {name}; make it the predict of a class in a Python file, given with --module"
        )
    if isinstance(model, np.ndarray | pd.DataFrame | pd.Series):
        raise RefusedModel(f"{path} holds data ({type(model).__name__}), not a model; add the fitted pipeline")
    if not hasattr(model, "predict"):
        raise RefusedModel(f"{path} holds a {_describe_without_predict(model)}")
    _check_fitted(model, path)


def _describe_without_predict(model: Any) -> str:
    name = type(model).__name__
    last = model.steps[-1][1] if isinstance(model, Pipeline) and model.steps else model
    inside = f"{name} that ends with a {type(last).__name__}" if last is not model else name
    if getattr(last, "refit", True) is False:
        return f"{name} with refit=False, which keeps no model; fit it with refit=True"
    if name == "LocalOutlierFactor" or (type(last).__name__ == "LocalOutlierFactor"):
        return f"{inside} that labels only the rows it was fitted on; fit it with novelty=True"
    if hasattr(last, "fit_predict"):
        return (
            f"{inside}, which labels the rows that it was fitted on and cannot predict others; KMeans, MiniBatchKMeans "
            "and GaussianMixture can"
        )
    if hasattr(last, "transform"):
        return f"{inside}, which transforms and does not predict; {_SAVE_WHOLE}"
    return f"{inside}, which does not predict; {_SAVE_WHOLE}"


def _check_fitted(model: Any, path: Path) -> None:
    advice = "fit it on the training data and save it again"
    is_fitted = getattr(model, "is_fitted", None)
    if type(model).__module__.startswith("catboost.") and callable(is_fitted):
        if not is_fitted():
            raise RefusedModel(f"{path} is not fitted: {advice}")
        return
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        # An estimator of one's own may keep its fitted state under any name.
        if type(model).__module__.partition(".")[0] in ESTIMATOR_PACKAGES:
            raise RefusedModel(
                f"{path} is not fitted: {type(model).__name__} has not been fitted yet; {advice}"
            ) from error
    except TypeError as error:
        # An object without ``fit`` cannot be unfitted. Of a pipeline, the last step is a class or no estimator.
        if isinstance(model, Pipeline):
            raise RefusedModel(f"{path} is not fitted: {' '.join(str(error).split())}; {advice}") from error
