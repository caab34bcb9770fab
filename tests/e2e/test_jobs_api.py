"""The life of a job over HTTP: refused or accepted, watched, listed, canceled, downloaded, deleted."""

import csv
import gzip
import io
import json
import socket
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from tests.stack import CSV, Stack, problem_of, wait_until

HEADER = "age,workclass,education,marital_status,race,sex,hours_per_week"
GOOD = "39,State-gov,Bachelors,Never-married,White,Male,40"
FILE = f"{HEADER}\n{GOOD}\nabc{GOOD[2:]}\n".encode()
POST_CSV = "POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
# Enough rows for a job to be seen at work.
LARGE_ROWS = 400_000
LARGE = f"{HEADER}\n".encode() + f"{GOOD}\n".encode() * LARGE_ROWS

FORM_WITHOUT_FILE = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nincome\r\n--x--\r\n'
JOB_MEMBERS = [
    "id", "state", "model", "filename", "bytes", "format", "sheet", "converting", "encoding", "delimiter", "decimal",
    "skipped_lines", "threshold", "explain", "rows", "notes", "progress",
    "rows_per_second", "eta_seconds", "queue_position", "created_at", "started_at", "finished_at", "expires_at",
    "error", "corrects", "links",
]  # fmt: skip


def test_an_upload_is_accepted_with_the_job_and_its_address(service: Stack) -> None:
    response = service.upload(FILE, wait=0, filename="people.csv")
    job = response.json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/v1/jobs/{job['id']}" == job["links"]["self"]
    assert int(response.headers["Retry-After"]) >= 1
    assert sorted(job) == sorted(JOB_MEMBERS)
    assert len(job["id"]) >= 32
    ended = service.ended(job)
    assert (ended["state"], ended["progress"], ended["filename"]) == ("succeeded", 1, "people.csv")
    assert ended["rows"] == {"total": 2, "scored": 1, "rejected": 1, "warned": 0, "repaired": 0}
    assert ended["bytes"] == len(FILE)
    times = [datetime.fromisoformat(ended[name]) for name in ("created_at", "started_at", "finished_at", "expires_at")]
    assert times == sorted(times)
    assert (times[-1] - times[-2]).days == 7


def test_an_upload_may_wait_for_its_end(service: Stack) -> None:
    response = service.upload(FILE)
    assert (response.status_code, response.json()["state"]) == (200, "succeeded")


def multipart(service: Stack, *parts: tuple[str, Any], **options: Any) -> httpx.Response:
    """A form, its parts in the given order."""
    return service.request("POST", "/api/v1/jobs", files=list(parts), headers={"Prefer": "wait=60"}, **options)


@pytest.mark.parametrize("file_first", [True, False])
def test_form_fields_count_before_and_after_the_file(service: Stack, file_first: bool) -> None:
    parts = [("file", ("staff.csv", FILE)), ("threshold", (None, "0.1")), ("model", (None, "income"))]
    job = multipart(service, *(parts if file_first else parts[::-1])).raise_for_status().json()
    assert (job["threshold"], job["filename"], job["model"]["name"]) == (0.1, "staff.csv", "income")
    row = next(csv.DictReader(io.StringIO(service.get(job["links"]["results"]).text)))
    assert (row["prediction"], row["probability"]) == (">50K", "0.150521")


@pytest.mark.parametrize("file_first", [True, False])
def test_the_encoding_may_be_a_field_before_the_file(service: Stack, file_first: bool) -> None:
    parts = [("file", ("a.csv", f"{HEADER},n\n{GOOD},Łódź\n".encode("cp1250"))), ("encoding", (None, "cp1250"))]
    response = multipart(service, *(parts if file_first else parts[::-1]))
    if file_first:
        assert problem_of(response) == (400, "malformed_body")
    else:
        assert "Łódź" in service.get(response.json()["links"]["results"]).text


@pytest.mark.parametrize("threshold", ["2", "-0.1", "half", "nan"])
@pytest.mark.parametrize("file_first", [True, False])
def test_a_bad_threshold_is_refused(service: Stack, threshold: str, file_first: bool) -> None:
    parts = [("file", ("staff.csv", FILE)), ("threshold", (None, threshold))]
    assert problem_of(multipart(service, *(parts if file_first else parts[::-1]))) == (422, "bad_threshold")
    assert problem_of(service.upload(FILE, threshold=threshold)) == (422, "bad_threshold")


