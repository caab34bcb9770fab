"""Tiny models of many kinds for the tests of the pages."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.base import is_outlier_detector
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from model.card import Card
from model.catalog import Catalog
from model.onboarding.describe import describe, evaluate_model
from model.onboarding.findings import gather_findings
from model.onboarding.load_pipeline import load_pipeline
from model.onboarding.schema_file import SchemaFile
from model.onboarding.training_data import read_training_data
from model.schema import Feature, FeatureKind
from model.scorer import Scorer

ROWS = 80
TARGET = "the answer"
PETS = ("none", "cat", "two dogs", "Kätzchen")
PEOPLE = (
    Feature(name="age", title="Age", kind=FeatureKind.NUMBER, minimum=18, maximum=90, integer=True),
    Feature(name="income", title="Monthly income", kind=FeatureKind.NUMBER, unit="euros"),
    Feature(name="pet", title="Pet", kind=FeatureKind.CATEGORY, categories=PETS),
)
"""The features of a schema as a model's owner would write it."""


@dataclass(frozen=True)
class Kind:
    """A fitted pipeline with its training inputs and their targets, if any; ``features`` of a written schema."""

    pipeline: Any
    inputs: pd.DataFrame
    truth: pd.DataFrame
    features: tuple[Feature, ...] = ()

    @property
    def answers(self) -> list[list[str]]:
        """The pipeline's own predictions of its inputs, one text per target."""
        predicted = self.pipeline.predict(self.inputs).tolist()
        if is_outlier_detector(self.pipeline):
            return [["normal" if value > 0 else "outlier"] for value in predicted]
        return [[str(value) for value in (row if isinstance(row, list) else [row])] for row in predicted]


def _numbers(columns: int, rows: int = ROWS) -> pd.DataFrame:
    values = np.random.default_rng(columns).normal(50, 20, (rows, columns)).round(2)
    return pd.DataFrame(values, columns=[f"size_{n}" for n in range(columns)])


def _fitted(pipeline: Any, inputs: pd.DataFrame, truth: Any = None, **known: Any) -> Kind:
    own = truth if isinstance(truth, pd.DataFrame) else pd.DataFrame({} if truth is None else {TARGET: truth})
    return Kind(pipeline.fit(inputs, truth), inputs, own, **known)


