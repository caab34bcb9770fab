"""Kinds of predictions: labels of every kind, several targets, outliers, clusters."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN, Birch, KMeans, MiniBatchKMeans
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.mixture import GaussianMixture
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.preprocessing import LabelEncoder
from sklearn.svm import SVR, OneClassSVM

from tests.models import tables
from tests.models.answers import ExpectedPredictions
from tests.models.case import Case, Refused, TrainedModel, bring
from tests.models.pipelines import by_type, logistic, prepared, scaled

CULTIVARS = ("barbera", "barolo", "grignolino")


def labelled(labels: list[Any], folder: Path) -> TrainedModel:
    """Three kinds of wine, called so."""
    words = dict(zip(("barolo", "grignolino", "barbera"), labels, strict=True))
    table = tables.wine()
    table["cultivar"] = [words[name] for name in table["cultivar"]]
    return bring(folder, scaled(logistic()), table, "cultivar", read={"keep_default_na": False})


def two_labels(labels: list[Any], folder: Path) -> TrainedModel:
    table = tables.cancer().iloc[:, -6:]
    table["diagnosis"] = [labels[n] for n in table["diagnosis"]]
    return bring(folder, scaled(logistic()), table, "diagnosis", read={"keep_default_na": False})


def label_encoder(said: bool, folder: Path) -> TrainedModel:
    """The pipeline knows numbers only; the file has the words."""
    classes = CULTIVARS if said else ()
    return bring(
        folder, scaled(logistic()), tables.wine(), "cultivar", taught=LabelEncoder().fit_transform, classes=classes
    )


def label_encoder_of_two(folder: Path) -> TrainedModel:
    model = by_type(logistic())
    taught = LabelEncoder().fit_transform
    return bring(folder, model, tables.adult(1500), "income", taught=taught, classes=("<=50K", ">50K"))


def several(model: Any, folder: Path) -> TrainedModel:
    """Exercises and bodies: three numbers of three numbers."""
    table, targets = tables.linnerud()
    return bring(folder, model, table, targets)


def forest_of_weather(folder: Path) -> TrainedModel:
    """A forest of several numbers by itself."""
    table = tables.weather()[["precipitation", "temp_max", "temp_min", "wind"]]
    model = RandomForestRegressor(15, random_state=0)
    return bring(folder, model, table, ("temp_max", "temp_min"))


def two_words(folder: Path) -> TrainedModel:
    """Two targets of words each."""
    numbers = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]
    model = RandomForestClassifier(15, random_state=0)
    table = tables.known_penguins()[[*numbers, "species", "sex"]]
    return bring(folder, model, table, ("species", "sex"))


def multilabel(model: Any, folder: Path) -> TrainedModel:
    table, names = tables.tags()
    return bring(folder, model, table, names)


def multilabel_from_array(model: Any, folder: Path) -> TrainedModel:
    """Labels taught as an array: the model does not know what they are called."""
    table, names = tables.tags()
    return bring(folder, model, table, names, taught=lambda frame: frame.to_numpy())


def unsupervised(model: Any, folder: Path, saved: str = "skops") -> TrainedModel:
    return bring(folder, model, tables.wine().drop(columns="cultivar"), saved=saved)


def outliers_among_words(folder: Path) -> TrainedModel:
    table = tables.telco().drop(columns=["customerID", "TotalCharges", "Churn"])
    numbers, words = ["tenure", "MonthlyCharges"], ["Contract", "InternetService"]
    return bring(folder, prepared(numbers, words, IsolationForest(n_estimators=25, random_state=0)), table)


def own_clusters(model: Any, asked: pd.DataFrame) -> ExpectedPredictions:
    return ExpectedPredictions(np.asarray(model.predict(asked)).reshape(-1, 1), {})


def birch(folder: Path) -> Refused:
    """Only pickle can store its tree of clusters."""
    return Refused(unsupervised(scaled(Birch(n_clusters=3)), folder, saved="joblib").words)


def without_predict(folder: Path) -> Refused:
    trained = bring(folder, DBSCAN(2.0), tables.wine().drop(columns="cultivar"), answers=own_clusters)
    return Refused(trained.words)


def refused_without_classes(folder: Path) -> Refused:
    return Refused(label_encoder(False, folder).words)


CASES = (
    Case("labels-whole-numbers", partial(labelled, [1, 2, 3])),
    Case("labels-floats", partial(labelled, [1.0, 2.0, 3.0])),
    Case("labels-with-spaces", partial(labelled, ["Nebbiolo di Alba", " led by a space", "a  b"])),
    Case("labels-none-and-na", partial(labelled, ["none", "NA", "null"]), cheap=True, browser=True),
    Case("labels-unicode", partial(labelled, ["Grüner \N{SNOWMAN}", "Ǆ, “x”", 'a;b,c"d']), browser=True),
    Case("labels-that-differ-by-case", partial(labelled, ["Red", "red", "RED"])),
    Case("labels-booleans", partial(two_labels, [True, False])),
    Case("labels-y-and-n", partial(two_labels, ["Y", "N"])),
    Case("labels-zero-and-one-as-floats", partial(two_labels, [0.0, 1.0])),
    Case("labels-minus-one-and-one", partial(two_labels, [-1, 1])),
    Case("label-encoder-with-classes", partial(label_encoder, True), cheap=True),
    Case("label-encoder-of-two", label_encoder_of_two),
    Case(
        "label-encoder-without-classes",
        refused_without_classes,
        refused=("--classes", "barbera,barolo,grignolino"),
    ),
    Case("multi-output-regressor", partial(several, MultiOutputRegressor(scaled(SVR()))), cheap=True, browser=True),
    Case("regressor-chain", partial(several, RegressorChain(Ridge(), order=[0, 1, 2]))),
    Case("ridge-of-several", partial(several, scaled(Ridge()))),
    Case("forest-of-several", forest_of_weather),
    Case("forest-of-two-words", two_words),
    Case(
        "multilabel-classifier",
        partial(multilabel, MultiOutputClassifier(scaled(logistic()))),
        browser=True,
    ),
    Case("multilabel-one-vs-rest", partial(multilabel_from_array, OneVsRestClassifier(scaled(logistic())))),
    Case("multilabel-neighbours", partial(multilabel, KNeighborsClassifier(3))),
    Case("classifier-chain", partial(multilabel_from_array, ClassifierChain(scaled(logistic()), random_state=0))),
    Case(
        "isolation-forest",
        partial(unsupervised, IsolationForest(n_estimators=25, random_state=0)),
        cheap=True,
        browser=True,
    ),
    Case("isolation-forest-of-words", outliers_among_words),
    Case("one-class-svm", partial(unsupervised, scaled(OneClassSVM(nu=0.1)))),
    Case("local-outlier-factor", partial(unsupervised, scaled(LocalOutlierFactor(novelty=True)))),
    Case("elliptic-envelope", partial(unsupervised, EllipticEnvelope(random_state=0))),
    Case("k-means", partial(unsupervised, scaled(KMeans(3, n_init=3, random_state=0)))),
    Case("mini-batch-k-means", partial(unsupervised, scaled(MiniBatchKMeans(3, n_init=3, random_state=0)))),
    Case("gaussian-mixture", partial(unsupervised, scaled(GaussianMixture(3, random_state=0)))),
    Case("birch", birch, refused=("Birch", "without pickle", "KMeans")),
    Case("dbscan", without_predict, refused=("DBSCAN", "predict")),
)
