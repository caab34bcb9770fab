"""The census data, and what the models made from it share: records, texts for the card, publishing."""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from model import artifact
from model.card import Card, DataSource, ModelKind
from model.catalog import Catalog, version_of
from model.columns import column_of
from model.evaluate import evaluate
from model.explanation.additive import is_additive
from model.explanation.check import explanation_fields
from model.explanation.effects import effects_of, importance_of
from model.monitoring.training_summary import library_versions, sample_rows, summarise
from model.schema import Feature, normalise_name
from model.scorer import Scorer

NEGATIVE, POSITIVE = CLASSES = ("<=50K", ">50K")
TRAINING, HELD_OUT = "adult.data.csv.gz", "adult.test.csv.gz"
DATA = Path(__file__).parent / "data"
THRESHOLD = 0.5
UNKNOWN = "?"

SOURCE = DataSource(
    title="Adult (census income)",
    citation="Becker, B. & Kohavi, R. (1996). Adult [Dataset]. UCI Machine Learning Repository.",
    url="https://doi.org/10.24432/C5XW20",
    licence="CC BY 4.0",
)

GROUPED_BY = ("sex", "race")
CAUTION = (
    "This model demonstrates Scoreline. Do not use it for decisions about people, such as employment, pay, credit, "
    "insurance or housing. It uses race and sex, so that two people who differ in nothing else get different "
    "predictions, and in many places decisions made in this way are illegal. It reflects incomes in the United States "
    "in 1994, with the inequality of that time; it says nothing about what a person can do, or about today."
)


@dataclass(frozen=True)
class CensusModel:
    """A model of who earns more than 50,000 dollars a year: its name, its card's texts, its features."""

    name: str
    title: str
    description: str
    features: tuple[Feature, ...]

    def load_records(self, file: str) -> tuple[pd.DataFrame, pd.Series]:
        """Return a data file's features, shape (n, features), as scorers take them, and its labels, shape (n,)."""
        raw = pd.read_csv(DATA / file, skipinitialspace=True, na_filter=False)
        raw.columns = [normalise_name(column) for column in raw.columns]
        known = raw.drop(columns="income").mask(raw == UNKNOWN)
        frame = pd.DataFrame({feature.name: column_of(feature, known[feature.name]) for feature in self.features})
        return frame, raw["income"].str.rstrip(".")

    def publish(self, pipeline: Pipeline, catalog: Catalog) -> Card:
        """Save a fitted pipeline with its card as the model's current version, and return the card."""
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "model.skops"
            card = self.make_card(pipeline, artifact.save(pipeline, file))
            catalog.publish(card, file)
        return card

    def make_card(self, pipeline: Pipeline, sha256: str) -> Card:
        """Return the card of a fitted pipeline whose artifact has that checksum, evaluated on the held-out file."""
        frame, _ = self.load_records(TRAINING)
        card = Card(
            name=self.name,
            version=version_of(sha256),
            kind=ModelKind.BINARY_CLASSIFIER,
            title=self.title,
            description=self.description,
            caution=CAUTION,
            target="Earning more than $50,000 a year",
            classes=CLASSES,
            positive_class=POSITIVE,
            threshold=THRESHOLD,
            features=self.features,
            written_schema=True,
            trained_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            training_rows=len(frame),
            summary=summarise(frame, self.features),
            sample=sample_rows(frame, self.features),
            additive=is_additive(pipeline, self.features),
            libraries=library_versions(),
            artifact_sha256=sha256,
            source=SOURCE,
        )
        with threadpool_limits(1):
            card = card.model_copy(update=explanation_fields(Scorer(card, pipeline), frame))
            return self._evaluated_card(Scorer(card, pipeline))

    def _evaluated_card(self, scorer: Scorer) -> Card:
        """Return the card with the model's performance on the held-out file and its effects or importances."""
        held_out, labels = self.load_records(HELD_OUT)
        truth = (labels == POSITIVE).to_numpy(dtype=np.int64)
        groups = {name: held_out[name].tolist() for name in GROUPED_BY}
        metrics, evaluation = evaluate(scorer.card, truth, scorer.predict(held_out), groups)
        fields: dict[str, Any] = {"metrics": metrics, "evaluation": evaluation}
        if scorer.card.additive:
            fields["effects"] = effects_of(scorer.card, scorer.pipeline)
        else:
            fields["importance"] = importance_of(scorer, held_out, truth)
        return scorer.card.model_copy(update=fields)
