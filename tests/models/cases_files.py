"""File formats of models, and the modules that belong to them."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import cloudpickle
import joblib
import pandas as pd
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tests.models import tables
from tests.models.case import Case, Refused, TrainedModel, bring
from tests.models.pipelines import logistic, one_hot, scaled

FUNCTION = """
import numpy as np

def ratios(frame):
    return frame.assign(ratio=frame["tenure"] / np.maximum(frame["MonthlyCharges"], 1))
"""
CLASS = """
from sklearn.base import BaseEstimator, TransformerMixin

class Rare(TransformerMixin, BaseEstimator):
    \"\"\"Words that are rare become one.\"\"\"

    def __init__(self, least=40):
        self.least = least

    def fit(self, frame, y=None):
        self.feature_names_in_ = frame.columns.to_numpy(dtype=object)
        self.n_features_in_ = frame.shape[1]
        self.kept_ = {}
        for name in frame:
            counts = frame[name].value_counts()
            self.kept_[name] = sorted(counts[counts >= self.least].index)
        return self

    def transform(self, frame):
        return frame.apply(lambda column: column.where(column.isin(self.kept_[column.name]), "rare"))

    def get_feature_names_out(self, names=None):
        return self.feature_names_in_
"""
MONTHS = """
def months(frame):
    return frame.assign(date=frame["date"].dt.month)
"""
SCRIPT = f"""
import joblib, sys
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
{CLASS}
table = pd.read_csv(sys.argv[1])
model = make_pipeline(Rare(), OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
joblib.dump(model.fit(table[["Contract", "InternetService"]], table["Churn"]), sys.argv[2])
"""


def own_module(folder: Path, name: str, text: str) -> ModuleType:
    """A module that lies beside the model, imported as its owner did."""
    (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    try:
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def saved_as(kind: str, folder: Path) -> TrainedModel:
    return bring(folder, scaled(logistic()), tables.wine(), "cultivar", saved=kind)


def bundled(said: bool, folder: Path, **more: Any) -> TrainedModel:
    """A dictionary with the model, the names of its features, and figures."""
    trained = bring(folder, scaled(logistic()), tables.wine(), "cultivar")
    features = list(tables.wine().columns[:-1])
    path = folder / "bundle.joblib"
    bundle = {"model": trained.pipeline, "features": features, "accuracy": 0.97, "trained": "2026-03-01", **more}
    joblib.dump(bundle, path)
    words = (str(path), *trained.words[1:], "--trust", *(("--key", "model") if said else ()))
    return _with(trained, words)


def _with(trained: TrainedModel, words: tuple[str, ...]) -> TrainedModel:
    return replace(trained, words=words)


def refused(make: Callable[[Path], TrainedModel], folder: Path) -> Refused:
    return Refused(make(folder).words)


def two_models(folder: Path) -> Refused:
    """The file does not say which of them is meant."""
    spare = scaled(logistic()).fit(tables.iris().iloc[:, :4], tables.iris()["species"])
    return Refused(bundled(False, folder, spare=spare).words)


def scaler_beside(folder: Path) -> Refused:
    """The file does not say to which columns the scaler was applied."""
    return Refused(bundled(True, folder, scaler=StandardScaler().fit(tables.wine().iloc[:, :13])).words)


def mlflow_folder(folder: Path) -> TrainedModel:
    """A folder as MLflow saves a model of scikit-learn."""
    trained = bring(folder, scaled(logistic()), tables.wine(), "cultivar")
    model = folder / "mlflow-model"
    model.mkdir()
    (model / "model.pkl").write_bytes(cloudpickle.dumps(trained.pipeline))
    (model / "requirements.txt").write_text(f"scikit-learn=={sklearn.__version__}\ncloudpickle\n")
    columns = list(tables.wine().columns[:-1])
    signature = json.dumps([{"type": "double", "name": name, "required": True} for name in columns])
    (model / "MLmodel").write_text(
        f"""artifact_path: model
flavors:
  python_function:
    env: {{conda: conda.yaml, virtualenv: python_env.yaml}}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.7
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: {sklearn.__version__}
mlflow_version: 3.1.0
model_uuid: 8a6c9e0d6d4f4d0f9f6f2f1f9d6c1c55
signature:
  inputs: '{signature}'
  outputs: '[{{"type": "string", "required": true}}]'
  params: null
utc_time_created: '2026-03-01 09:00:00.000000'
"""
    )
    return _with(trained, (str(model), *trained.words[1:], "--trust"))


def made_by(version: str, words: tuple[str, ...], folder: Path) -> TrainedModel:
    """A pickle that an older scikit-learn made, as it says."""
    with patch("sklearn.base.__version__", version):
        return bring(folder, scaled(logistic()), tables.wine(), "cultivar", saved="pkl", words=words)


def own_function(folder: Path) -> TrainedModel:
    module = own_module(folder, "ratio_features", FUNCTION)
    columns = make_column_transformer((FunctionTransformer(module.ratios), ["tenure", "MonthlyCharges"]))
    table = tables.telco()[["tenure", "MonthlyCharges", "Churn"]]
    words = ("--module", str(folder / "ratio_features.py"))
    return bring(folder, make_pipeline(columns, logistic()), table, "Churn", saved="joblib", words=words)


def own_class(name: str, said: bool, folder: Path) -> TrainedModel:
    module = own_module(folder, name, CLASS)
    model = make_pipeline(module.Rare(), one_hot(), logistic())
    table = tables.telco()[["Contract", "InternetService", "Churn"]]
    words = ("--module", str(folder / f"{name}.py")) if said else ()
    return bring(folder, model, table, "Churn", saved="joblib", words=words)


def own_function_of_dates(folder: Path) -> TrainedModel:
    """Days as pandas has them, made into months by a function of the owner's."""
    module = own_module(folder, "month_features", MONTHS)
    columns = make_column_transformer(
        (FunctionTransformer(module.months), ["date"]), ("passthrough", ["temp_max", "wind"])
    )
    table = tables.weather()[["date", "temp_max", "wind", "weather"]]
    words = ("--module", str(folder / "month_features.py"))
    model = make_pipeline(columns, logistic(max_iter=3000))
    read = {"parse_dates": ["date"]}
    return bring(folder, model, table, "weather", read=read, saved="joblib", words=words, odd_values=False)


def class_of_a_script(folder: Path) -> Refused:
    """A class of the script that trained the model, which exists nowhere else."""
    tables.telco().to_csv(folder / "data.csv", index=False)
    (folder / "train.py").write_text(SCRIPT)
    command = [sys.executable, "train.py", "data.csv", "model.joblib"]
    subprocess.run(command, cwd=folder, check=True)
    return Refused((str(folder / "model.joblib"), "--data", str(folder / "data.csv"), "--target", "Churn", "--trust"))


def function_without_a_name(folder: Path) -> Refused:
    trained = bring(folder, scaled(logistic()), tables.wine(), "cultivar")
    columns = list(tables.wine().columns[:-1])
    model = make_pipeline(FunctionTransformer(lambda frame: frame**2), LogisticRegression(max_iter=3000))
    model.fit(tables.wine()[columns], tables.wine()["cultivar"])
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(model))
    return Refused((str(folder / "model.pkl"), *trained.words[1:], "--trust"))


