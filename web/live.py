"""A job as it happens: the stream of its events, and the summary of its results."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import orjson

from jobs.state import Job
from jobs.store import JobStore
from model.card import Card
from model.catalog import Catalog
from model.drift import FeatureDrift, drift
from model.errors import ModelError
from web.watch import Watcher

BINS = 20
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


def card_of(catalog: Catalog, job: Job) -> Card | None:
    """The card of a job's model, if it is still there."""
    try:
        return catalog.card(job.model, job.version)
    except ModelError:
        return None


def summary_document(counts: dict[str, int], card: Card | None) -> dict[str, Any]:
    """The counts that the workers kept up, as the contract shows them; of a regressor, predictions by their bins.

    Without a card, there are neither these nor a comparison with the training data.
    """
    predictions: dict[str, int] = {}
    histogram, values = [0] * BINS, [0] * BINS
    rejects = []
    for name, count in counts.items():
        kind, _, rest = name.partition(":")
        if kind == "prediction":
            predictions[rest] = count
        elif kind == "probability":
            histogram[int(rest)] = count
        elif kind == "value":
            values[int(rest)] = count
        elif kind == "fault":
            code, _, column = rest.partition(":")
            rejects.append({"column": column or None, "code": code, "count": count})
    edges = [round(place / BINS, 2) for place in range(BINS + 1)]
    return {
        "predictions": predictions,
        "probability": {"edges": edges, "counts": histogram},
        **(
            {"values": {"edges": list(card.prediction_edges), "counts": values}}
            if card and card.prediction_edges
            else {}
        ),
        "rejects": sorted(rejects, key=lambda reject: -reject["count"]),
        "drift": _drift_document(drift(card, counts) if card else None),
    }


def _drift_document(found: dict[str, FeatureDrift] | None) -> dict[str, Any] | None:
    return None if found is None else {name: asdict(feature) for name, feature in found.items()}
