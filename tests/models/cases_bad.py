"""Bad input: each is refused in one line that says why, and the service keeps running."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge

from tests.models import tables
from tests.models.case import Case, Refused, bring, save
from tests.models.cases_files import own_module
from tests.models.pipelines import logistic, scaled

ODD_ESTIMATORS = """
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

class _Fitted(RegressorMixin, BaseEstimator):
    def fit(self, frame, y):
        self.feature_names_in_ = frame.columns.to_numpy(dtype=object)
        self.n_features_in_ = frame.shape[1]
        self.mean_ = float(np.mean(y))
        return self

class FromCallToCall(_Fitted):
    def predict(self, frame):
        return np.random.default_rng().normal(self.mean_, 1, len(frame))

class FromItsNeighbours(_Fitted):
    def predict(self, frame):
        return np.asarray(frame.iloc[:, 0] - frame.iloc[:, 0].mean())

class RaisesOnOneRow(_Fitted):
    def predict(self, frame):
        if (frame.iloc[:, 0] > 0.108).any():
            raise ZeroDivisionError("a patient of that age")
        return np.full(len(frame), self.mean_)

class TooFewAnswers(_Fitted):
    def predict(self, frame):
        return np.full(max(len(frame) - 1, 0), self.mean_)

class NoNumbers(_Fitted):
    def predict(self, frame):
        return np.full(len(frame), np.nan)
"""
EXITS = "import os\nos._exit(0)\n"
STOPS = "raise SystemExit('no')\n"
CONNECTS = "import socket\nsocket.create_connection(('127.0.0.1', 1), timeout=5)\n"
SYNTAX = "def broken(:\n"


def iris_words(
    folder: Path, table: pd.DataFrame | None = None, target: str = "species", saved: str = "skops"
) -> Refused:
    """A good model of irises, with another table or target."""
    words = bring(folder, scaled(logistic()), tables.iris(), "species", saved=saved).words
    if table is not None:
        table.to_csv(folder / "other.csv", index=False)
        words = (words[0], "--data", str(folder / "other.csv"), *words[3:])
    return Refused(tuple(target if word == "species" else word for word in words))


def no_target(folder: Path) -> Refused:
    return iris_words(folder, target="specie")


def target_without_values(folder: Path) -> Refused:
    return iris_words(folder, tables.iris().assign(species=""))


def rows(count: int, folder: Path) -> Refused:
    return iris_words(folder, tables.iris().head(count))


def other_columns(folder: Path) -> Refused:
    return iris_words(folder, tables.iris().rename(columns={"petal length (cm)": "petal length (mm)"}))


def far_too_wide(folder: Path) -> Refused:
    """A million columns."""
    words = iris_words(folder).words
    path = folder / "wide.csv"
    names, cells = ",".join(f"c{n}" for n in range(1_000_000)), ",".join(["1"] * 1_000_000)
    path.write_text(f"{names}\n{cells}\n{cells}\n")
    return Refused((words[0], "--data", str(path), *words[3:]))


def one_class(folder: Path) -> Refused:
    table = tables.iris().head(50)
    return Refused(bring(folder, RandomForestClassifier(5, random_state=0), table, "species").words)


def not_a_table(folder: Path) -> Refused:
    words = iris_words(folder).words
    path = folder / "picture.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200))
    return Refused((words[0], "--data", str(path), *words[3:]))


def not_a_model(folder: Path) -> Refused:
    words = iris_words(folder).words
    Path(words[0]).write_bytes(b"PK\x03\x04 nothing that is a model")
    return Refused(words)


def module_that(name: str, text: str, folder: Path) -> Refused:
    """A good model with a bad module."""
    (folder / f"{name}.py").write_text(text)
    found = iris_words(folder, saved="joblib")
    return Refused((*found.words, "--module", str(folder / f"{name}.py")))


def estimator(name: str, folder: Path) -> Refused:
    """A user's own estimator that misbehaves."""
    module = own_module(folder, f"odd_{name.lower()}", ODD_ESTIMATORS)
    table = tables.diabetes()
    table.to_csv(folder / "data.csv", index=False)
    model = getattr(module, name)().fit(table.drop(columns="progression"), table["progression"])
    file = save(model, folder, "joblib")
    words = (str(file), "--data", str(folder / "data.csv"), "--target", "progression", "--trust")
    return Refused((*words, "--module", str(folder / f"odd_{name.lower()}.py")))


def schema_of_another(folder: Path) -> Refused:
    path = folder / "schema.toml"
    path.write_text('title = "x"\n[[features]]\nname = "nothing"\n')
    return Refused((*iris_words(folder).words, "--schema", str(path)))


def wrong_classes(classes: str, folder: Path) -> Refused:
    return Refused((*iris_words(folder).words, "--classes", classes))


def wrong_dtypes(folder: Path) -> Refused:
    return Refused((*iris_words(folder).words, "--dtypes", "petal=str"))


def target_is_a_feature(folder: Path) -> Refused:
    table = tables.diabetes()
    words = bring(folder, Ridge(), table, "progression").words
    return Refused(tuple("bmi" if word == "progression" else word for word in words))


def infinite(folder: Path) -> Refused:
    """A table with a value in each row that no numeric pipeline accepts."""
    table = tables.iris().assign(**{"petal length (cm)": np.inf})
    return iris_words(folder, table)


Make = Callable[[Path], Any]
ALL: dict[str, tuple[Make, tuple[str, ...]]] = {
    "target-not-there": (no_target, ("specie", "species")),
    "target-without-values": (target_without_values, ("target",)),
    "table-of-no-rows": (partial(rows, 0), ("rows",)),
    "table-of-one-row": (partial(rows, 1), ("row",)),
    "table-of-other-columns": (other_columns, ("petal length (cm)",)),
    "table-of-a-million-columns": (far_too_wide, ("columns",)),
    "table-of-infinite-numbers": (infinite, ("infinity",)),
    "table-is-a-picture": (not_a_table, ("picture.csv",)),
    "model-is-none": (not_a_model, ("model.skops",)),
    "one-class": (one_class, ("class",)),
    "module-exits": (partial(module_that, "exits", EXITS), ("exits",)),
    "module-stops": (partial(module_that, "stops", STOPS), ("stops",)),
    "module-opens-a-socket": (partial(module_that, "connects", CONNECTS), ("connects",)),
    "module-with-a-syntax-error": (partial(module_that, "broken", SYNTAX), ("broken",)),
    "answers-change-from-call-to-call": (partial(estimator, "FromCallToCall"), ("call",)),
    "answers-depend-on-other-rows": (partial(estimator, "FromItsNeighbours"), ("depends on the others",)),
    "raises-on-one-row": (partial(estimator, "RaisesOnOneRow"), ("a patient of that age",)),
    "too-few-answers": (partial(estimator, "TooFewAnswers"), ("441",)),
    "answers-are-no-numbers": (partial(estimator, "NoNumbers"), ("nan",)),
    "schema-of-another-model": (schema_of_another, ("schema",)),
    "too-few-classes": (partial(wrong_classes, "a,b"), ("--classes",)),
    "classes-of-another-target": (partial(wrong_classes, "a,b,c"), ("a",)),
    "types-of-a-column-not-there": (wrong_dtypes, ("petal",)),
    "target-is-a-feature": (target_is_a_feature, ("bmi",)),
}


CASES = tuple(
    Case(name, make, refused=words, cheap=name == "answers-depend-on-other-rows") for name, (make, words) in ALL.items()
)
