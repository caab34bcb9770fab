"""Check that a model that was added before still predicts as its own pipeline does."""

from collections.abc import Mapping
from pathlib import Path

from model.card import Card
from model.catalog import Catalog
from model.onboarding.add import check_answers, expected_predictions
from model.onboarding.findings import gather_findings
from model.onboarding.proof import Progress
from model.onboarding.training_data import read_training_data
from model.scorer import Scorer


def recheck(
    catalog: Catalog, name: str, version: str | None, path: Path, dtypes: Mapping[str, str], progress: Progress
) -> tuple[Card, int, int]:
    """Score records with a version as workers serve it, and compare with its pipeline.

    Return its card, how many records agree, and how many a schema that the model's owner wrote rejects. Raise
    UnknownModel, BrokenModel, or RefusedModel where a prediction differs from the pipeline's, or from the card's proof.
    """
    card = catalog.usable_card(name, version)
    scorer = Scorer.load(catalog, card.name, card.version)
    data = read_training_data(path, dtypes)
    progress(f"asking the pipeline about {len(data):,} rows")
    targets = [target for target in card.targets if target in data.columns]
    names = [feature.name for feature in card.features]
    findings = gather_findings(
        scorer.pipeline, data, targets, names, card.classes if card.pipeline_classes else (), card.features
    )
    if card.written_schema:
        findings = findings.accepted()
    expected = expected_predictions(findings, card)
    check_answers(catalog, card, findings, expected, scorer, path, progress)
    return card, len(findings.texts), len(data) - len(findings.texts)
