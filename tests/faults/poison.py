"""A model that some records are poison for, made of scikit-learn alone, so that the service loads it like any other."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from model import artifact
from model.card import Card, ModelKind
from model.catalog import Catalog, version_of
from model.monitoring.training_summary import library_versions
from model.schema import Feature, FeatureKind, Value
from model.scorer import Scorer

NAME = "poison"
NEGATIVE, POSITIVE = CLASSES = ("no", "yes")
FINE, UNSEEN = "fine", "unseen"
# Takes a regular expression that backtracks some 2**40 steps, and one that collects every part of a text 20 GB.
BACKTRACKS, GROWS = "a" * 40 + "b", "m" * 5000
_NOWHERE = 2**50

POISON: dict[str, dict[str, Value]] = {
    "raises": {"dose": 10, "word": UNSEEN},
    "kills its process": {"dose": 95, "word": FINE},
    "never ends": {"dose": 85, "word": FINE},
    "never ends, and lets nothing else run": {"dose": 10, "word": BACKTRACKS},
    "eats memory": {"dose": 10, "word": GROWS},
}
HARMLESS: dict[str, Value] = {"dose": 10, "word": FINE}
FEATURES = (
    Feature(name="dose", title="Dose", kind=FeatureKind.NUMBER, minimum=0, maximum=100, integer=True, example=10),
    Feature(
        name="word",
        title="Word",
        kind=FeatureKind.CATEGORY,
        categories=(FINE, UNSEEN, BACKTRACKS, GROWS),
        example=FINE,
    ),
)


def publish_poison(models: Path) -> None:
    """Put the model into a folder of models."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "model.skops"
        Catalog(models, NAME).publish(_card(artifact.save(_pipeline(), file)), file)


def poison_scorer() -> Scorer:
    """The model in this process."""
    return Scorer(_card("0" * 64), _pipeline())


def _card(sha256: str) -> Card:
    return Card(
        name=NAME,
        version=version_of(sha256),
        kind=ModelKind.BINARY_CLASSIFIER,
        title="Poison",
        description="A model that some records are poison for.",
        target="Whether it is well",
        classes=CLASSES,
        positive_class=POSITIVE,
        features=FEATURES,
        trained_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        training_rows=101,
        libraries=library_versions(),
        artifact_sha256=sha256,
    )


def _pipeline() -> Pipeline:
    columns = ColumnTransformer(
        [
            ("dose", "passthrough", ["dose"]),
            ("known", OneHotEncoder(categories=[[FINE, BACKTRACKS, GROWS]], handle_unknown="error"), ["word"]),
            ("tokens", HashingVectorizer(token_pattern="(?:a+)+!", n_features=2), "word"),
            ("parts", HashingVectorizer(analyzer="char", ngram_range=(1, len(GROWS)), n_features=2), "word"),
        ],
        sparse_threshold=0,
    )
    doses = np.arange(101.0)
    frame = pd.DataFrame({"dose": doses, "word": pd.Series([FINE] * len(doses), dtype=object)})
    labels = np.where((doses <= 50) | ((doses > 80) & (doses <= 90)), NEGATIVE, POSITIVE)
    pipeline = make_pipeline(columns, DecisionTreeClassifier(random_state=0))
    pipeline.fit(frame, labels)
    _damage(pipeline)
    return pipeline


def _damage(pipeline: Pipeline) -> None:
    """Lead the walk through the tree astray: for doses over 80 in a circle, for doses over 90 out of its memory."""
    sound: Tree = pipeline[-1].tree_
    rows = pipeline[:-1].transform(pd.DataFrame([{"dose": dose, "word": FINE} for dose in (85.0, 95.0)]))
    circle, out = sound.apply(np.asarray(rows, dtype=np.float32))
    state = sound.__getstate__()
    for leaf, child in ((circle, circle), (out, _NOWHERE)):
        state["nodes"]["feature"][leaf] = 0
        state["nodes"]["left_child"][leaf] = state["nodes"]["right_child"][leaf] = child
    damaged = Tree(sound.n_features, sound.n_classes, sound.n_outputs)
    damaged.__setstate__(state)
    pipeline[-1].tree_ = damaged
