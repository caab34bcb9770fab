"""Whether an object is one fitted model that predicts; what is not is refused by what it is, with the way out."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from model.errors import RefusedModel
from model.trusted_types import ESTIMATOR_PACKAGES

_TO_ONNX = "export it to ONNX and bring that file"
_OF_OTHERS = {
    "statsmodels": (
        "results of statsmodels, which build their inputs by a formula or need a constant column; refit the model with "
        "scikit-learn (LinearRegression, LogisticRegression, PoissonRegressor), or wrap it in a class of --module"
    ),
    "torch": f"a PyTorch module; {_TO_ONNX}",
    "keras": f"a Keras model; {_TO_ONNX}",
    "tensorflow": f"a TensorFlow model; {_TO_ONNX}",
    "pyspark": f"a Spark model, which needs a Spark session; {_TO_ONNX}",
    "transformers": f"a model of Hugging Face's transformers; {_TO_ONNX}",
    "mlflow": "a wrapper of MLflow's; bring the folder of the model, or the model in it",
}
_WHOLE = "save the whole Pipeline, with the model as its last step"


def check_model(found: Any, path: Path) -> None:
    """Raise RefusedModel where `found` is not a fitted estimator with `predict`."""
    root = type(found).__module__.partition(".")[0]
    if root in _OF_OTHERS:
        raise RefusedModel(f"{path} holds {_OF_OTHERS[root]}")
    if isinstance(found, type):
        raise RefusedModel(
            f"{path} holds the class {found.__name__}, not a fitted instance of it; fit one and save that"
        )
    if not hasattr(found, "predict") and not hasattr(found, "fit") and callable(found):
        name = getattr(found, "__name__", type(found).__name__)
        raise RefusedModel(
            f"{path} holds the function {name}; make it the predict of a class in a Python file, given with --module"
        )
    if isinstance(found, np.ndarray | pd.DataFrame | pd.Series):
        raise RefusedModel(f"{path} holds data ({type(found).__name__}), not a model; bring the fitted pipeline")
    if not hasattr(found, "predict"):
        raise RefusedModel(f"{path} holds a {_without_predict(found)}")
    _check_fitted(found, path)


def _without_predict(found: Any) -> str:
    name = type(found).__name__
    last = found.steps[-1][1] if isinstance(found, Pipeline) and found.steps else found
    inside = f"{name} that ends with a {type(last).__name__}" if last is not found else name
    if getattr(last, "refit", True) is False:
        return f"{name} with refit=False, which keeps no model; fit it with refit=True"
    if name == "LocalOutlierFactor" or (type(last).__name__ == "LocalOutlierFactor"):
        return f"{inside} for its own rows only; fit it with novelty=True"
    if hasattr(last, "fit_predict"):
        return (
            f"{inside}, which labels the rows that it was fitted on and cannot predict others; KMeans, MiniBatchKMeans "
            "and GaussianMixture can"
        )
    if hasattr(last, "transform"):
        return f"{inside}, which transforms and does not predict; {_WHOLE}"
    return f"{inside}, which does not predict; {_WHOLE}"


def _check_fitted(found: Any, path: Path) -> None:
    advice = "fit it on the training data and save it again"
    is_fitted = getattr(found, "is_fitted", None)
    if type(found).__module__.startswith("catboost.") and callable(is_fitted):
        if not is_fitted():
            raise RefusedModel(f"{path} is not fitted: {advice}")
        return
    try:
        check_is_fitted(found)
    except NotFittedError as error:
        # What somebody wrote may keep what it learnt under any name.
        if type(found).__module__.partition(".")[0] in ESTIMATOR_PACKAGES:
            raise RefusedModel(
                f"{path} is not fitted: {type(found).__name__} has learnt nothing yet; {advice}"
            ) from error
    except TypeError as error:
        if isinstance(found, Pipeline):
            raise RefusedModel(f"{path} is not fitted: {' '.join(str(error).split())}; {advice}") from error
