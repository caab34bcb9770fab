"""A quick check of a loaded version: its predictions for the card's sample are those made when it was added.

They may differ on another processor or another build of a library, or if an artifact was replaced together with its
checksum. Such a version is not served: no answer is better than a wrong one.
"""

from model.answers import same_answers
from model.card import Card
from model.errors import BrokenModel, ScoringFailed
from model.scorer import Scorer


def check_sample(scorer: Scorer) -> None:
    """Raise ``BrokenModel`` if predictions for the card's sample differ from those in its proof."""
    card = scorer.card
    if card.proof is None or not card.proof.answers:
        return
    names = [feature.name for feature in card.features]
    records = [dict(zip(names, values, strict=True)) for values in card.sample]
    try:
        predictions = scorer.predict_records([scorer.schema.validate_record(record)[0] for record in records])
    # A value that is no longer valid is missing in the record.
    except (ScoringFailed, KeyError) as error:
        raise BrokenModel(f"{_describe(card)} fails here on records of its own sample") from error
    for row, (expected, actual) in enumerate(zip(card.proof.answers, predictions.by_record(card), strict=True), 1):
        if not same_answers(expected, actual, card.proof.tolerances):
            raise BrokenModel(
                f"{_describe(card)} answers otherwise here than when it was added, to record {row} of its sample: "
                "another processor, other libraries or an exchanged artifact; add it again here"
            )


def _describe(card: Card) -> str:
    return f"version {card.version} of model {card.name!r}"
