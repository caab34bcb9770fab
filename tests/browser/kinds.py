"""A dozen kinds of models as people bring them, tiny, for the tests of the pages: trained once for all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
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
from sklearn.svm import LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from model.add import Order, add
from model.card import Card, LabelRule, ModelKind, Scores
from model.catalog import Catalog, version_of
from model.files import sha256_of
from model.schema import Feature, FeatureKind, UnseenPolicy
from model.schema_file import SchemaFile
from model.summary import library_versions

ROWS = 80
TARGET = "the answer"
MOST_INSPECTED = 100
OUTLIER_CLASSES = ("outlier", "normal")
TREE = "sklearn.tree._tree.Tree"
PLAIN: dict[str, Any] = {"classes": (), "positive_class": None, "threshold": None, "scores": Scores.NONE}
PETS = ("none", "cat", "two dogs", "Kätzchen")


@dataclass(frozen=True)
class Kind:
    """A fitted pipeline with the inputs and the target of its training data."""

    pipeline: Any
    inputs: pd.DataFrame
    target: Any
    trust: tuple[str, ...] = ()
    features: tuple[Feature, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def answers(self) -> list[str]:
        """What the pipeline itself predicts for its inputs, as text."""
        predicted = self.pipeline.predict(self.inputs).tolist()
        if self.card.get("kind") is ModelKind.OUTLIER_DETECTOR:
            return [OUTLIER_CLASSES[value > 0] for value in predicted]
        return [" ".join(map(str, value)) if isinstance(value, list) else str(value) for value in predicted]


def _numbers(columns: int, rows: int = ROWS) -> pd.DataFrame:
    values = np.random.default_rng(columns).normal(50, 20, (rows, columns)).round(2)
    return pd.DataFrame(values, columns=[f"size_{n}" for n in range(columns)])


def _fitted(pipeline: Any, inputs: pd.DataFrame, target: Any, **known: Any) -> Kind:
    """``known``: what of the kind is not found out by itself."""
    return Kind(pipeline.fit(inputs, target), inputs, target, **known)


def _split(values: pd.Series, words: list[str]) -> np.ndarray:
    """A word for each value, by where it stands among all: every word as often as the others."""
    return np.array(words)[(values.rank(method="first").to_numpy() - 1).astype(int) * len(words) // len(values)]


def _people() -> pd.DataFrame:
    """Numbers and categories, one of which is called `none`, and one has spaces and an umlaut."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, ROWS),
            "income": rng.normal(3000, 900, ROWS).round(2),
            "pet": rng.choice(PETS, ROWS),
        }
    )


def _schema(**update: Any) -> tuple[Feature, ...]:
    """What the records of people are, as their owner writes it; ``update`` holds for all three features."""
    features = (
        Feature(name="age", title="Age", kind=FeatureKind.NUMBER, minimum=18, maximum=90, integer=True),
        Feature(name="income", title="Monthly income", kind=FeatureKind.NUMBER, unit="euros"),
        Feature(name="pet", title="Pet", kind=FeatureKind.CATEGORY, categories=PETS),
    )
    return tuple(feature.model_copy(update=update) for feature in features)


def _columns(frame: pd.DataFrame, *categories: str) -> Any:
    numbers = [name for name in frame if name not in categories]
    return make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(), list(categories)))


def binary() -> Kind:
    """Two classes with a probability; one of them is called `none`."""
    frame = _people()
    mood = np.where(frame["age"] + 10 * (frame["pet"] == "none") > 55, "none", "some more")
    return _fitted(make_pipeline(_columns(frame, "pet"), LogisticRegression()), frame, mood, features=_schema())


def margins() -> Kind:
    """Two classes with a decision value, not a probability."""
    frame = _people()
    return _fitted(
        make_pipeline(_columns(frame, "pet"), LinearSVC()),
        frame,
        _split(frame["income"], ["low", "high"]),
        features=_schema(),
    )


def votes() -> Kind:
    """Two classes and nothing beside the prediction."""
    frame = _numbers(2)
    voters = [("lines", Perceptron(random_state=0)), ("bells", GaussianNB()), ("most", DummyClassifier())]
    return _fitted(
        VotingClassifier(voters), frame, _split(frame["size_0"], ["No", "Yes"]), trust=("sklearn.utils._bunch.Bunch",)
    )