def _split(values: pd.Series, words: list[str]) -> np.ndarray:
    """Return a word per value by its rank, each word equally often."""
    return np.array(words)[(values.rank(method="first").to_numpy() - 1).astype(int) * len(words) // len(values)]


def _people() -> pd.DataFrame:
    """Return numbers and categories, among them ``none``, one with a space and one with an umlaut."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, ROWS),
            "income": rng.normal(3000, 900, ROWS).round(2),
            "pet": rng.choice(PETS, ROWS),
        }
    )


def _columns(frame: pd.DataFrame, *categories: str) -> Any:
    numbers = [name for name in frame if name not in categories]
    return make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(), list(categories)))


def binary() -> Kind:
    """Two classes with a probability, one of them called ``none``, with a written schema."""
    frame = _people()
    mood = np.where(frame["age"] + 10 * (frame["pet"] == "none") > 55, "none", "some more")
    return _fitted(make_pipeline(_columns(frame, "pet"), LogisticRegression()), frame, mood, features=PEOPLE)


def likeliest() -> Kind:
    """Two classes with a probability, but no threshold that reproduces the pipeline's labels."""
    frame, pipeline = _numbers(2), SVC(probability=True, random_state=0)
    return _fitted(pipeline, frame, np.random.default_rng(5).choice(["no", "yes"], ROWS))


def margins() -> Kind:
    """Two classes with a decision value instead of a probability."""
    frame = _people()
    return _fitted(make_pipeline(_columns(frame, "pet"), LinearSVC()), frame, _split(frame["income"], ["low", "high"]))


def votes() -> Kind:
    """Two classes without any score."""
    frame = _numbers(2)
    voters = [("lines", Perceptron(random_state=0)), ("bells", GaussianNB()), ("most", DummyClassifier())]
    return _fitted(VotingClassifier(voters), frame, _split(frame["size_0"], ["No", "Yes"]))


def classes() -> Kind:
    """Classes with names that are reserved elsewhere or hold spaces, umlauts and markup."""
    frame = _numbers(2)
    names = ["none", "a b", "größer & <b>", "probability"]
    return _fitted(make_pipeline(StandardScaler(), LogisticRegression()), frame, _split(frame["size_1"], names))


def letters() -> Kind:
    """32 classes named by numbers."""
    frame = _numbers(3, 160)
    numbers = [*map(str, range(32))]
    return _fitted(make_pipeline(StandardScaler(), LogisticRegression()), frame, _split(frame["size_0"], numbers))


def price() -> Kind:
    """A regressor."""
    frame = _people()
    pipeline = make_pipeline(_columns(frame, "pet"), LinearRegression())
    return _fitted(pipeline, frame, (frame["income"] * 2 - frame["age"]).round(2))


def unseen() -> Kind:
    """Unseen values are scored with a warning."""
    frame, encoder = _people(), OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((StandardScaler(), ["age", "income"]), (encoder, ["pet"]))
    return _fitted(make_pipeline(columns, LogisticRegression()), frame, _split(frame["age"], ["new", "old"]))


def reviews() -> Kind:
    """A text, a category and a number."""
    rng = np.random.default_rng(2)
    good = rng.random(ROWS) > 0.5
    texts = [f"{'good' if mood else 'bad'} number {n},\nsaid they" for n, mood in enumerate(good)]
    kinds, stars = rng.choice(["flat", "house"], ROWS), rng.normal(3, 1, ROWS).round(1)
    frame = pd.DataFrame({"review": texts, "kind": kinds, "stars": stars})
    columns = make_column_transformer(
        (TfidfVectorizer(), "review"), (OneHotEncoder(), ["kind"]), ("passthrough", ["stars"])
    )
    return _fitted(make_pipeline(columns, LogisticRegression()), frame, np.where(good, "glad", "sad"))


def visits() -> Kind:
    """Dates, booleans and a number."""
    rng = np.random.default_rng(3)
    days = pd.date_range("2024-01-01", periods=8).strftime("%Y-%m-%d").to_numpy()[rng.integers(0, 8, ROWS)]
    frame = pd.DataFrame({"day": days, "member": rng.random(ROWS) > 0.5, "guests": rng.integers(1, 9, ROWS)})
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((encoder, ["day"]), ("passthrough", ["member", "guests"]))
    is_full = frame["member"] & (frame["guests"] > 3)
    return _fitted(make_pipeline(columns, LogisticRegression()), frame, np.where(is_full, "full", "free"))


def gaps() -> Kind:
    """Every value may be missing."""
    frame = _people()
    frame = frame.mask(np.random.default_rng(4).random(frame.shape) < 0.2)
    imputer = SimpleImputer(strategy="constant", fill_value="unknown")
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
        (make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore")), ["pet"]),
    )
    return _fitted(make_pipeline(columns, LogisticRegression()), frame, _split(frame["income"].fillna(0), ["a", "b"]))


def names() -> Kind:
    """Features named like parameters, ids and properties of forms, or differing only in special characters."""
    called = [
        *("id", "file", "threshold", "model", "version", "filename", "action", "submit", "outcome", "record-form"),
        *("100 %", "größe", "A b", "a_b", "a-b", "#"),
    ]
    frame = _numbers(len(called)).set_axis(called, axis="columns")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    return _fitted(pipeline, frame, _split(frame["threshold"], ["no", "yes"]))


def targets() -> Kind:
    """A regressor of two targets."""
    frame = _numbers(3)
    truth = pd.DataFrame({"heat load": frame["size_0"] * 3 + 1, "Kühllast": frame["size_1"]})
    return _fitted(LinearRegression(), frame, truth)


def labels() -> Kind:
    """A classifier of two targets."""
    frame = _numbers(3)
    sells, grade = _split(frame["size_0"], ["no", "yes"]), _split(frame["size_1"], ["a", "b", "none"])
    return _fitted(DecisionTreeClassifier(random_state=0), frame, pd.DataFrame({"sells": sells, "grade": grade}))


def outliers() -> Kind:
    """An outlier detector."""
    return _fitted(make_pipeline(StandardScaler(), OneClassSVM(nu=0.2)), _numbers(2))


def clusters() -> Kind:
    """A clusterer."""
    return _fitted(KMeans(3, random_state=0), _numbers(2))


def wide58() -> Kind:
    """58 columns."""
    frame = _numbers(58)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    return _fitted(pipeline, frame, _split(frame["size_7"], ["no", "yes"]))


def wide751() -> Kind:
    """751 features."""
    frame = _numbers(751, 10)
    features = tuple(Feature(name=name, title=name, kind=FeatureKind.NUMBER) for name in frame)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, _split(frame["size_7"], ["no", "yes"]))
    # Without targets, so that the permutation importance of so many features is not computed.
    return Kind(pipeline, frame, pd.DataFrame(), features)


KINDS: dict[str, Callable[[], Kind]] = {
    make.__name__: make
    for make in (
        *(binary, likeliest, margins, votes, classes, letters, price, unseen, reviews, visits, gaps, names),
        *(targets, labels, outliers, clusters, wide58, wide751),
    )
}


def add_kind(name: str, kind: Kind, models: Path, folder: Path) -> Card:
    """Add a model to a folder of models as ``add_model`` does, but without the proof; ``folder`` is for its files."""
    artifact, data = folder / f"{name}.skops", folder / f"{name}.csv"
    skops.io.dump(kind.pipeline, artifact)
    kind.inputs.join(kind.truth).to_csv(data, index=False)
    loaded, targets = load_pipeline(artifact), tuple(kind.truth)
    features = kind.features or None
    found = gather_findings(loaded.pipeline, read_training_data(data, {}), targets, loaded.features, (), features)
    schema = SchemaFile(title=name, description="", target=TARGET, features=kind.features) if features else None
    card = describe(loaded, found, name, data, targets, schema, lambda _: None)
    card, _ = evaluate_model(Scorer(card, loaded.pipeline), found, None, loaded.format, lambda _: None)
    artifact.write_bytes(loaded.content)
    Catalog(models).publish(card, artifact)
    return card
