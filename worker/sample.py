"""A quick check of a version that a worker has loaded: it answers the card's sample as it did when it was added.

Another processor or another build of a library may answer otherwise, and an artifact may have been exchanged together
with its checksum: better no answer than a wrong one.
"""

from model.answers import same_answers
from model.card import Card
from model.errors import BrokenModel, ScoringFailed
from model.scorer import Scorer


def check_sample(scorer: Scorer) -> None:
    """Raise BrokenModel where the answers to the card's sample are not those that its proof holds."""
    card = scorer.card
    if card.proof is None or not card.proof.answers:
        return
    names = [feature.name for feature in card.features]
    records = [dict(zip(names, values, strict=True)) for values in card.sample]
    try:
        predictions = scorer.predict_records([scorer.schema.validate_record(record)[0] for record in records])
    except (ScoringFailed, KeyError) as error:
        raise BrokenModel(f"{_called(card)} fails here on records of its own sample") from error
    for row, (expected, found) in enumerate(zip(card.proof.answers, predictions.by_record(card), strict=True), 1):
        if not same_answers(expected, found):
            raise BrokenModel(
                f"{_called(card)} answers otherwise here than when it was added, to record {row} of its sample: "
                "another processor, other libraries or an exchanged artifact; add it again here"
            )


def _called(card: Card) -> str:
    return f"version {card.version} of model {card.name!r}"
