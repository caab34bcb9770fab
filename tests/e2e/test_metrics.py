"""/metrics of the running service: right whichever of the web's processes is asked, and whatever dies."""

import re
from concurrent.futures import ThreadPoolExecutor

from jobs.settings import Settings
from tests.stack import ROOT, Stack, wait_until, workers_of
from tests.web.records import HEADER, RECORD, ROW
from tests.web.server.test_metrics import Samples, samples, value

MODELS = {"route": "/api/v1/models", "method": "GET", "status": "200"}


def scraped(service: Stack) -> Samples:
    return samples(service.get("/metrics").raise_for_status().text)


def model_requests(service: Stack) -> int:
    return int(value(scraped(service), "scoreline_http_request_seconds_count", **MODELS) or 0)


def ask(service: Stack, times: int) -> None:
    with ThreadPoolExecutor(8) as threads:
        for response in threads.map(lambda _: service.get("/api/v1/models"), range(times)):
            assert response.status_code == 200


def counting(service: Stack) -> set[str]:
    """The files of the web's processes that have counted requests for models."""
    folder = Settings(data_dir=service.folder, host="127.0.0.1", port=service.port).counters_dir
    return {path.name for path in folder.iterdir() if b"/api/v1/models" in path.read_bytes()}


def test_requests_add_up_whichever_process_answers(service: Stack) -> None:
    before, asked = model_requests(service), 0

    def both_have_been_asked() -> bool:
        nonlocal asked
        ask(service, 10)
        asked += 10
        return len(counting(service)) >= 2

    wait_until(both_have_been_asked)
    assert {model_requests(service) for _ in range(6)} == {before + asked}


def test_a_web_process_that_dies_takes_no_counts_with_it_and_leaves_no_file_behind(service: Stack) -> None:
    ask(service, 10)
    before, files = model_requests(service), counting(service)
    [parent, *_] = service.processes("gunicorn", "web.wsgi")
    [victim, *_] = children = workers_of(parent)
    victim.kill()
    wait_until(lambda: len({child.pid for child in workers_of(parent)} - {victim.pid}) == len(children))
    wait_until(service.ready)
    assert model_requests(service) == before
    ask(service, 10)
    assert model_requests(service) == before + 10
    assert counting(service) == files


def test_a_jobs_rows_are_in_the_totals_once_it_has_ended(service: Stack) -> None:
    before = scraped(service)
    job, _ = service.score("\n".join([HEADER, *[ROW] * 50, ROW.replace("39", "old"), ""]).encode())
    after = scraped(service)

    def grown(name: str, **labels: str) -> float:
        return (value(after, name, **labels) or 0) - (value(before, name, **labels) or 0)

    assert grown("scoreline_rows_total", outcome="scored") == job["rows"]["scored"] == 50
    assert grown("scoreline_rows_total", outcome="rejected") == job["rows"]["rejected"] == 1
    assert grown("scoreline_jobs_accepted_total") == grown("scoreline_jobs_ended_total", state="succeeded") == 1
    labels = {"model": job["model"]["name"], "version": job["model"]["version"]}
    assert grown("scoreline_model_rows_total", outcome="scored", **labels) == 50
    assert grown("scoreline_model_rows_total", outcome="rejected", **labels) == 1
    assert grown("scoreline_model_chunk_seconds_count", **labels) == 1
    assert grown("scoreline_model_chunk_seconds_sum", **labels) > 0
    assert grown("scoreline_chunk_seconds_count") == grown("scoreline_job_seconds_count") == 1
    assert grown("scoreline_http_request_seconds_count", route="/api/v1/jobs", method="POST", status="200") == 1


def test_a_prediction_is_counted(service: Stack) -> None:
    asked = {"json": {"record": RECORD}}
    model = service.request("POST", "/api/v1/predictions", **asked).raise_for_status().json()["model"]
    labels = {"model": model["name"], "version": model["version"]}
    before = scraped(service)
    service.request("POST", "/api/v1/predictions", **asked).raise_for_status()
    after = scraped(service)
    for name, more in (
        ("scoreline_predictions_answered_total", {}),
        ("scoreline_model_predictions_total", {"outcome": "answered", **labels}),
        ("scoreline_model_prediction_seconds_count", labels),
    ):
        assert value(after, name, **more) == (value(before, name, **more) or 0) + 1


def test_workers_and_the_stores_memory_are_seen(service: Stack) -> None:
    found = scraped(service)
    for role in ("bulk", "interactive", "reconciler", "recorder"):
        assert value(found, "scoreline_workers", role=role) == 1
        assert (value(found, "scoreline_worker_processes", role=role) or 0) >= 1
    used, uploads, limit = (
        value(found, f"scoreline_store_{name}_bytes") or 0 for name in ("memory", "uploads_limit", "memory_limit")
    )
    assert 0 < used < uploads < limit
    assert value(found, "scoreline_store_up") == value(found, "scoreline_store_log_ok") == 1


def test_the_page_for_operators_names_every_metric_and_no_other(service: Stack) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    families = set(re.findall(r"^# TYPE (\w+)", service.get("/metrics").text, re.MULTILINE))
    named = {re.sub(r"_(bucket|count)$", "", name) for name in re.findall(r"\bscoreline_\w+", page)}
    assert named == families
