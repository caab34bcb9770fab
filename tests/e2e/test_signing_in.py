"""A service for a team, as its first users meet it: from the address in the log to a program with a token."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.stack import CSV, Stack, problem_of, running_stack, wait_until
from tests.web.records import HEADER, ROW

PEOPLE = "\n".join([HEADER, *3 * [ROW], ""]).encode()
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    settings = {"SCORELINE_AUTH": "on", "SCORELINE_LOG_FORMAT": "json"}
    with running_stack(tmp_path_factory.mktemp("team"), models, **settings) as stack:
        yield stack


def addresses_in_log(stack: Stack) -> list[str]:
    lines = (stack.folder / "log").read_text().splitlines()
    logged = [json.loads(line) for line in lines if '"address"' in line and line.startswith("{")]
    return [line["address"].removeprefix(stack.url) for line in logged if "/welcome/" in str(line["address"])]


def form_secret(page: httpx.Response) -> str:
    found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert found
    return found[1]


def test_from_the_address_in_the_log_to_a_program_with_a_token(service: Stack) -> None:
    [address] = wait_until(lambda: addresses_in_log(service))
    with service.client() as browser:
        form = {"email": "ann@example.org", "name": "Ann", "password": PASSWORD}
        created = browser.post(address, data=form | {"_csrf_token": form_secret(browser.get(address))})
        assert (created.status_code, created.headers["Location"]) == (303, "/")
        page = browser.get("/account")
        secret = {"X-CSRF-Token": form_secret(page)}
        made = browser.post("/api/v1/tokens", json={"name": "nightly", "scopes": ["read", "score"]}, headers=secret)
        assert made.status_code == 201
        # By session: what the pages' scripts do.
        upload = browser.post("/api/v1/jobs", content=PEOPLE, headers=CSV | secret)
        assert upload.status_code == 202
        assert browser.post("/api/v1/jobs", content=PEOPLE, headers=CSV).json()["code"] == "stale_form"
        assert upload.json()["owner"] == "ann@example.org"
    token = {"Authorization": f"Bearer {made.json()['token']}"}
    job = service.request(
        "POST", "/api/v1/jobs", content=PEOPLE, headers=CSV | token | {"Prefer": "wait=60, until=ended"}
    )
    assert job.json()["state"] == "succeeded"
    results = service.get(job.json()["links"]["results"], headers=token)
    assert results.text.count("\n") == 4
    streamed = service.request("PUT", "/api/v1/score", content=PEOPLE, headers=CSV | token)
    assert streamed.text == results.text
    record = dict(zip(HEADER.split(","), ROW.split(","), strict=True))
    answer = service.request("POST", "/api/v1/predictions", json={"record": record}, headers=token)
    assert answer.status_code == 200
    assert service.get(answer.json()["links"]["self"], headers=token).status_code == 200
    with service.client().stream("GET", job.json()["links"]["events"], headers=token) as events:
        assert "succeeded" in events.read().decode()


def test_who_corrects_a_colleagues_file_owns_the_outcome(service: Stack) -> None:
    with service.client() as ann, service.client() as ben:
        form = {"email": "ann@example.org", "password": PASSWORD}
        ann.post("/signin", data=form | {"_csrf_token": form_secret(ann.get("/signin"))})
        secret = {"X-CSRF-Token": form_secret(ann.get("/account"))}
        invited = ann.post("/users", data={"email": "ben@example.org", "role": "member"}, headers=secret)
        address = re.search(r'id="address">[^<]*?(/welcome/[\w-]+)<', invited.text)
        assert address
        form = {"email": "ben@example.org", "name": "Ben", "password": PASSWORD}
        assert ben.post(address[1], data=form | {"_csrf_token": form_secret(ben.get(address[1]))}).status_code == 303
        ended = {"Prefer": "wait=60, until=ended"}
        faulty = PEOPLE + ROW.replace("39", "old", 1).encode() + b"\n"
        team = {"visibility": "team"}
        job = ann.post("/api/v1/jobs", content=faulty, params=team, headers=CSV | secret | ended).json()
        assert (job["state"], job["rows"]["rejected"]) == ("succeeded", 1)
        path, records = f"{job['links']['self']}/corrections", {"records": [{"_row": 4, "age": 39}]}
        assert problem_of(ben.post(path, json=records)) == (403, "stale_form")
        made = []
        for client in (ben, ann):
            # The same idempotency key: each has keys of their own.
            headers = ended | {"X-CSRF-Token": form_secret(client.get("/account")), "Idempotency-Key": "same"}
            made.append(client.post(path, json=records, headers=headers).raise_for_status().json())
        bens, anns = made
        assert [(new["owner"], new["visibility"]) for new in made] == [
            ("ben@example.org", "private"),
            ("ann@example.org", "team"),
        ]
        assert all((new["state"], new["rows"]["scored"]) == ("succeeded", 4) for new in made)
        # Ann is an administrator, who sees all; Ben sees what the team does.
        assert ben.get(anns["links"]["results"]).text == ann.get(bens["links"]["results"]).text
        page = ben.get(job["links"]["page"]).text
        assert all(new["links"]["page"] in page for new in made)
        edited = ben.get(job["links"]["rejects"], params={"shape": "records"}).text.replace("old", "39")
        upload = {"file": ("rejects.csv", edited)}
        assert ben.post(f"{job['links']['page']}/corrections", files=upload).status_code == 403
        form_of_page = re.search(r'id="corrections-form" action="([^"]+)"', page)
        assert form_of_page
        assert ben.post(form_of_page[1].replace("&amp;", "&"), files=upload).status_code == 303


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/models", "/api/v1/openapi.json", f"/api/v1/jobs/{32 * '0'}"])
def test_nobody_learns_anything_without_signing_in(service: Stack, path: str) -> None:
    answer = service.get(path)
    assert problem_of(answer) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert service.request("POST", "/api/v1/jobs", content=PEOPLE, headers=CSV).status_code == 401


def test_what_watches_the_service_needs_no_account(service: Stack) -> None:
    for path in (
        "/healthz",
        "/readyz",
        "/metrics",
        "/static/scoreline.css",
        "/signin",
        "/api/v1/errors/unauthenticated",
    ):
        assert service.get(path).status_code == 200


def test_web_processes_that_start_later_give_no_address_for_another_administrator(service: Stack) -> None:
    before, old = addresses_in_log(service), {process.pid for process in service.processes("web.wsgi:app")}
    master = service.processes("web.wsgi:app")[0]
    for process in master.children():
        process.kill()
    wait_until(lambda: len({process.pid for process in service.processes("web.wsgi:app")} - old) == len(old) - 1)
    wait_until(service.ready)
    assert service.get("/signin").status_code == 200
    assert addresses_in_log(service) == before
