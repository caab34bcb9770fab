"""Job pages with live updates in a real browser."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.people import PEOPLE, csv_file, many
from tests.stack import Stack, wait_until

LONG = 1_000_000


@dataclass
class HeldJob:
    """A job whose workers are stopped until ``let_go`` is called."""

    job: dict[str, Any]
    let_go: Callable[[], None]

    @property
    def page(self) -> str:
        return str(self.job["links"]["page"])


@pytest.fixture
def half_done(service: Stack) -> Iterator[HeldJob]:
    """A large job, stopped halfway."""
    job = service.upload(many(LONG).encode(), wait=0, filename="long.csv").json()
    wait_until(lambda: service.get(job["links"]["self"]).json()["progress"] > 0.05)
    with ExitStack() as stopped:
        stopped.enter_context(service.frozen("-m worker", "bulk"))
        yield HeldJob(job, stopped.close)
    service.request("POST", f"{job['links']['page']}/delete")


@pytest.fixture
def held(service: Stack) -> Iterator[HeldJob]:
    """A job that waits for stopped workers."""
    with ExitStack() as stopped:
        stopped.enter_context(service.frozen("-m worker", "bulk"))
        job = service.upload(PEOPLE.encode(), wait=0, filename="waiting.csv").json()
        yield HeldJob(job, stopped.close)
    service.request("POST", f"{job['links']['page']}/delete")


@pytest.fixture
def done_job(service: Stack) -> Iterator[dict[str, Any]]:
    job = service.upload(PEOPLE.encode(), filename="people.csv").json()
    yield job
    service.request("POST", f"{job['links']['page']}/delete")


@contextmanager
def buffering_proxy(port: int, head: bool) -> Iterator[str]:
    """A proxy that forwards everything but events, of which it sends at most the headers (``head``)."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("/events"):
                if head:
                    self.send_response(200)
                    self.send_header("Content-Type", "text/event-stream")
                    self.end_headers()
                over.wait(60)
                return
            answer = httpx.get(f"http://127.0.0.1:{port}{self.path}", headers={"Accept-Encoding": "identity"})
            self.send_response(answer.status_code)
            for name in ("Content-Type", "Content-Security-Policy"):
                self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    over = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            over.set()
            server.shutdown()


def test_a_job_is_followed_live_to_its_end(page: Page, half_done: HeldJob) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(half_done.page)
    page.evaluate("window.loaded = true")
    expect(page).to_have_title(re.compile(r"^[1-9]\d?% – long.csv"))
    expect(page.locator("#job-state")).to_contain_text(re.compile(r"[\d,]+ of 1,000,000 rows"))
    expect(page.locator("#job")).to_contain_text("rows per second")
    half_done.let_go()
    expect(page.locator("#job-state")).to_contain_text("All 1,000,000 rows are done", timeout=60_000)
    expect(page.locator("#announcements")).to_contain_text("Succeeded")
    expect(page.locator("#results tbody tr")).to_have_count(100)
    expect(page).to_have_title(re.compile("^Succeeded"))
    assert page.evaluate("window.loaded"), "the page was not reloaded"
    assert any(url.endswith("/events") for url in requested)


@pytest.mark.parametrize("head", [True, False], ids=["headers only", "nothing"])
def test_the_page_polls_behind_a_proxy_that_buffers_events(
    new_page: NewPage, held: HeldJob, service: Stack, head: bool
) -> None:
    with buffering_proxy(service.port, head) as address:
        page = new_page(base_url=address)
        page.goto(held.page)
        expect(page.locator("#job-state")).to_contain_text("Queued")
        held.let_go()
        expect(page.locator("#job-state")).to_contain_text("All 3 rows are done")


def test_the_slider_moves_the_counts(page: Page, done_job: dict[str, Any]) -> None:
    page.goto(done_job["links"]["page"])
    positive, negative = (page.locator(f"[data-prediction={name}] output") for name in ("positive", "negative"))
    expect(positive).to_have_text("1")
    slider = page.get_by_label("Try another threshold")
    slider.focus()
    for _ in range(7):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#slider-value")).to_have_text("15%")
    expect(positive).to_have_text("2")
    expect(negative).to_have_text("0")
    slider.fill("90")
    expect(positive).to_have_text("0")
    expect(page.get_by_label("Threshold", exact=True)).to_have_value("0.9")


def test_a_job_is_scored_again_with_the_threshold_of_the_slider(
    page: Page, done_job: dict[str, Any], service: Stack
) -> None:
    page.goto(done_job["links"]["page"])
    page.get_by_label("Try another threshold").fill("15")
    page.get_by_role("button", name="Score again").click()
    page.wait_for_url(lambda url: "/jobs/" in url and done_job["id"] not in url)
    expect(page.locator("#job-state")).to_contain_text("All 3 rows are done")
    expect(page.get_by_role("heading", name="people.csv")).to_be_visible()
    expect(page.locator("[data-prediction=positive] output")).to_have_text("2")
    service.request("POST", f"{urlsplit(page.url).path}/delete")


