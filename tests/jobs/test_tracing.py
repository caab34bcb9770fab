"""The trace of a request is passed on and logged, whether or not OpenTelemetry is installed."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs import tracing
from jobs.messages import CorrectedRows, InputChunk, Queue, ScoreChunk, Task
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.celery_message import encode
from jobs.store.chunks import Corrections, NewJob, ScoredChunk
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.task_sender import TaskSender
from tests.stack import ROOT

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
CORRECTING = f"00-{TRACE[::-1]}-00f067aa0ba902b7-01"
NEW = NewJob("income", "1", "a.csv", "utf-8", ",", "\n", 0.5, b"a,b,prediction", b"a,b", {"a": 0}, 2)
NONE = [
    None, "", "garbage", PARENT.upper(), f"01{PARENT[2:]}", PARENT[:-1], f"{PARENT}-more", f"ff{PARENT[2:]}",
    f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", f"{PARENT}\n",
]  # fmt: skip


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    tracing.follow(None)
    yield
    tracing.follow(None)


@pytest.fixture
def store(server: Settings) -> Iterator[JobStore]:
    with connect(server) as redis:
        redis.flushall()
        yield JobStore(redis, server)
        redis.flushall()


def header_of(message: bytes) -> str | None:
    found: str | None = json.loads(message)["headers"].get("traceparent")
    return found


def test_what_the_client_names_as_its_trace_goes_into_messages() -> None:
    tracing.follow(PARENT)
    assert (tracing.traceparent(), tracing.trace_id()) == (PARENT, TRACE)
    assert header_of(encode(Task.SCORE_CHUNK, ScoreChunk("job", 1).encode())) == PARENT


@pytest.mark.parametrize("given", NONE)
def test_what_is_no_trace_is_dropped_and_ends_the_one_before(given: str | None) -> None:
    tracing.follow(PARENT)
    tracing.follow(given)
    assert (tracing.traceparent(), tracing.trace_id()) == ("", "")
    assert header_of(encode(Task.SCORE_CHUNK, ScoreChunk("job", 1).encode())) is None


def test_a_job_keeps_its_trace_for_chunks_that_are_sent_again(store: JobStore, server: Settings) -> None:
    tracing.follow(PARENT)
    new = replace(NEW, id="traced")
    store.begin(new)
    TaskSender(store.redis, server).score_chunks(new.id, store.append(new.id, 0, InputChunk(1, 1, b"1,2\n")))
    [message] = store.redis.lrange(keys.queue(Queue.BULK), 0, -1)
    assert header_of(message) == PARENT
    tracing.follow(None)  # as in the reconciler, and then in a worker
    claimed = store.claim(new.id, 0, "task")
    assert claimed is not None
    assert claimed.traceparent == PARENT


@pytest.mark.parametrize("given", [None, CORRECTING], ids=["none", "its own"])
def test_corrections_belong_to_the_trace_of_their_own_request_alone(store: JobStore, given: str | None) -> None:
    tracing.follow(PARENT)
    store.begin(replace(NEW, id="traced"))
    store.append("traced", 0, InputChunk(1, 1, b"1,x\n"))
    store.seal("traced", total=1)
    store.record("traced", 0, ScoredChunk(b"1,x,\n", b"1,a,x,code,why,1,x\n", 0, 1))
    tracing.follow(given)
    assert store.correct("corrected", Corrections("traced", {0: CorrectedRows((1,), b"1,2\n")})) == [0]
    tracing.follow(None)  # as in a worker
    claimed = store.claim("corrected", 0, "task")
    assert claimed is not None
    assert claimed.traceparent == (given or "")


def test_an_exporter_that_is_not_there_is_told_once_and_costs_nothing_else() -> None:
    with capture_logs() as logs:
        tracing.export_traces(Settings(traces="nowhere"), "web")
    [line] = logs
    assert line["event"] == "traces are not exported"
    assert "there is no exporter 'nowhere', but " in line["reason"]
    assert not tracing.is_exported()


def test_a_process_ends_though_its_collector_does_not_answer() -> None:
    """Neither way of ending waits for the half minute that OpenTelemetry would."""
    code = """
import sys
from jobs import tracing
from jobs.settings import Settings
tracing.export_traces(Settings(traces="otlp"), "web")
tracing.begin("a", "SERVER", {}).end()
if sys.argv[1:]: tracing.flush_traces()
print("ends")
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_TIMEOUT": "3600"}
        for words in ((), ("flush",)):
            command = [sys.executable, "-c", code, *words]
            ended = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=25, check=True
            )
            assert ended.stdout == "ends\n"


def test_without_the_setting_nothing_that_exports_traces_is_loaded() -> None:
    loaded = "[name for name in sys.modules if name.startswith(('opentelemetry.sdk.trace', 'opentelemetry.exporter'))]"
    code = f"import sys, worker.tasks, web.server.tracing; print({loaded})"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_without_the_extra_the_service_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden: Any = None
    for name in [*(name for name in sys.modules if name.startswith("opentelemetry")), "opentelemetry.sdk.resources"]:
        monkeypatch.setitem(sys.modules, name, hidden)
    with capture_logs() as logs:
        tracing.export_traces(Settings(traces="otlp"), "web")
    assert [line["event"] for line in logs] == ["traces are not exported"]
    assert not tracing.is_exported()
