"""Adding a model: a fitted pipeline that somebody brings, with a table of its training data, becomes a version."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model import intake
from model.brought import Brought, Table, features_of, inspect, read_table
from model.card import Card, ModelKind
from model.catalog import ARTIFACT_FILE, Catalog, version_of
from model.errors import RefusedModel
from model.evaluate import evaluate
from model.explanation.additive import is_additive
from model.explanation.check import explanation_fields
from model.explanation.effects import effects_of, importance_of
from model.files import sha256_of
from model.hold_out import held_out
from model.schema_file import SchemaFile
from model.scorer import Scorer
from model.summary import library_versions, sample_rows, summarise

_EDGES = 21


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be added: the pipeline's file, a name, the training data, and what else is known."""

    file: Path
    name: str
    data: Path
    target: str | None = None
    test: Path | None = None
    schema: Path | None = None
    trust: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was added, what is worth knowing of it, and where its schema can be edited."""

    card: Card
    notes: list[str]
    schema: Path


def add(order: Order, catalog: Catalog) -> Added:
    """Check, describe and publish a pipeline as the current version of a model.

    Raises RefusedModel where it cannot become one; nothing is then left behind.
    """
    catalog.check_name(order.name)
    taken = intake.take(order.file, order.trust)
    table = read_table(order.data)
    schema = SchemaFile.load(order.schema) if order.schema else None
    brought = inspect(taken.pipeline, table, order.target, schema)
    sha256 = sha256_of(taken.content)
    card = _card(order, brought, sha256, taken.trusted, schema)
    card = card.model_copy(update=explanation_fields(Scorer(card, taken.pipeline), brought.frame))
    scorer = Scorer(card, taken.pipeline)
    notes = list(brought.notes)
    if order.target:
        card = _evaluated(scorer, brought, order, notes)
    card = card.model_copy(update=_what_matters(scorer, brought, order))
    text = _schema_of(card).dump()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / ARTIFACT_FILE
        file.write_bytes(taken.content)
        catalog.publish(card, file, text)
    return Added(card, notes, catalog.schema_path(card))


def _card(order: Order, brought: Brought, sha256: str, trusted: Sequence[str], schema: SchemaFile | None) -> Card:
    """The card of what was brought, without how well it does."""
    features, frame = brought.features, brought.frame
    classes = brought.classes
    positive = classes[-1] if brought.kind is ModelKind.BINARY_CLASSIFIER else None
    if schema and schema.positive_class is not None:
        if brought.kind is not ModelKind.BINARY_CLASSIFIER or schema.positive_class not in classes:
            there_are = ", ".join(map(repr, classes)) or "none"
            raise RefusedModel(f"{order.schema}: positive_class {schema.positive_class!r} is not one of: {there_are}")
        positive = schema.positive_class
    words = schema or _words(order, positive)
    threshold = schema.threshold if schema else 0.5
    return Card(
        name=order.name,
        version=version_of(sha256, features, positive, threshold),
        kind=brought.kind,
        title=words.title,
        description=words.description,
        target=words.target,
        classes=classes,
        positive_class=positive,
        scores=brought.scores,
        takes=brought.takes,
        threshold=threshold,
        features=features,
        trained_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        training_rows=len(frame),
        summary=summarise(frame, features),
        sample=sample_rows(frame, features, min(20, len(frame))),
        additive=is_additive(brought.pipeline, features),
        prediction_edges=_edges(brought),
        trusted=tuple(trusted),
        libraries=library_versions(),
        artifact_sha256=sha256,
    )


def _what_matters(scorer: Scorer, brought: Brought, order: Order) -> dict[str, Any]:
    """What moves the model's answers: effects of values, or, where these do not add up, the worth of each feature."""
    if scorer.card.additive:
        return {"effects": effects_of(scorer.card, scorer.pipeline)}
    return {"importance": importance_of(scorer, brought.frame, brought.truth)} if order.target else {}


def _words(order: Order, positive: str | None) -> SchemaFile:
    """What the model is called until its owner finds better words."""
    target = order.target or "prediction"
    return SchemaFile(
        title=order.name,
        description=f"Predicts {target!r}, learnt from {order.data.name}.",
        target=f"{target} is {positive}" if positive else target,
        features=(),
    )


def _schema_of(card: Card) -> SchemaFile:
    return SchemaFile(
        title=card.title,
        description=card.description,
        target=card.target,
        positive_class=card.positive_class,
        threshold=card.threshold,
        features=card.features,
    )


def _edges(brought: Brought) -> tuple[float, ...]:
    """The bins in which a regressor's predictions are counted: from the least to the largest of the training data."""
    if brought.kind is not ModelKind.REGRESSOR:
        return ()
    low, high = float(brought.predictions.values.min()), float(brought.predictions.values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    return tuple(float(f"{edge:.6g}") for edge in np.linspace(low, high, _EDGES))


def _evaluated(scorer: Scorer, brought: Brought, order: Order, notes: list[str]) -> Card:
    """The card with how well the model does on records held out: of a file, or of a twin's training."""
    card = scorer.card
    if order.test:
        frame, truth = _rows_of(read_table(order.test), scorer, brought, order)
        predictions, words = scorer.predict(frame), f"records of {order.test.name}"
    else:
        found = held_out(scorer, brought.frame, brought.truth)
        if isinstance(found, str):
            notes.append(found)
            return card
        truth, predictions = found
        words = "held-out records, by a twin of it that was fitted on the other four fifths of the data"
    metrics, evaluation = evaluate(card, truth, predictions)
    metrics = metrics.model_copy(update={"measured_on": words})
    return card.model_copy(update={"metrics": metrics, "evaluation": evaluation})


def _rows_of(table: Table, scorer: Scorer, brought: Brought, order: Order) -> tuple[pd.DataFrame, np.ndarray]:
    assert order.target is not None
    rows = features_of(table, scorer.card.features)
    truth, known = brought.truth_of(table, order.target)
    good = rows.good & known
    if not good.any():
        raise RefusedModel(f"{order.test} holds no record that fits the schema and has a target that is known")
    return rows.frame[good], truth[good]
