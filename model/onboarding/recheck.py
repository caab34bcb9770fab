"""Checking a model that is there: does it answer here, to these records, as its own pipeline does?"""

from collections.abc import Mapping
from pathlib import Path

from model.card import Card
from model.catalog import Catalog
from model.onboarding.add import check_answers, expected_answers
from model.onboarding.findings import find_out
from model.onboarding.proof import Progress
from model.onboarding.training_data import read_training_data
from model.scorer import Scorer


def recheck(
    catalog: Catalog, name: str, version: str | None, path: Path, dtypes: Mapping[str, str], progress: Progress
) -> tuple[Card, int, int]:
    """Send records through a version as workers serve it and compare with its pipeline.

    Returns its card, how many records agree, and how many are rejected by a schema that the model's owner wrote.

    Raises UnknownModel and BrokenModel; RefusedModel where an answer is not the pipeline's own, or the card's proof is
    not what the pipeline says any more.
    """
    card = catalog.usable_card(name, version)
    scorer = Scorer.load(catalog, card.name, card.version)
    data = read_training_data(path, dtypes)
    progress(f"asking the pipeline about {len(data):,} rows")
    targets = [target for target in card.targets if target in data.columns]
    names = [feature.name for feature in card.features]
    found = find_out(
        scorer.pipeline, data, targets, names, card.classes if card.pipeline_classes else (), card.features
    )
    if card.written_schema:
        found = found.accepted()
    expected = expected_answers(found, card)
    check_answers(catalog, card, found, expected, scorer, path, progress)
    return card, len(found.texts), len(data) - len(found.texts)
