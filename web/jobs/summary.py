"""The summary of a job's results, made from the counts of the workers, for the API and the pages."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.state import Job
from model.card import Card
from model.catalog import Catalog
from model.errors import ModelError
from model.monitoring.agreement import agreement
from model.monitoring.counts import (
    FAULT,
    PREDICTION,
    PROBABILITY,
    PROBABILITY_BINS,
    REPAIRED,
    SECOND_MODEL,
    VALUE,
    WARNING,
)
from model.monitoring.drift import joint_drift

REPAIRED_QUOTE = "repaired_quote"
_MAX_REPAIRED = 10_000


@dataclass(frozen=True, slots=True)
class ScoredJob:
    """What a summary needs of a job: name and version of its model, and of a second one if it compared two."""

    models: list[tuple[str, str]]

    @property
    def compared(self) -> tuple[str, str] | None:
        """The second model."""
        return self.models[1] if len(self.models) > 1 else None


def cards_of(catalog: Catalog, job: Job | ScoredJob) -> list[Card | None]:
    """Return the cards of a job's models; None for one that no longer exists."""
    return [_card(catalog, name, version) for name, version in job.models]


def _card(catalog: Catalog, name: str, version: str) -> Card | None:
    try:
        return catalog.card(name, version)
    except ModelError:
        return None


def summary_document(counts: Mapping[str, int], job: Job | ScoredJob, cards: Sequence[Card | None]) -> dict[str, Any]:
    """Return the summary as the API shows it, but for ``rows`` and ``notes``.

    Without the card of a model there are no bins of a regressor and no comparison with the training data.
    """
    drift_by_feature = joint_drift([card for card in cards if card], counts)
    return {
        **_predictions(counts, cards[0]),
        **(_comparison(counts, job, cards) if job.compared else {}),
        "rejects": _count_by_column(counts, FAULT),
        "warnings": _count_by_column(counts, WARNING),
        "repaired": _repaired_rows(counts),
        "drift": None if drift_by_feature is None else {name: asdict(d) for name, d in drift_by_feature.items()},
    }


def _predictions(counts: Mapping[str, int], card: Card | None) -> dict[str, Any]:
    """Return the prediction counts of one model, and the histogram of a regressor's predictions."""
    predictions: dict[str, int] = {}
    value_edges = list(card.prediction_edges) if card else []
    histogram, values = [0] * PROBABILITY_BINS, [0] * max(0, len(value_edges) - 1)
    for name, count in counts.items():
        kind, _, rest = name.partition(":")
        if kind == PREDICTION:
            predictions[rest] = count
        elif kind == PROBABILITY:
            histogram[int(rest)] = count
        elif kind == VALUE and values:
            values[int(rest)] = count
    edges = [round(place / PROBABILITY_BINS, 2) for place in range(PROBABILITY_BINS + 1)]
    return {
        "predictions": predictions,
        "probability": {"edges": edges, "counts": histogram},
        **({"values": {"edges": value_edges, "counts": values}} if value_edges else {}),
    }


def _comparison(counts: Mapping[str, int], job: Job | ScoredJob, cards: Sequence[Card | None]) -> dict[str, Any]:
    """Return the prediction counts of each of two models, and their agreement."""
    # The first model's counts have no prefix.
    own = [counts, {name.removeprefix(SECOND_MODEL): n for name, n in counts.items() if name.startswith(SECOND_MODEL)}]
    first, second = cards
    agreed = agreement(first, second, counts) if first and second else None
    return {
        "models": [
            {"name": name, "version": version, **_predictions(part, card)}
            for (name, version), part, card in zip(job.models, own, cards, strict=True)
        ],
        "agreement": asdict(agreed) if agreed else None,
    }


def _repaired_rows(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the listed rows that were repaired, ascending."""
    kinds = (name.partition(":") for name in counts)
    rows = sorted(int(row) for kind, _, row in kinds if kind == REPAIRED)
    return [{"row": row, "code": REPAIRED_QUOTE} for row in rows[:_MAX_REPAIRED]]


def _count_by_column(counts: Mapping[str, int], wanted: str) -> list[dict[str, Any]]:
    """Return the counts of each fault or warning by column, most frequent first."""
    items = []
    for name, count in counts.items():
        kind, _, rest = name.partition(":")
        if kind == wanted:
            code, _, column = rest.partition(":")
            items.append({"column": column or None, "code": code, "count": count})
    return sorted(items, key=lambda item: -item["count"])
