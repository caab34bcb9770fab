"""Spans of what workers do: which job or prediction, with which model. The host is a part of each span's resource."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from jobs import tracing
from jobs.messages import ScoreChunk
from jobs.store.chunks import ClaimedChunk
from jobs.store.prediction_store import WaitingPrediction
from worker.scoring.single import Answer


def chunk_span(name: str, message: ScoreChunk, claimed: ClaimedChunk) -> AbstractContextManager[tracing.Span]:
    """Return a context that spans an attempt at a chunk, or at the conversion of a file."""
    attributes = {
        "scoreline.job_id": message.job_id,
        "scoreline.chunk": message.chunk,
        "scoreline.attempt": claimed.attempt,
        "scoreline.model": ",".join(f"{model}@{version}" for model, version in claimed.models),
        "scoreline.rows": claimed.chunk.rows,
    }
    return tracing.consuming(name, attributes)


def span_predictions(answers: Sequence[tuple[WaitingPrediction, Answer]], began_at: int) -> None:
    """Span requests that were answered together, each as a part of its own trace."""
    ended_at = tracing.now()
    for waiting, answer in answers:
        request = waiting.request
        attributes = {
            "scoreline.prediction_id": waiting.id,
            "scoreline.attempt": waiting.attempt,
            "scoreline.model": f"{request.get('model')}@{request.get('version')}",
            "scoreline.records": len(request.get("records") or ()),
        }
        # Without one of its own, it does not belong to the trace of the message, which is that of another request.
        parent = request.get(tracing.HEADER, "")
        span = tracing.begin("predict", "CONSUMER", attributes, parent, began_at)
        for error in [answer, *answer.get("items", ())]:
            if code := (error.get("error") or {}).get("code"):
                span.fail(str(code))
        span.end(ended_at)
