"""Behind nginx, HAProxy and Caddy, configured by ``deploy/``, everything works as without, also under a path."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.test_jobs_api import FILE, GOOD, HEADER, blocks
from tests.proxies import HOST, KINDS, PREFIX, another_web, require, running_proxy
from tests.stack import CSV, Stack, wait_until

# More than all the sockets on the way hold.
ROWS = 240_000
LARGE = f"{HEADER}\n".encode() + f"{GOOD}\n".encode() * ROWS
SETTINGS = {
    "SCORELINE_TRUSTED_PROXIES": "127.0.0.1",
    "SCORELINE_HOSTS": HOST,
    "SCORELINE_CHUNK_BYTES": str(1024 * 1024),
}
LINK = re.compile(r'(?:href|src|action|data-[a-z]+)="(/[^"]*)"')


@pytest.fixture(scope="module")
def proxied(service: Stack) -> Iterator[Stack]:
    """The service with another web, which trusts the proxies of this machine."""
    with another_web(service, **SETTINGS) as web:
        yield web


@pytest.fixture(scope="module", params=KINDS)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the service behind each proxy."""
    require(request.param)
    web: Stack = request.getfixturevalue("proxied")
    with running_proxy(request.param, tmp_path_factory.mktemp(request.param), web.port) as proxy:
        with proxy.client() as client:
            yield client


def test_a_large_upload_passes_while_it_is_sent(client: httpx.Client, proxied: Stack) -> None:
    def body() -> Iterator[bytes]:
        yield LARGE[: len(LARGE) // 2]
        wait_until(lambda: 'scoreline_jobs{state="uploading"} 1.0' in proxied.get("/metrics").text)
        yield LARGE[len(LARGE) // 2 :]

    headers = CSV | {"Prefer": "wait=60, until=ended"}
    job = client.post("/api/v1/jobs", content=body(), headers=headers).raise_for_status().json()
    assert (job["state"], job["rows"]["scored"]) == ("succeeded", ROWS)
    results = client.get(job["links"]["results"]).raise_for_status()
    assert results.text.count("\n") == ROWS + 1


def test_a_file_of_several_chunks_is_scored_in_one_request(client: httpx.Client) -> None:
    response = client.put(f"{PREFIX}/api/v1/score", content=blocks(LARGE)).raise_for_status()
    lines = response.text.splitlines()
    assert len(lines) == ROWS + 1
    assert set(lines[1:]) == {f"{GOOD},<=50K,0.150521,"}
    assert response.headers["Location"].startswith(f"{PREFIX}/api/v1/jobs/")


def test_events_arrive_while_the_job_runs(client: httpx.Client, service: Stack) -> None:
    with service.frozen("-m worker bulk"):
        job = client.post("/api/v1/jobs", content=FILE, headers=CSV).raise_for_status().json()
        with client.stream("GET", job["links"]["events"]) as events:
            lines = events.iter_lines()
            data = next(line for line in lines if line.startswith("data: "))
            assert json.loads(data.removeprefix("data: "))["state"] in ("queued", "running")
            # With the connection above, these are answered although it is still open.
            assert client.get(job["links"]["self"]).json()["finished_at"] is None


def test_all_links_stay_under_the_path(client: httpx.Client) -> None:
    bare = client.get(PREFIX)
    assert (bare.status_code, bare.headers["Location"].endswith(f"{PREFIX}/")) == (308, True)
    job = client.post(f"{PREFIX}/api/v1/jobs", content=FILE, headers=CSV | {"Prefer": "wait=60"}).json()
    assert all(link.startswith(f"{PREFIX}/") for link in job["links"].values())
    pages, seen = [f"{PREFIX}/", job["links"]["page"], f"{PREFIX}/api/v1/docs", f"{PREFIX}/history"], set[str]()
    for path in pages:
        seen |= set(LINK.findall(client.get(path).raise_for_status().text))
    assert len(seen) > 20
    assert [link for link in seen if not link.startswith(f"{PREFIX}/")] == []
    # Each other format is written by a process that takes seconds to start.
    followed = [link.replace("&amp;", "&") for link in seen if "format=" not in link]
    statuses = {link: client.get(link).status_code for link in followed}
    # 405: forms post there; 303: what only forms ask for leads to a page.
    assert {link: status for link, status in statuses.items() if status not in (200, 303, 405, 422)} == {}
    document = client.get(f"{PREFIX}/api/v1/openapi.json").json()
    assert document["servers"] == [{"url": PREFIX}]
    problem = client.get(f"{PREFIX}/api/v1/jobs/none").json()
    assert client.get(problem["type"]).status_code == 200


def test_a_form_leads_to_a_page_under_the_path(client: httpx.Client) -> None:
    port = client.base_url.port
    upload = {"file": ("people.csv", FILE)}
    own = {"Origin": f"http://{HOST}:{port}"}
    answer = client.post(f"{PREFIX}/jobs", files=upload, headers=own)
    assert answer.status_code == 303
    assert client.get(answer.headers["Location"]).status_code == 200
    assert answer.headers["Location"].startswith(f"{PREFIX}/jobs/")
    assert client.post(f"{PREFIX}/jobs", files=upload, headers={"Origin": "http://evil.example"}).status_code == 403


def test_what_a_client_says_of_proxies_is_not_believed(client: httpx.Client) -> None:
    made_up = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example;proto=https",
    }
    for path in ("/", f"{PREFIX}/", "/jobs", "/api/v1/openapi.json"):
        page = client.get(path, headers=made_up).raise_for_status()
        assert "evil" not in page.text + str(page.headers)
        assert "https://scoreline" not in page.text
    job = client.post("/api/v1/jobs", content=FILE, headers=CSV | made_up).raise_for_status()
    assert job.headers["Location"].startswith("/api/v1/jobs/")


@pytest.mark.parametrize("page", ["/metrics", "/readyz"])
def test_the_state_of_the_service_is_not_for_everybody(client: httpx.Client, page: str) -> None:
    for path in (page, f"{PREFIX}{page}"):
        assert client.get(path).status_code == 403