def test_an_invalid_threshold_is_reported_beside_its_field(new_page: NewPage, done_job: dict[str, Any]) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(done_job["links"]["page"])
    page.locator("#again").evaluate("form => { form.noValidate = true; form.threshold.value = '7'; }")
    page.get_by_role("button", name="Score again").click()
    page.locator("#threshold-error", has_text="Enter a number from 0 to 1").wait_for()
    assert page.locator("#threshold").input_value() == "7"


def test_a_rejected_row_is_found(page: Page, done_job: dict[str, Any]) -> None:
    page.goto(done_job["links"]["page"])
    row = page.get_by_role("region", name="Age: not a number").get_by_role("row", name="2")
    expect(row).to_contain_text("<b>old</b>")
    expect(page.locator("#results tr.rejected")).to_have_count(1)


def test_times_are_in_the_readers_time_zone(page: Page, done_job: dict[str, Any]) -> None:
    page.goto(done_job["links"]["page"])
    shown = page.locator("#job time").first
    expect(shown).to_contain_text("GMT+9")
    expect(shown).to_have_attribute("title", re.compile("UTC$"))


def test_a_job_is_deleted_and_says_so_when_it_is_opened_again(page: Page, done_job: dict[str, Any]) -> None:
    page.goto(done_job["links"]["page"])
    page.get_by_text("Delete this job").click()
    page.get_by_role("button", name="Delete job").click()
    page.wait_for_url("**/jobs")
    answer = page.goto(done_job["links"]["page"])
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("main")).to_contain_text("It may have expired or been deleted")


def test_a_large_upload_goes_over_into_its_job(page: Page) -> None:
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(csv_file(many(50_000)))
    page.get_by_role("button", name="Upload and score people.csv").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job-state")).to_contain_text("All 50,000 rows are done", timeout=60_000)


def test_a_job_waits_and_is_then_done_without_a_reload(page: Page, held: HeldJob, service: Stack) -> None:
    later = service.upload(PEOPLE.encode(), wait=0, filename="later.csv").json()
    page.goto(later["links"]["page"])
    expect(page.locator("#job-state")).to_contain_text("Queued 1 job ahead")
    held.let_go()
    expect(page.locator("#job-state")).to_contain_text("All 3 rows are done")
    service.request("POST", f"{later['links']['page']}/delete")


def test_without_events_the_page_polls(page: Page, held: HeldJob) -> None:
    page.route("**/events", lambda route: route.abort())
    page.goto(held.page)
    expect(page.locator("#job-state")).to_contain_text("Next in queue")
    held.let_go()
    expect(page.locator("#job-state")).to_contain_text("All 3 rows are done")


def test_a_job_is_canceled(page: Page, held: HeldJob) -> None:
    page.goto("/jobs?state=queued")
    page.get_by_role("link", name="waiting.csv").click()
    page.get_by_role("button", name="Cancel job").click()
    expect(page.locator("#job-state")).to_contain_text("Canceled No rows were scored.")
    expect(page.locator("#job")).to_contain_text("upload the file again")
    expect(page.get_by_role("link", name="Download")).to_have_count(0)


def test_the_partial_results_of_a_canceled_job_can_be_downloaded(page: Page, half_done: HeldJob) -> None:
    page.goto(half_done.page)
    page.get_by_role("button", name="Cancel job").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download partial results").click()
    half_done.let_go()
    _, *rows = download.value.path().read_text().splitlines()
    assert 0 < len(rows) < LONG
    _, *records = many(len(rows)).splitlines()
    assert all(row.startswith(f"{record},") for row, record in zip(rows, records, strict=True))


def test_a_lost_connection_is_reported_and_restored(page: Page, held: HeldJob) -> None:
    # Chromium keeps open streams when it goes offline, so make the page poll.
    page.route("**/events", lambda route: route.abort())
    page.goto(held.page)
    page.context.set_offline(True)
    expect(page.locator("#warning")).to_contain_text("Connection lost")
    page.context.set_offline(False)
    held.let_go()
    expect(page.locator("#job-state")).to_contain_text("All 3 rows are done")
    expect(page.locator("#warning")).to_have_count(0)


def test_the_page_of_a_deleted_job_says_so_while_open(page: Page, held: HeldJob, service: Stack) -> None:
    page.route("**/events", lambda route: route.abort())
    page.goto(held.page)
    service.request("POST", f"{held.page}/delete")
    expect(page.locator("main")).to_contain_text("Job not found")
    expect(page.locator("main")).to_contain_text("It may have expired")


def test_the_list_refreshes_shows_the_queue_and_can_be_filtered(page: Page, held: HeldJob) -> None:
    page.goto("/jobs")
    row = page.get_by_role("row", name="waiting.csv").first
    expect(row).to_contain_text("Queued")
    expect(row).to_contain_text("Next in queue")
    held.let_go()
    expect(row).to_contain_text("Succeeded")
    page.get_by_role("navigation", name="State").get_by_role("link", name="Canceled").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    expect(page.get_by_role("row", name=held.page)).to_have_count(0)