def of_statsmodels(folder: Path) -> Refused:
    """A result of statsmodels, which is no estimator, and whose library is not here."""
    names = ("statsmodels", "statsmodels.regression", "statsmodels.regression.linear_model")
    modules = {name: ModuleType(name) for name in names}
    result = type("RegressionResultsWrapper", (), {"__module__": names[-1]})
    vars(modules[names[-1]])["RegressionResultsWrapper"] = result
    with patch.dict(sys.modules, modules):
        return other_object(result(), folder)


def other_object(thing: Any, folder: Path) -> Refused:
    """A pickle that holds no model."""
    tables.iris().to_csv(folder / "data.csv", index=False)
    joblib.dump(thing, folder / "model.joblib")
    return Refused((str(folder / "model.joblib"), "--data", str(folder / "data.csv"), "--target", "species", "--trust"))


def without_trust(folder: Path) -> Refused:
    trained = saved_as("pkl", folder)
    return Refused(tuple(word for word in trained.words if word != "--trust"))


def not_fitted(folder: Path) -> Refused:
    return other_object(scaled(logistic()), folder)


def wrong_end(folder: Path) -> TrainedModel:
    """A pickle that is called .skops: the content tells the format."""
    trained = saved_as("pkl", folder)
    path = Path(trained.words[0]).rename(folder / "renamed.skops")
    return _with(trained, (str(path), *trained.words[1:]))


CASES = (
    Case("file-sav", partial(saved_as, "sav")),
    Case("file-joblib-gz", partial(saved_as, "joblib.gz")),
    Case("file-pkl-xz", partial(saved_as, "pkl.xz")),
    Case("file-pickle", partial(saved_as, "pickle")),
    Case("file-wrong-end", wrong_end),
    Case("file-without-trust", without_trust, refused=("--trust", "pickle")),
    Case("bundle", partial(bundled, True)),
    Case("bundle-of-one-model", partial(bundled, False)),
    Case("bundle-of-two-models", two_models, refused=("--key", "model", "spare")),
    Case("bundle-with-a-scaler", scaler_beside, refused=("scaler", "make_pipeline")),
    Case("mlflow-folder", mlflow_folder),
    Case("old-scikit-learn", partial(refused, partial(made_by, "0.24.2", ())), refused=("0.24.2", "train it again")),
    Case("older-scikit-learn", partial(refused, partial(made_by, "1.5.2", ())), refused=("1.5.2", "--trust-version")),
    Case("older-scikit-learn-trusted", partial(made_by, "1.5.2", ("--trust-version",))),
    Case("own-function", own_function),
    Case("own-function-of-dates", own_function_of_dates),
    Case("own-class", partial(own_class, "rare_words", True), cheap=True, browser=True),
    Case(
        "own-class-without-module",
        partial(refused, partial(own_class, "rare_words_alone", False)),
        refused=("rare_words_alone", "--module"),
        cheap=True,
    ),
    Case("class-of-a-script", class_of_a_script, refused=("__main__", "--module")),
    Case("function-without-a-name", function_without_a_name, refused=("lambda", "--module")),
    Case("statsmodels", of_statsmodels, refused=("statsmodels",)),
    Case("holds-no-model", partial(other_object, pd.DataFrame({"a": [1]})), refused=("DataFrame",)),
    Case("holds-a-list", partial(other_object, [1, 2, 3]), refused=("list",)),
    Case("not-fitted", not_fitted, refused=("not fitted",)),
)
