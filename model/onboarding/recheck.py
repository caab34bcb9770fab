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
) -> tuple[Card, int]:
    """Send records through a version as workers serve it and compare with its pipeline; its card, and how many agree.

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
    expected = expected_answers(found, card)
    # A card does not say who wrote its schema: a row that its limits reject may be rejected by its owner.
    written = any(feature.limits_reject for feature in card.features)
    check_answers(catalog, card, found, expected, scorer, path, progress, written=written)
    return card, len(expected.answered)
