"""A job as it happens: the stream of its events, and the summary of its results."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from jobs.state import Job
from jobs.store import JobStore
from model.agreement import agreement
from model.card import Card
from model.catalog import Catalog
from model.drift import joint_drift
from model.errors import ModelError
from web.watch import Watcher

BINS = 20
# What the names of a second model's counts begin with.
_SECOND = "second:"
# At most five events a second, and a sign of life where nothing happens.
_SHORTEST_PAUSE_SECONDS = 0.2
_COMMENT_SECONDS = 15.0
_LOOK_SECONDS = 5.0


def job_events(
    store: JobStore, watcher: Watcher, job_id: str, show: Callable[[Job], dict[str, Any]], last_id: str | None
) -> Iterator[bytes]:
    """Server-sent events of a job: now, at each change, and last when it ends.

    ``last_id`` is the revision that the client saw before it lost the connection; it is not sent again.
    """
    last_sent = time.monotonic()
    with watcher.listen(job_id) as changed:
        while True:
            changed.clear()
            job = store.get(job_id)
            if job is None:
                return
            if str(job.revision) != last_id:
                last_id, last_sent = str(job.revision), time.monotonic()
                yield b"id: %d\nevent: job\ndata: %s\n\n" % (job.revision, orjson.dumps(show(job)))
            elif time.monotonic() - last_sent > _COMMENT_SECONDS:
                last_sent = time.monotonic()
                yield b": still here\n\n"
            if job.state.ended or watcher.stopping:
                return
            time.sleep(_SHORTEST_PAUSE_SECONDS)
            changed.wait(_LOOK_SECONDS)


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
