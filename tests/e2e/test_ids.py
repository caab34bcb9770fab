"""An id is checked before any route acts: nothing else becomes part of a key, or an action on another key."""

from urllib.parse import quote

import pytest

from tests.e2e.test_jobs_api import FILE
from tests.e2e.test_slow_clients import unfinished
from tests.stack import Stack, problem_of

PARTS = ["inflight", "input", "output", "leases", "counts", "summary", "rejects"]
STRANGE = [
    "x", "0", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "0" * 31 + "\n", "0" * 31 + "０", " " + "0" * 32, "*", "?",
    "[a-f]", "%00", "0" * 32 + ":input", "0" * 32 + ".0", "0" * 32 + "\0", "job:" + "0" * 32, "{" + "0" * 32 + "}",
]  # fmt: skip


def addresses(job_id: str) -> list[tuple[str, str]]:
    job = quote(job_id, safe="")
    parts = ["", "/results", "/rejects", "/summary", "/events"]
    found = [("GET", f"/api/v1/jobs/{job}{part}") for part in parts]
    found += [("DELETE", f"/api/v1/jobs/{job}"), ("GET", f"/jobs/{job}")]
    return found + [("POST", f"/jobs/{job}/{action}") for action in ("again", "cancel", "delete")]


@pytest.mark.parametrize("job_id", STRANGE)
def test_what_is_no_id_is_an_unknown_job(service: Stack, job_id: str) -> None:
    for method, path in addresses(job_id):
        answer = service.request(method, path)
        assert answer.status_code == 404, (method, path)
        if path.startswith("/api/"):
            assert problem_of(answer)[1] in ("unknown_job", "not_found")
    for prefix in ("/api/v1/predictions/", "/predictions/"):
        if not job_id.endswith(".0"):
            assert service.get(prefix + quote(job_id, safe="")).status_code == 404


def test_the_keys_of_a_running_job_are_no_jobs(service: Stack) -> None:
    with unfinished(service) as (job, upload):
        for part in PARTS:
            for method, path in addresses(f"{job['id']}:{part}"):
                assert service.request(method, path).status_code == 404, (method, path)
        upload.sendall(b"0\r\n\r\n")
        assert service.ended(job)["state"] == "succeeded"


def test_the_keys_of_an_ended_job_outlive_whoever_asks_to_delete_them(service: Stack) -> None:
    job = service.upload(FILE).json()
    before = service.get(job["links"]["results"]).content
    for part in PARTS:
        for method, path in addresses(f"{job['id']}:{part}"):
            assert service.request(method, path).status_code == 404
    assert service.get(job["links"]["results"]).content == before
