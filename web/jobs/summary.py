"""The summary of a job's results: the counts that workers kept up, as the API and the pages show them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jobs.state import Job
from model.card import Card
from model.catalog import Catalog
from model.errors import ModelError
from model.monitoring.agreement import agreement
from model.monitoring.drift import joint_drift

BINS = 20
# What the names of a second model's counts begin with.
_SECOND = "second:"


def cards_of(catalog: Catalog, job: Job) -> list[Card | None]:
    """The cards of a job's models, each None if it is not there any more."""
    return [_card(catalog, name, version) for name, version in job.models]


def _card(catalog: Catalog, name: str, version: str) -> Card | None:
    try:
        return catalog.card(name, version)
    except ModelError:
        return None


def summary_document(counts: Mapping[str, int], job: Job, cards: Sequence[Card | None]) -> dict[str, Any]:
    """The counts that the workers kept up, as the contract shows them.

    Without its card, there are neither a regressor's bins nor a comparison with the training data.
    """
    found = joint_drift([card for card in cards if card], counts)
    return {
        **_predictions(counts, cards[0]),
        **(_comparison(counts, job, cards) if job.compared else {}),
        "rejects": _counted(counts, "fault"),
        "warnings": _counted(counts, "warning"),
        "drift": None if found is None else {name: asdict(feature) for name, feature in found.items()},
    }


def _predictions(counts: Mapping[str, int], card: Card | None) -> dict[str, Any]:
    """What one model predicted: of a regressor, predictions by their bins."""
    predictions: dict[str, int] = {}
    histogram, values = [0] * BINS, [0] * BINS
    for name, count in counts.items():
        kind, _, rest = name.partition(":")
        if kind == "prediction":
            predictions[rest] = count
        elif kind == "probability":
            histogram[int(rest)] = count
        elif kind == "value":
            values[int(rest)] = count
    edges = [round(place / BINS, 2) for place in range(BINS + 1)]
    own = {"edges": list(card.prediction_edges), "counts": values} if card and card.prediction_edges else None
    return {
        "predictions": predictions,
        "probability": {"edges": edges, "counts": histogram},
        **({"values": own} if own else {}),
    }


def _comparison(counts: Mapping[str, int], job: Job, cards: Sequence[Card | None]) -> dict[str, Any]:
    """What each of two models predicted, and how far they agree."""
    own = [counts, {name.removeprefix(_SECOND): n for name, n in counts.items() if name.startswith(_SECOND)}]
    first, second = cards
    found = agreement(first, second, counts) if first and second else None
    return {
        "models": [
            {"name": name, "version": version, **_predictions(part, card)}
            for (name, version), part, card in zip(job.models, own, cards, strict=True)
        ],
        "agreement": asdict(found) if found else None,
    }


def _counted(counts: Mapping[str, int], what: str) -> list[dict[str, Any]]:
    """How often each fault or warning occurred in each column, the most frequent first."""
    found = []
    for name, count in counts.items():
        kind, _, rest = name.partition(":")
        if kind == what:
            code, _, column = rest.partition(":")
            found.append({"column": column or None, "code": code, "count": count})
    return sorted(found, key=lambda reject: -reject["count"])