def test_an_unknown_model_is_refused(service: Stack) -> None:
    assert problem_of(service.upload(FILE, model="outcome")) == (422, "unknown_model")
    assert problem_of(service.upload(FILE, model="../income")) == (422, "unknown_model")
    assert problem_of(multipart(service, ("file", ("a.csv", FILE)), ("model", (None, "x")))) == (422, "unknown_model")


def test_gzip_is_decompressed(service: Stack) -> None:
    packed = gzip.compress(FILE[:70]) + gzip.compress(FILE[70:])
    plain = service.request("POST", "/api/v1/jobs", content=packed, headers={**CSV, "Content-Encoding": "gzip"})
    assert service.ended(plain.raise_for_status().json())["rows"]["total"] == 2
    job = multipart(service, ("file", ("people.csv.gz", packed))).raise_for_status().json()
    assert (job["rows"]["total"], job["bytes"]) == (2, len(FILE))
    disposition = service.get(job["links"]["results"]).headers["Content-Disposition"]
    assert disposition == 'attachment; filename="people.scored.csv"'


@pytest.mark.parametrize(("headers", "body", "expected"), [
    ({**CSV, "Content-Encoding": "gzip"}, gzip.compress(LARGE)[:-20], (400, "malformed_body")),
    ({**CSV, "Content-Encoding": "gzip"}, FILE, (400, "malformed_body")),
    ({**CSV, "Content-Encoding": "br"}, FILE, (415, "unsupported_media_type")),
    ({"Content-Type": "application/json"}, b"{}", (415, "unsupported_media_type")),
    ({"Content-Type": "multipart/form-data"}, FILE, (400, "malformed_body")),
    ({"Content-Type": "multipart/form-data; boundary=x"}, FILE, (400, "malformed_body")),
    ({"Content-Type": "multipart/form-data; boundary=x"}, FORM_WITHOUT_FILE, (400, "malformed_body")),
    (CSV, b"PK\x03\x04" + b"\0" * 20 + b"xl/workbook.xml", (422, "unreadable_file")),
    (CSV, b"\x89PNG\r\n\x1a\n" + b"\0" * 20, (415, "unsupported_media_type")),
    (CSV, gzip.compress(FILE), (415, "unsupported_media_type")),
    (CSV, b"<!DOCTYPE html><html>", (415, "unsupported_media_type")),
])  # fmt: skip
def test_bodies_that_are_no_csv_are_refused(
    service: Stack, headers: dict[str, str], body: bytes, expected: tuple[int, str]
) -> None:
    assert problem_of(service.request("POST", "/api/v1/jobs", content=body, headers=headers)) == expected


def test_other_formats_are_named(service: Stack) -> None:
    assert "PNG" in service.upload(b"\x89PNG\r\n\x1a\nxx").json()["detail"]
    assert "workbook" in service.upload(b"PK\x03\x04..[Content_Types].xml").json()["detail"]