def classes() -> Kind:
    """Classes whose names are words that mean something elsewhere, or hold spaces and umlauts."""
    frame = _numbers(2)
    names = ["none", "a b", "größer & <b>", "probability"]
    return _fitted(make_pipeline(StandardScaler(), LogisticRegression()), frame, _split(frame["size_1"], names))


def letters() -> Kind:
    """32 classes, known by numbers."""
    frame = _numbers(3, 160)
    return _fitted(
        make_pipeline(StandardScaler(), LogisticRegression()), frame, _split(frame["size_0"], [*map(str, range(32))])
    )


def price() -> Kind:
    """A number is predicted."""
    frame = _people()
    return _fitted(
        make_pipeline(_columns(frame, "pet"), LinearRegression()),
        frame,
        frame["income"] * 2 - frame["age"],
        features=_schema(),
    )


def unseen() -> Kind:
    """Values that never occurred in training are scored with a warning."""
    frame = _people()
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((StandardScaler(), ["age", "income"]), (encoder, ["pet"]))
    pipeline = make_pipeline(columns, LogisticRegression())
    return _fitted(pipeline, frame, _split(frame["age"], ["new", "old"]), features=_schema(unseen=UnseenPolicy.WARN))


def reviews() -> Kind:
    """A text, a category and a number."""
    rng = np.random.default_rng(2)
    good = rng.random(ROWS) > 0.5
    texts = [f"{'good' if mood else 'bad'} number {n},\nsaid they" for n, mood in enumerate(good)]
    frame = pd.DataFrame(
        {"review": texts, "kind": rng.choice(["flat", "house"], ROWS), "stars": rng.normal(3, 1, ROWS).round(1)}
    )
    columns = make_column_transformer(
        (TfidfVectorizer(), "review"), (OneHotEncoder(), ["kind"]), ("passthrough", ["stars"])
    )
    return _fitted(make_pipeline(columns, LogisticRegression()), frame, np.where(good, "glad", "sad"))


def visits() -> Kind:
    """Days and truths beside a number."""
    rng = np.random.default_rng(3)
    days = pd.Series(pd.date_range("2024-01-01", periods=8).strftime("%Y-%m-%d").to_numpy()[rng.integers(0, 8, ROWS)])
    frame = pd.DataFrame({"day": days, "member": rng.random(ROWS) > 0.5, "guests": rng.integers(1, 9, ROWS)})
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["day"]), ("passthrough", ["member", "guests"])
    )
    return _fitted(
        make_pipeline(columns, LogisticRegression()),
        frame,
        np.where(frame["member"] & (frame["guests"] > 3), "full", "free"),
    )


def gaps() -> Kind:
    """Every value may be missing."""
    frame = _people()
    rng = np.random.default_rng(4)
    frame = frame.mask(rng.random(frame.shape) < 0.2)
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
        (
            make_pipeline(
                SimpleImputer(strategy="constant", fill_value="unknown"), OneHotEncoder(handle_unknown="ignore")
            ),
            ["pet"],
        ),
    )
    return _fitted(
        make_pipeline(columns, LogisticRegression()),
        frame,
        _split(frame["income"].fillna(0), ["a", "b"]),
        features=_schema(missing_allowed=True),
    )


def names() -> Kind:
    """Features that are called as parameters, ids and properties of forms are, or by anything but letters."""
    called = [
        "id",
        "file",
        "threshold",
        "model",
        "version",
        "filename",
        "action",
        "submit",
        "outcome",
        "100 %",
        "größe",
        "a b",
        "a-b",
        "record-form",
        "#",
    ]
    frame = _numbers(len(called)).set_axis(called, axis="columns")
    return _fitted(
        make_pipeline(StandardScaler(), LogisticRegression()), frame, _split(frame["threshold"], ["no", "yes"])
    )


def likeliest() -> Kind:
    """Two classes with a probability, but no threshold that gives the pipeline's own labels."""
    frame = _numbers(2)
    known = {"threshold": None, "labels_by": LabelRule.PREDICT, "classes": ("no", "yes"), "positive_class": "yes"}
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    return _fitted(pipeline, frame, _split(frame["size_0"], ["no", "yes"]), card=known)


