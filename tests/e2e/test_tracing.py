"""A request's trace, from the client through web and workers: exported spans, and ids in the log."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.test_jobs_api import FILE
from tests.stack import CSV, Stack, running_stack, wait_until
from tests.web.records import RECORD

pytestmark = pytest.mark.slow

CLIENT_SPAN = "00f067aa0ba902b7"
HEAD, *ROWS = FILE.splitlines(keepends=True)
UPLOADED = HEAD + b"".join(ROWS * 3000)


@dataclass(frozen=True)
class Span:
    """An exported span."""

    name: str
    id: str
    parent: str
    host: str
    attributes: dict[str, Any]
    failed: bool


@dataclass
class Collector:
    """A receiver of OTLP over HTTP, and the spans that it got, by trace."""

    port: int
    spans: dict[str, list[Span]] = field(default_factory=dict)

    def of(self, trace: str, names: set[str]) -> list[Span]:
        """The spans of a trace, once all of these are there."""
        wait_until(lambda: names <= {span.name for span in self.spans.get(trace, [])}, 60)
        return self.spans[trace]

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            host = values(resource.resource.attributes)["host.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    found = Span(
                        span.name, span.span_id.hex(), span.parent_span_id.hex(), host,
                        values(span.attributes), span.status.code == span.status.STATUS_CODE_ERROR,
                    )  # fmt: skip
                    self.spans.setdefault(span.trace_id.hex(), []).append(found)


def values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        received = Collector(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield received
        server.shutdown()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, models: Path, collector: Collector) -> Iterator[Stack]:
    """A service that exports its traces."""
    settings = {
        "SCORELINE_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "SCORELINE_LOG_FORMAT": "json",
        "SCORELINE_CHUNK_BYTES": "50000",
        "SCORELINE_BULK_PROCESSES": "1",
    }
    with running_stack(tmp_path_factory.mktemp("traced"), models, **settings) as stack:
        yield stack


def parent(trace: str) -> dict[str, str]:
    """The header of a client that traces its requests."""
    return {"traceparent": f"00-{trace}-{CLIENT_SPAN}-01"}


def lines_of(service: Stack, trace: str) -> list[dict[str, Any]]:
    """What was logged about a trace."""
    lines = (json.loads(line) for line in (service.folder / "log").read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("trace_id") == trace]


def logged(service: Stack, trace: str) -> dict[str, str]:
    """The processes that have logged something about a trace, by what happened."""
    return {line["event"]: line["role"] for line in lines_of(service, trace)}


def upload(service: Stack, trace: str) -> dict[str, Any]:
    headers = {**CSV, **parent(trace), "Prefer": "wait=60, until=ended"}
    job = service.request("POST", "/api/v1/jobs", content=UPLOADED, headers=headers).raise_for_status().json()
    return service.ended(job)


JOB_EVENTS = {"upload accepted": "web", "job started": "bulk", "job ended": "bulk"}


def test_an_uploads_trace_shows_which_chunks_were_scored_where_with_what(traced: Stack, collector: Collector) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    job = upload(traced, trace)
    [accepted] = [line for line in lines_of(traced, trace) if line["event"] == "upload accepted"]
    assert accepted["chunks"] > 1
    wait_until(lambda: len(named(collector, trace, "score chunk")) == accepted["chunks"], 60)
    chunks = named(collector, trace, "score chunk")
    [request] = [span for span in collector.of(trace, {"POST /api/v1/jobs"}) if span.name == "POST /api/v1/jobs"]
    assert request.parent == CLIENT_SPAN
    assert request.attributes["http.response.status_code"] in (200, 202)
    assert {chunk.parent for chunk in chunks} == {request.id}
    assert sorted(chunk.attributes["scoreline.chunk"] for chunk in chunks) == list(range(len(chunks)))
    for chunk in chunks:
        assert chunk.attributes["scoreline.job_id"] == job["id"]
        assert chunk.attributes["scoreline.model"] == f"income@{job['model']['version']}"
        assert (chunk.host, chunk.failed) == (request.host, False)
        assert chunk.host
    assert JOB_EVENTS.items() <= logged(traced, trace).items()


def named(collector: Collector, trace: str, name: str) -> list[Span]:
    return [span for span in collector.spans.get(trace, []) if span.name == name]


def test_a_predictions_trace_goes_to_the_worker_and_back(traced: Stack, collector: Collector) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    asked = {"json": {"record": RECORD}, "headers": parent(trace)}
    answer = traced.request("POST", "/api/v1/predictions", **asked).raise_for_status().json()
    request, predicted = sorted(collector.of(trace, {"POST /api/v1/predictions", "predict"}), key=lambda one: one.name)
    assert (request.parent, predicted.parent) == (CLIENT_SPAN, request.id)
    assert predicted.attributes["scoreline.prediction_id"] == answer["id"]
    assert predicted.attributes["scoreline.model"] == f"income@{answer['model']['version']}"


def test_where_nothing_is_exported_the_trace_is_in_the_log_of_all_processes(service: Stack) -> None:
    trace = "a3ce929d0e0e47364bf92f3577b34da6"
    upload(service, trace)
    wait_until(lambda: JOB_EVENTS.items() <= logged(service, trace).items())
    service.request("GET", "/api/v1/jobs")
    assert set(logged(service, trace)) >= set(JOB_EVENTS)