def test_a_wrong_file_is_refused_before_it_has_come(service: Stack) -> None:
    """The answer is there although the client has sent no more than the beginning of a large file."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        head = f"{POST_CSV}Content-Length: 100000000\r\n\r\n"
        connection.sendall(head.encode() + b"a,b,c\n1,2,3\n" * 30_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 422")


def test_a_client_that_only_reads_after_sending_gets_the_refusal(service: Stack) -> None:
    response = service.upload(b"a,b,c\n" + b"1,2,3\n" * 3_000_000)
    assert problem_of(response) == (422, "missing_columns")


def test_an_upload_that_breaks_off_leaves_nothing(service: Stack) -> None:
    before = [job["id"] for job in service.get("/api/v1/jobs?limit=20").json()["jobs"]]
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        head = f"{POST_CSV}Content-Length: 100000000\r\n\r\n"
        connection.sendall(head.encode() + LARGE[:3_000_000])
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        head = f"{POST_CSV}Transfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"%x\r\n" % len(FILE) + FILE + b"\r\n")
    whole = service.upload(FILE)
    assert whole.status_code == 200
    after = [job["id"] for job in service.get("/api/v1/jobs?limit=21").json()["jobs"]]
    assert after == [whole.json()["id"], *before]


def begin_large(service: Stack) -> Any:
    """A job that is seen at work: of a form, nothing is scored before all of it has come."""
    response = service.request("POST", "/api/v1/jobs", files={"file": ("large.csv", LARGE)})
    assert response.status_code == 202
    return response.json()


def test_progress_never_goes_back_and_ends_at_one(service: Stack) -> None:
    job = begin_large(service)
    seen, tag = [job], '"0-0"'
    while seen[-1]["state"] not in ("succeeded", "failed"):
        response = service.get(job["links"]["self"], headers={"Prefer": "wait=20", "If-None-Match": tag})
        if response.status_code == 304:
            continue
        tag = response.headers["ETag"]
        assert ("Retry-After" in response.headers) == (response.json()["state"] in ("queued", "running"))
        seen.append(response.json())
    progress = [one["progress"] for one in seen]
    assert progress == sorted(progress)
    assert all(one["progress"] < 1 for one in seen[:-1])
    assert len(set(progress)) > 2
    assert seen[-1]["rows"] == {"total": LARGE_ROWS, "scored": LARGE_ROWS, "rejected": 0, "warned": 0, "repaired": 0}


def test_a_job_seen_before_is_not_sent_again(service: Stack) -> None:
    job, _ = service.score(FILE)
    tag = service.get(job["links"]["self"]).headers["ETag"]
    again = service.get(job["links"]["self"], headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert service.get(job["links"]["self"], headers={"If-None-Match": tag, "Prefer": "wait=30"}).status_code == 304
    for other in ('"other"', f'"{"9" * 3000}-0"', "garbage"):
        assert service.get(job["links"]["self"], headers={"If-None-Match": other}).status_code == 200


@pytest.mark.parametrize("path", ["", "/results", "/rejects"])
@pytest.mark.parametrize("job_id", ["0" * 32, "nonsense", "%00", "*", "0" * 32 + ":output"])
def test_an_unknown_job_is_not_found(service: Stack, job_id: str, path: str) -> None:
    assert problem_of(service.get(f"/api/v1/jobs/{job_id}{path}")) == (404, "unknown_job")


def test_results_are_not_ready_before_the_end_and_a_canceled_job_stays_so(service: Stack) -> None:
    with service.frozen("-m worker bulk"):
        job = begin_large(service)
        early = service.get(job["links"]["results"])
        canceled = service.request("DELETE", job["links"]["self"])
    assert problem_of(early) == (409, "not_ready")
    assert "Retry-After" in early.headers
    assert (canceled.status_code, canceled.json()["state"]) == (200, "canceled")
    assert canceled.json()["progress"] < 1
    assert problem_of(service.get(job["links"]["results"])) == (409, "job_canceled")
    partial = service.get(job["links"]["results"], params={"partial": "true"}).text
    assert partial == f"{HEADER},prediction,probability,error\n"
    assert service.get(job["links"]["self"]).json()["state"] == "canceled"
    assert service.request("DELETE", job["links"]["self"]).status_code == 204
    assert problem_of(service.get(job["links"]["self"])) == (404, "unknown_job")


def test_a_deleted_job_is_gone(service: Stack) -> None:
    job, _ = service.score(FILE)
    assert service.request("DELETE", job["links"]["self"]).status_code == 204
    for address in (job["links"]["self"], job["links"]["results"]):
        assert problem_of(service.get(address)) == (404, "unknown_job")
    assert job["id"] not in [one["id"] for one in service.get("/api/v1/jobs").json()["jobs"]]


def test_the_list_shows_the_newest_first_a_page_at_a_time(service: Stack) -> None:
    ids = [service.upload(FILE).json()["id"] for _ in range(5)][::-1]
    found, cursor = [], None
    while len(found) < 5:
        page = service.get("/api/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["jobs"]) <= 2
        found += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
    assert found[:5] == ids
    assert {job["state"] for job in service.get("/api/v1/jobs?state=succeeded").json()["jobs"]} == {"succeeded"}
    failed = service.get("/api/v1/jobs?state=failed").json()["jobs"]
    assert {job["state"] for job in failed} <= {"failed"}
    assert not {job["id"] for job in failed} & set(ids)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "state=done", "cursor=%%%", "cursor=abc", "cursor=bmFuIHg"]
)
def test_a_wrong_parameter_is_named(service: Stack, query: str) -> None:
    assert problem_of(service.get(f"/api/v1/jobs?{query}")) == (422, "bad_parameter")


def test_formulas_are_made_harmless_on_request(service: Stack) -> None:
    notes = ["=1+1", "+49 30 1", "-x", "@sum", "\ttab", "-5", "+1.5e3", '"=a,b"', '" =x"', "a=b", '"a,=b"']
    data = f"{HEADER},note\n" + "".join(f"{GOOD},{note}\n" for note in notes)
    job, plain = service.score(data.encode())
    assert all(f"{GOOD},{note},".encode() in plain for note in notes)
    escaped = service.get(job["links"]["results"], params={"escape": "formulas"}).text
    read = [row["note"] for row in csv.DictReader(io.StringIO(escaped))]
    expected = ["'=1+1", "'+49 30 1", "'-x", "'@sum", "'\ttab", "-5", "+1.5e3", "'=a,b", " =x", "a=b", "a,=b"]
    assert read == expected
    assert problem_of(service.get(job["links"]["results"], params={"escape": "x"})) == (422, "bad_parameter")


def test_following_a_job_gives_the_whole_file(service: Stack) -> None:
    job = service.upload(LARGE, wait=0).raise_for_status().json()
    lines = service.get(job["links"]["results"], params={"follow": "true"}).text.splitlines()
    assert len(lines) == LARGE_ROWS + 1
    assert set(lines[1:]) == {f"{GOOD},<=50K,0.150521,"}


def test_following_a_job_that_is_canceled_breaks_off(service: Stack) -> None:
    with service.frozen("-m worker bulk"), service.client() as client:
        job = begin_large(service)
        with client.stream("GET", job["links"]["results"], params={"follow": "true"}) as response:
            service.request("DELETE", job["links"]["self"])
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                response.read()


def blocks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


def test_scoring_in_one_request(service: Stack) -> None:
    response = service.request("PUT", "/api/v1/score", content=blocks(LARGE))
    lines = response.raise_for_status().text.splitlines()
    assert len(lines) == LARGE_ROWS + 1
    assert set(lines[1:]) == {f"{GOOD},<=50K,0.150521,"}
    job = service.get(response.headers["Location"]).json()
    assert (job["state"], job["rows"]["scored"]) == ("succeeded", LARGE_ROWS)


def test_scoring_a_small_wrong_file_in_one_request_is_refused_with_a_status(service: Stack) -> None:
    refused = service.request("POST", "/api/v1/score", content=b"a,b\n1,2\n", headers=CSV)
    assert problem_of(refused) == (422, "missing_columns")
    late = service.request("POST", "/api/v1/score", content=FILE + GOOD.encode() + b"\0", headers=CSV)
    assert problem_of(late) == (422, "undecodable")


def test_a_form_is_read_whole_before_it_is_answered(service: Stack) -> None:
    parts = [("file", ("a.csv", LARGE)), ("threshold", (None, "7"))]
    assert problem_of(service.request("POST", "/api/v1/score", files=parts)) == (422, "bad_threshold")


def test_a_body_whose_chunks_are_malformed_is_refused(service: Stack) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        head = f"{POST_CSV}Transfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"zz\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_what_follows_a_form_and_endless_headers_of_a_part_cost_no_memory(service: Stack) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
    endless = service.request("POST", "/api/v1/jobs", content=part + b"X: " + b"x" * 20_000_000, headers=kind)
    assert problem_of(endless) == (400, "malformed_body")
    trailed = service.request(
        "POST", "/api/v1/jobs", content=part + b"\r\n" + FILE + b"\r\n--x--\r\n" + b"x" * 20_000_000, headers=kind
    )
    assert trailed.status_code == 202


def test_a_late_fault_breaks_a_scoring_request_off(service: Stack) -> None:
    with service.client() as client, pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.post("/api/v1/score", content=blocks(LARGE + b"\0\n"), headers=CSV)
    wait_until(lambda: all(job["state"] != "running" for job in service.get("/api/v1/jobs?limit=5").json()["jobs"]))


def test_preflight_tells_what_an_upload_would_meet(service: Stack) -> None:
    before = service.get("/api/v1/jobs").json()
    found = service.request("POST", "/api/v1/preflight", content=FILE, headers=CSV).raise_for_status().json()
    assert (found["encoding"], found["delimiter"], found["rows_seen"]) == ("utf-8", ",", 2)
    assert found["columns"][3] == {"header": "marital_status", "feature": "marital_status", "note": None}
    assert found["faults"] == [{"code": "not_a_number", "column": "age", "count": 1}]
    assert [example["probability"] for example in found["examples"]] == [0.150521, None]
    wrong = FILE.replace(b"sex", b"sexe")
    found = service.request("POST", "/api/v1/preflight", content=wrong, headers=CSV).raise_for_status().json()
    assert found["missing_columns"] == [{"name": "sex", "did_you_mean": "sexe"}]
    assert found["extra_columns"] == ["sexe"]
    cut = service.request("POST", "/api/v1/preflight", content=LARGE[: 64 * 1024], headers=CSV).json()
    assert cut["rows_seen"] == LARGE[: 64 * 1024].count(b"\n") - 1
    assert cut["faults"] == []
    for end in (-1, -4, -9, -len(GOOD)):
        part = service.request("POST", "/api/v1/preflight", content=FILE[:end], headers=CSV).json()
        assert (part["rows_seen"], part["faults"]) == (1, [])
    alone = service.request("POST", "/api/v1/preflight", content=f"{HEADER}\n{GOOD}".encode(), headers=CSV).json()
    assert alone["rows_seen"] == 1
    assert service.get("/api/v1/jobs").json() == before


def test_preflight_reads_a_sample_cut_within_a_character(service: Stack) -> None:
    text = f"{HEADER},note\n{GOOD},a\n{GOOD},é".encode()[:-1]
    found = service.request("POST", "/api/v1/preflight", content=text, headers=CSV).json()
    assert (found["encoding"], found["rows_seen"], found["faults"]) == ("utf-8", 1, [])


def test_preflight_refuses_what_an_upload_would(service: Stack) -> None:
    refused = service.request("POST", "/api/v1/preflight", content=FILE + GOOD.encode() + b"\0\n", headers=CSV)
    assert problem_of(refused) == (422, "undecodable")


def test_the_description_names_every_address(service: Stack) -> None:
    document = json.loads(service.get("/api/v1/openapi.json").content)
    assert document["openapi"].startswith("3.1")
    validate(document)
    assert {"/api/v1/jobs", "/api/v1/jobs/{job_id}", "/api/v1/score", "/api/v1/predictions"} <= document["paths"].keys()


def test_the_summary_counts_what_the_results_hold(service: Stack) -> None:
    job, results = service.score(FILE + f"{GOOD}\n1,2\n".encode())
    found = service.get(job["links"]["summary"]).json()
    assert found["rows"] == {"total": 4, "scored": 2, "rejected": 2, "warned": 0, "repaired": 0}
    assert found["predictions"] == {"<=50K": results.count(b",<=50K,")} == {"<=50K": 2}
    assert found["probability"]["counts"][3] == sum(found["probability"]["counts"]) == 2
    assert (found["probability"]["edges"][0], found["probability"]["edges"][-1]) == (0, 1)
    faults = {(reject["column"], reject["code"]): reject["count"] for reject in found["rejects"]}
    assert faults == {("age", "not_a_number"): 1, (None, "ragged"): 1}


def events_of(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    for block in "".join(response.iter_text()).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            assert fields["event"] == "job"
            yield fields["id"], json.loads(fields["data"])


def test_events_tell_of_a_job_from_now_to_its_end(service: Stack) -> None:
    job = begin_large(service)
    with service.client() as client, client.stream("GET", job["links"]["events"]) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        seen = list(events_of(response))
    assert len(seen) > 1
    assert [one["progress"] for _, one in seen] == sorted(one["progress"] for _, one in seen)
    assert seen[-1][1] == service.get(job["links"]["self"]).json()
    assert seen[-1][1]["state"] == "succeeded"
    with service.client() as client:
        again = client.get(job["links"]["events"], headers={"Last-Event-ID": seen[-1][0]})
    assert list(events_of(again)) == []
