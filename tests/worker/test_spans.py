"""Requests that are answered together belong to a trace of their own each, or to none."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobs import tracing
from jobs.store.prediction_store import WaitingPrediction
from worker.scoring import single
from worker.spans import span_predictions

TRACE, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(autouse=True)
def of_the_message() -> Iterator[None]:
    """The message has the trace of the first request in it."""
    tracing.follow(parent(TRACE))
    yield
    tracing.follow(None)


def parent(trace: str) -> str:
    return f"00-{trace}-00f067aa0ba902b7-01"


def waiting(trace: str | None, attempt: int = 1) -> WaitingPrediction:
    request = {"kind": "predict", "model": "income", "version": "1", "records": [{}]}
    return WaitingPrediction(str(trace), attempt, request | ({tracing.HEADER: parent(trace)} if trace else {}))


def test_a_request_without_a_trace_is_no_part_of_that_of_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_made", (os.getpid(), provider))
    span_predictions([(waiting(trace), {"items": [{}]}) for trace in (TRACE, None, OTHER)], tracing.now())
    first, without, other = (span.context.trace_id for span in exporter.get_finished_spans() if span.context)
    assert (f"{first:032x}", f"{other:032x}") == (TRACE, OTHER)
    assert without not in (first, other)


def test_what_is_logged_about_a_request_names_its_own_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: Any) -> single.Answer:
        return {"items": [tracing.trace_id()]}

    monkeypatch.setitem(single._ANSWERS, "predict", answer)
    requests = [waiting(trace, attempt=2) for trace in (TRACE, None, OTHER)]
    assert [answer["items"] for _, answer in single.answer_all(requests, 3, 10)] == [[TRACE], [""], [OTHER]]