def targets() -> Kind:
    """Two numbers are predicted at once."""
    frame = _numbers(3)
    known = {"kind": ModelKind.MULTIOUTPUT_REGRESSOR, "targets": ("heat load", "Kühllast"), **PLAIN}
    return _fitted(LinearRegression(), frame, frame[["size_0", "size_1"]] * 3 + 1, card=known)


def labels() -> Kind:
    """Two classes are predicted at once."""
    frame = _numbers(3)
    truth = np.column_stack([_split(frame["size_0"], ["no", "yes"]), _split(frame["size_1"], ["a", "b", "none"])])
    classes = {"targets": ("sells", "grade"), "target_classes": (("no", "yes"), ("a", "b", "none"))}
    known = {"kind": ModelKind.MULTIOUTPUT_CLASSIFIER, **PLAIN, **classes}
    return _fitted(DecisionTreeClassifier(random_state=0), frame, truth, card=known, trust=(TREE,))


def outliers() -> Kind:
    """A detector of outliers."""
    frame = _numbers(2)
    known = {**PLAIN, "kind": ModelKind.OUTLIER_DETECTOR, "classes": OUTLIER_CLASSES, "scores": Scores.SCORE}
    pipeline = make_pipeline(StandardScaler(), OneClassSVM(nu=0.2))
    return _fitted(pipeline, frame, None, card=known)


def clusters() -> Kind:
    """Records that are alike, together."""
    frame = _numbers(2)
    known = {**PLAIN, "kind": ModelKind.CLUSTERER, "classes": ("0", "1", "2"), "scores": Scores.DISTANCE}
    return _fitted(KMeans(3, random_state=0), frame, None, card=known)


def wide58() -> Kind:
    """58 columns."""
    frame = _numbers(58)
    return _fitted(make_pipeline(StandardScaler(), LogisticRegression()), frame, _split(frame["size_7"], ["no", "yes"]))


def wide751() -> Kind:
    """751 features."""
    frame = _numbers(751, 40)
    return _fitted(make_pipeline(StandardScaler(), LogisticRegression()), frame, _split(frame["size_7"], ["no", "yes"]))


KINDS: dict[str, Callable[[], Kind]] = {
    make.__name__: make
    for make in (
        *(binary, margins, votes, classes, letters, price, unseen, reviews, visits, gaps, names, wide58, wide751),
        *(likeliest, targets, labels, outliers, clusters),
    )
}


def add_kind(name: str, kind: Kind, models: Path, folder: Path) -> None:
    """Add it to a folder of models, as its owner would; `folder` is for the files that this takes."""
    artifact, data = folder / f"{name}.skops", folder / f"{name}.csv"
    skops.io.dump(kind.pipeline, artifact)
    if kind.card or len(kind.inputs.columns) > MOST_INSPECTED:
        _publish(name, kind, artifact, Catalog(models))
        return
    kind.inputs.assign(**{TARGET: np.asarray(kind.target)}).to_csv(data, index=False)
    schema = None
    if kind.features:
        schema = folder / f"{name}.toml"
        schema.write_text(SchemaFile(title=name, description="", target=TARGET, features=kind.features).dump())
    add(Order(artifact, name, data, TARGET, schema=schema, trust=kind.trust), Catalog(models))


def _publish(name: str, kind: Kind, artifact: Path, catalog: Catalog) -> None:
    """Publish a model of numbers with a card written by hand, where it is not, or not soon, found out what it is."""
    sha256 = sha256_of(artifact.read_bytes())
    inputs = kind.inputs
    card = Card(
        **{"classes": ("no", "yes"), "positive_class": "yes", "kind": ModelKind.BINARY_CLASSIFIER, **kind.card},
        name=name,
        version=version_of(sha256),
        title=name,
        description="",
        target=TARGET,
        features=tuple(Feature(name=column, title=column, kind=FeatureKind.NUMBER) for column in inputs.columns),
        trained_at="2026-01-31T12:00:00Z",
        training_rows=len(inputs),
        sample=tuple(map(tuple, inputs.head(3).to_numpy().tolist())),
        prediction_edges=(),
        trusted=kind.trust,
        libraries=library_versions(),
        artifact_sha256=sha256,
    )
    catalog.publish(card, artifact)
