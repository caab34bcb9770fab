"""Rejected rows are corrected and merged: one complete file comes out, and nothing of it is lost or moved."""

import csv
import gzip
import io
import json
from typing import Any

import httpx
import pytest

from tests.e2e.test_jobs_api import GOOD, HEADER
from tests.e2e.test_rejected_records import BAD_AGE, BAD_SEX, BOTH, page_of, records_of
from tests.stack import CSV, Stack, problem_of

OLDER = GOOD.replace("39", "57")
ROWS = [GOOD, BOTH, OLDER, BAD_SEX, f"{GOOD},surplus", GOOD, BAD_AGE]
FILE = "\n".join([HEADER, *ROWS, ""]).encode()


def table(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def correct(service: Stack, job: dict[str, Any], body: Any = None, **options: Any) -> httpx.Response:
    """Send corrections: a file, or JSON."""
    headers = {"Prefer": "wait=60, until=ended", **options.pop("headers", {})}
    if isinstance(body, bytes):
        options["content"], headers = body, {**CSV, **headers}
    elif body is not None:
        options["json"] = body
    return service.request("POST", f"{job['links']['self']}/corrections", headers=headers, **options)


def corrected(service: Stack, job: dict[str, Any], body: Any, **options: Any) -> dict[str, Any]:
    response = correct(service, job, body, **options)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    assert found["state"] == "succeeded"
    return found


def results(service: Stack, job: dict[str, Any]) -> str:
    return service.get(job["links"]["results"]).raise_for_status().text


def summary(service: Stack, job: dict[str, Any]) -> Any:
    return service.get(job["links"]["summary"]).raise_for_status().json()


def assert_same_as(service: Stack, job: dict[str, Any], file: bytes) -> None:
    """Assert that a job of corrections is in everything as that of the file that was right from the beginning."""
    whole, text = service.score(file)
    assert results(service, job) == text.decode()
    assert job["rows"] == whole["rows"]
    assert service.get(job["links"]["rejects"]).text == service.get(whole["links"]["rejects"]).text
    one, other = summary(service, job), summary(service, whole)
    for counts in (one, other):
        counts["rejects"].sort(key=lambda count: (count["column"] or "", count["code"]))
    assert one == other


def test_an_edited_file_of_rejected_rows_becomes_one_complete_file(service: Stack) -> None:
    job, before = service.score(FILE, threshold=0.4)
    text = service.get(job["links"]["rejects"], params={"shape": "records"}).text
    response = correct(service, job, text.replace("abc", "57").replace(",M,", ",Male,").encode())
    new = response.json()
    assert (response.status_code, response.headers["Location"]) == (200, new["links"]["self"])
    assert new["id"] != job["id"]
    assert (new["corrects"], job["corrects"]) == (job["id"], None)
    for name in ("model", "filename", "threshold", "encoding", "delimiter", "explain", "bytes"):
        assert new[name] == job[name]
    assert new["rows"] == {"total": 7, "scored": 6, "rejected": 1, "warned": 0, "repaired": 0}
    old = before.decode().splitlines()
    good, older = old[1], old[3]
    assert results(service, new).splitlines() == [old[0], good, older, older, good, old[5], good, older]
    assert service.get(job["links"]["results"]).content == before


def test_a_job_of_corrections_is_as_if_the_file_had_been_right(service: Stack) -> None:
    job, _ = service.score(FILE)
    records = [{"_row": 2, "age": 57, "sex": "Male"}, {"_row": 4, "Sex": "x"}, {"_row": 7, "age": 41.0}]
    new = corrected(service, job, {"records": records})
    right = [GOOD, OLDER, OLDER, GOOD.replace("Male", "x"), ROWS[4], GOOD, GOOD.replace("39", "41.0")]
    assert_same_as(service, new, "\n".join([HEADER, *right, ""]).encode())


def test_corrections_are_corrected_until_nothing_is_rejected(service: Stack) -> None:
    job, _ = service.score(FILE)
    one = corrected(service, job, {"records": [{"_row": 2, "age": 57}, {"_row": 4, "sex": "Male"}]})
    assert [record["_row"] for record in records_of(service, one)] == ["2", "5", "7"]
    assert records_of(service, one)[0]["age"] == "57"
    two = corrected(service, one, {"records": [{"_row": 2, "sex": "Male"}, {"_row": 7, "age": "57"}]})
    assert two["corrects"] == one["id"]
    three = corrected(service, two, {"records": [{"_row": 5, "age": "39"}]})
    assert three["rows"] == {"total": 7, "scored": 7, "rejected": 0, "warned": 0, "repaired": 0}
    assert_same_as(service, three, "\n".join([HEADER, GOOD, OLDER, OLDER, GOOD, GOOD, GOOD, OLDER, ""]).encode())


def test_everything_else_works_on_a_job_of_corrections(service: Stack) -> None:
    """It is listed, followed, scored again and deleted; the corrected job may be gone long before."""
    job, _ = service.score(FILE)
    new = corrected(service, job, {"records": [{"_row": 4, "sex": "Male"}]})
    assert service.request("DELETE", job["links"]["self"]).status_code == 204
    assert [record["_row"] for record in page_of(service, new)["records"]] == [2, 5, 7]
    assert new["id"] in {listed["id"] for listed in service.get("/api/v1/jobs").json()["jobs"]}
    assert '"state":"succeeded"' in service.get(new["links"]["events"]).text
    again = service.request("POST", f"{new['links']['page']}/again", data={"threshold": "0.1"})
    id_again = again.headers["Location"].rpartition("/")[2]
    scored = service.ended(service.get(f"/api/v1/jobs/{id_again}").json())
    assert scored["rows"] == new["rows"]
    assert table(results(service, scored))[4][7] == ">50K"
    assert service.request("DELETE", new["links"]["self"]).status_code == 204


def test_explanations_warnings_and_the_threshold_stay_as_they_were(service: Stack) -> None:
    for query in ({"explain": "2", "warnings": "true"}, {"threshold": "0.1"}):
        job, _ = service.score(FILE, **query)
        new = corrected(service, job, {"records": [{"_row": 4, "sex": "Male"}]})
        rows = table(results(service, new))
        assert rows[4] == rows[1]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_dialect_of_the_file_is_kept(service: Stack, end: str) -> None:
    rows = [f'{row};"a;""b""{end}c"' for row in (GOOD.replace(",", ";"), BAD_SEX.replace(",", ";"))]
    file = end.join([HEADER.replace(",", ";") + ";note", *rows])
    job, _ = service.score(file.encode())
    new = corrected(service, job, {"records": [{"_row": 2, "sex": "Male", "note": f'"x";{end}y'}]})
    text = service.get(new["links"]["results"]).content.decode()
    assert text.endswith(f'{GOOD.replace(",", ";")};"""x"";{end}y";<=50K;0.150521;')
    assert text.count(end) == file.count(end)


def test_numbers_in_json_get_the_decimal_mark_of_the_file(service: Stack) -> None:
    job, _ = service.score(FILE.replace(b",", b";"), decimal=",")
    new = corrected(service, job, {"records": [{"_row": 7, "age": 57.0}]})
    assert new["rows"]["rejected"] == job["rows"]["rejected"] - 1
    assert ";57,0;" not in results(service, job)
    assert "\n57,0;State-gov" in results(service, new)


def excel(text: str) -> bytes:
    """The file as Excel saves it in Germany."""
    out = io.StringIO()
    csv.writer(out, delimiter=";", lineterminator="\r\n").writerows(table(text))
    return out.getvalue().encode("cp1252")


def test_a_spreadsheet_may_change_dialect_and_encoding(service: Stack) -> None:
    file = f"{HEADER},note\n{BAD_SEX},Zürich\n{BAD_SEX},=1+1\n{BAD_SEX},x\n".encode()
    job, _ = service.score(file)
    text = service.get(job["links"]["rejects"], params={"shape": "records", "escape": "formulas"}).text
    lines = text.splitlines()
    assert ",'=1+1," in lines[2]
    edited = "\n".join([lines[0], lines[1].replace(",M,", ",Male,"), lines[2], lines[3].replace(",x,", ",é,")])
    new = corrected(service, job, excel(edited))
    rows = table(results(service, new))
    assert [row[5] for row in rows[1:]] == ["Male", "M", "M"]
    assert [row[7] for row in rows[1:]] == ["Zürich", "=1+1", "é"]
    assert (new["rows"]["scored"], new["encoding"]) == (1, "utf-8")


@pytest.mark.parametrize(("codec", "encoding"), [("cp1252", None), ("cp1250", "cp1250"), ("utf-8", None)])
def test_a_downloaded_file_comes_back_in_the_encoding_of_the_input(
    service: Stack, codec: str, encoding: str | None
) -> None:
    """Rows that were not edited stay as they were, those with bytes that do not decode among them."""
    file = f"{HEADER},note\n{GOOD},Zürich\n{BAD_SEX},Genève\n{BAD_SEX},Łódź\n".encode(codec, "replace")
    file += f"{GOOD},a\x81b\n".encode("latin-1")
    job, before = service.score(file, **({"encoding": encoding} if encoding else {}))
    assert b"a\x81b" in before
    text = service.get(job["links"]["rejects"], params={"shape": "records"}).content
    assert b"a\x81b" in text
    edited = text.replace(b",M,", b",Male,", 1)
    new = corrected(service, job, edited)
    assert (new["rows"]["scored"], new["rows"]["rejected"]) == (2, 2)
    after = service.get(new["links"]["results"]).content
    assert [n for n, (a, b) in enumerate(zip(after.splitlines(), before.splitlines(), strict=True)) if a != b] == [2]
    refused = correct(service, job, edited.replace(b"40,a\x81b", b"41,a\x81b"))
    assert problem_of(refused) == (422, "undecodable")
    assert refused.json()["errors"][0]["row"] == 4


@pytest.mark.parametrize("form", ["multipart", "gzip", "utf-16", "separator line"])
def test_a_file_comes_in_any_form_that_an_upload_has(service: Stack, form: str) -> None:
    job, _ = service.score(FILE)
    text = "_row,sex\n4,Male\n"
    if form == "multipart":
        new = corrected(service, job, None, files={"file": ("rejects.csv", text)})
    elif form == "gzip":
        new = corrected(service, job, gzip.compress(text.encode()), headers={"Content-Encoding": "gzip"})
    elif form == "utf-16":
        new = corrected(service, job, text.encode("utf-16"))
    else:
        new = corrected(service, job, b"sep=|\r\n" + text.replace(",", "|").encode())
    assert new["rows"]["scored"] == 4


def test_rows_that_were_not_edited_stay_as_they_were(service: Stack) -> None:
    """A record with too many fields is not scored without them because it lies in the same file."""
    job, before = service.score(FILE)
    text = service.get(job["links"]["rejects"], params={"shape": "records"}).text
    assert problem_of(correct(service, job, text.encode())) == (422, "no_corrections")
    new = corrected(service, job, text.replace(f"{BAD_SEX},", f"{GOOD},").encode())
    lines = results(service, new).splitlines()
    assert [n for n, (a, b) in enumerate(zip(lines, before.decode().splitlines(), strict=True)) if a != b] == [4]
    # Whoever names the row in JSON says that its fields are right as they stand.
    assert corrected(service, job, {"records": [{"_row": 5, "age": "39"}]})["rows"]["scored"] == 4


def test_a_field_may_be_emptied_and_hold_anything_that_csv_can(service: Stack) -> None:
    job, _ = service.score(f"{HEADER},note\n{BAD_SEX},x\n{BAD_SEX},x\n".encode())
    note = 'a,"b"\r\nc\td\\ é\U0001f600'
    new = corrected(service, job, {"records": [{"_row": 1, "note": None}, {"_row": 2, "note": note, "sex": "Male"}]})
    rows = table(service.get(new["links"]["results"]).content.decode())
    assert (rows[1][7], rows[2][7], rows[2][8]) == ("", note, "<=50K")


def test_columns_go_by_exact_name_or_by_a_feature_in_any_spelling(service: Stack) -> None:
    header = HEADER.replace("marital_status", "Marital Status")
    job, _ = service.score(f"{header},Note,note\n{BAD_SEX},a,b\n".encode())
    records = [{"_row": 1, "marital-status": "Divorced", "SEX": "Male", "note": "c"}]
    row = table(results(service, corrected(service, job, {"records": records})))[1]
    assert (row[3], row[5], row[7], row[8]) == ("Divorced", "Male", "a", "c")


def test_duplicate_columns_of_the_input_are_told_apart_by_place_only(service: Stack) -> None:
    job, _ = service.score(f"{HEADER},note,note\n{BAD_SEX},a,b\n".encode())
    text = service.get(job["links"]["rejects"], params={"shape": "records"}).text
    row = table(results(service, corrected(service, job, text.replace(",b,", ",c,").encode())))[1]
    assert row[7:9] == ["a", "c"]
    assert problem_of(correct(service, job, {"records": [{"_row": 1, "note": "x"}]})) == (422, "duplicate_columns")


@pytest.mark.parametrize(("body", "expected", "where"), [
    ({"records": [{"_row": 8, "age": 1}, {"_row": 2, "age": 1}]}, "unknown_row", {"row": 8}),
    ({"records": [{"_row": 0, "age": 1}]}, "unknown_row", {"row": 0}),
    ({"records": [{"_row": 1, "age": 1}, {"_row": 2, "age": 1}, {"_row": 6, "age": 1}]}, "not_rejected", {"row": 1}),
    ({"records": [{"_row": 2, "age": 1}, {"_row": 2, "sex": "Male"}]}, "duplicate_row", {"row": 2}),
    ({"records": [{"_row": 2, "aeg": 1}]}, "unknown_columns", {"column": "aeg"}),
    ({"records": [{"_row": 2, "age": 1, "Age": 2}]}, "duplicate_columns", {"row": 2}),
    ({"records": [{"_row": 2, "age": [1]}]}, "bad_correction", {"row": 2, "column": "age"}),
    ({"records": [{"_row": 2, "age": {"a": 1}}]}, "bad_correction", {"row": 2}),
    ({"records": [{"_row": 2}]}, "bad_correction", {"row": 2}),
    ({"records": [{"_row": 2, "age": "1\0"}]}, "undecodable", {"row": 2}),
    ({"records": [{"_row": 2, "age": '\\",x'}]}, "bad_correction", {"row": 2}),
    ({"records": [{"_row": 2, "age": (1 << 20) * "x" + "x"}]}, "too_wide", {"row": 2}),
    ({"records": [{"age": 1}]}, "bad_correction", {}),
    ({"records": [{"_row": True, "age": 1}]}, "bad_correction", {}),
    ({"records": [{"_row": 1.5, "age": 1}]}, "bad_correction", {}),
    ({"records": [{"_row": "two", "age": 1}]}, "unknown_row", {"value": "two"}),
    ({"records": []}, "no_corrections", {}),
    ({"records": ["x"]}, "bad_correction", {}),
    ({"record": {"_row": 2, "age": 1}}, "bad_correction", {}),
    (b"", "empty_file", {}),
    (b"_row,age\n", "no_corrections", {}),
    (b"row,age\n2,1\n", "missing_columns", {"column": "_row"}),
    (b"_row,age\n2,1\n2,1\n", "duplicate_row", {"row": 2}),
    (b"_row,aeg\n2,1\n", "unknown_columns", {"column": "aeg"}),
    (b"_row,age,Age\n2,1,1\n", "duplicate_columns", {}),
    (b"_row,age\n2,1,3\n", "ragged", {}),
    (b'_row,age\n2,"1"x\n', "malformed", {}),
    (b'_row,age\n2,"1\n', "open_quote", {}),
    ("_row,sex\n2,é\n".encode() + b"4,\xff\n", "undecodable", {"row": 4}),
    (b"_row,age\n,1\n", "unknown_row", {}),
])  # fmt: skip
def test_what_cannot_be_a_correction_is_refused_and_nothing_is_stored(
    service: Stack, body: Any, expected: str, where: dict[str, Any]
) -> None:
    job, _ = service.score(FILE)
    before = service.get("/api/v1/jobs").json()["jobs"]
    response = correct(service, job, body)
    assert problem_of(response) == (422, expected), response.text
    assert where.items() <= response.json()["errors"][0].items()
    assert service.get("/api/v1/jobs").json()["jobs"] == before


def test_every_row_that_does_not_fit_is_named(service: Stack) -> None:
    job, _ = service.score(FILE)
    response = correct(service, job, {"records": [{"_row": row, "age": 1} for row in range(1, 8)]})
    assert [error["row"] for error in response.json()["errors"]] == [1, 3, 6]


def test_other_bodies_are_refused_as_those_of_an_upload(service: Stack) -> None:
    job, _ = service.score(FILE)
    assert problem_of(correct(service, job, content=b"{", headers={"Content-Type": "application/json"})) == (
        400,
        "malformed_body",
    )
    assert problem_of(correct(service, job, content=b"x", headers={"Content-Type": "image/png"}))[0] == 415
    for data, looks in ((b"\x89PNG\r\n\x1a\n", "looks like a PNG image"), (b"PK\x03\x04xl/", "format Excel (.xlsx)")):
        response = correct(service, job, data)
        assert problem_of(response) == (415, "unsupported_media_type")
        assert response.json()["detail"].endswith(f"{looks}; corrections are needed as CSV or JSON")
    assert problem_of(correct(service, job, b"_row,age\n" + b"1,1\n" * (1 << 23))) == (413, "too_large")
    huge = json.dumps({"records": [{"_row": 2, "age": (1 << 24) * "1"}]}).encode()
    assert problem_of(correct(service, job, content=huge, headers={"Content-Type": "application/json"}))[0] == 413


def test_only_a_job_that_has_succeeded_is_corrected(service: Stack) -> None:
    body = {"records": [{"_row": 2, "age": 1}]}
    unknown = {"links": {"self": f"/api/v1/jobs/{32 * '0'}"}}
    assert problem_of(correct(service, unknown, body)) == (404, "unknown_job")
    job, _ = service.score(FILE)
    service.request("DELETE", job["links"]["self"])
    assert problem_of(correct(service, job, body)) == (404, "unknown_job")
    with service.frozen("-m worker", "bulk"):
        running = service.upload(FILE, wait=0).json()
        assert problem_of(correct(service, running, body)) == (409, "not_ready")
        service.request("DELETE", running["links"]["self"])
    assert problem_of(correct(service, running, body)) == (409, "job_canceled")


def test_the_same_key_makes_one_job(service: Stack) -> None:
    job, _ = service.score(FILE)
    body, key = {"records": [{"_row": 2, "age": 1}]}, {"Idempotency-Key": f"corrections {job['id']}"}
    first = correct(service, job, body, headers=key)
    again = correct(service, job, body, headers=key)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.json()["id"] == first.json()["id"]
    other = {"records": [{"_row": 2, "age": 2}]}
    assert problem_of(correct(service, job, other, headers=key)) == (422, "idempotency_key_reused")
    # A refused request frees its key.
    key = {"Idempotency-Key": f"refused {job['id']}"}
    assert correct(service, job, {"records": []}, headers=key).status_code == 422
    assert correct(service, job, body, headers=key).status_code == 200


def test_two_who_correct_at_once_get_a_job_each(service: Stack) -> None:
    job, _ = service.score(FILE)
    with service.frozen("-m worker", "bulk"):
        answers = [correct(service, job, {"records": [{"_row": row, "age": 57}]}, headers={"Prefer": "wait=0"})
                   for row in (2, 7)]  # fmt: skip
    assert [answer.status_code for answer in answers] == [202, 202]
    one, two = (service.ended(answer.json()) for answer in answers)
    ages = [[row[0] for row in table(results(service, found))[1:]] for found in (one, two)]
    assert ages == [["39", "57", "57", "39", "39", "39", "abc"], ["39", "abc", "57", "39", "39", "39", "57"]]


def test_the_corrected_job_may_be_deleted_while_the_corrections_wait(service: Stack) -> None:
    job, _ = service.score(FILE)
    with service.frozen("-m worker", "bulk"):
        new = correct(service, job, {"records": [{"_row": 2, "age": 57}]}, headers={"Prefer": "wait=0"}).json()
        assert (new["state"], new["rows"]) == (
            "queued",
            {"total": 7, "scored": 3, "rejected": 3, "warned": 0, "repaired": 0},
        )
        assert problem_of(service.get(new["links"]["results"])) == (409, "not_ready")
        assert service.request("DELETE", job["links"]["self"]).status_code == 204
    assert service.ended(new)["state"] == "succeeded"
    assert len(table(results(service, new))) == 8


def test_corrections_may_be_canceled(service: Stack) -> None:
    job, before = service.score(FILE)
    with service.frozen("-m worker", "bulk"):
        new = correct(service, job, {"records": [{"_row": 2, "age": 57}]}, headers={"Prefer": "wait=0"}).json()
        assert service.request("DELETE", new["links"]["self"]).json()["state"] == "canceled"
    assert service.get(job["links"]["results"]).content == before


def test_ten_thousand_corrections_in_a_file_of_many_chunks(service: Stack) -> None:
    """Each faulty row lies beside sound ones, in chunks of which some have no faulty row at all."""
    note = 90 * "n"
    rows = [f"{BAD_SEX if n % 5 == 0 and n < 60_000 else GOOD},{n},{note}" for n in range(1, 100_001)]
    job, _ = service.score("\n".join([f"{HEADER},id,note", *rows, ""]).encode())
    faulty = [n for n in range(1, 60_000) if n % 5 == 0]
    assert job["rows"]["rejected"] == len(faulty)
    records = [{"_row": n, "sex": "Male"} for n in faulty[:10_000]][::-1]
    new = corrected(service, job, {"records": records})
    assert new["rows"] == {"total": 100_000, "scored": 98_001, "rejected": 1_999, "warned": 0, "repaired": 0}
    lines = results(service, new).splitlines()[1:]
    assert [line.split(",")[7] for line in lines] == [str(n) for n in range(1, 100_001)]
    assert [n for n, line in enumerate(lines, 1) if "unknown_category" in line] == faulty[10_000:]
    text = service.get(new["links"]["rejects"], params={"shape": "records"}).text
    whole = corrected(service, new, text.replace(",M,", ",Male,").encode())
    assert whole["rows"]["rejected"] == 0
    assert_same_as(
        service, whole, "\n".join([f"{HEADER},id,note", *(r.replace(",M,", ",Male,") for r in rows), ""]).encode()
    )
