"""The description says everything, and a client that is generated from it works as it is."""

import importlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from tests.e2e.test_jobs_api import FILE
from tests.e2e.test_slow_clients import RECORD
from tests.stack import CSV, ROOT, Stack, problem_of
from web.uploads.parameters import UploadForm

OPERATIONS = {
    "create_job", "list_jobs", "get_job", "delete_job", "get_results", "get_rejects", "get_summary", "get_events",
    "list_rejected_records", "create_corrections",
    "create_preflight", "score", "score_by_put", "create_prediction", "get_prediction", "list_models", "get_model",
    "list_versions", "get_sample", "create_outcomes", "get_outcomes", "list_history_jobs", "get_history_job",
    "delete_history_jobs", "list_history_predictions", "get_history_prediction", "delete_history_predictions",
    "list_errors", "get_error", "healthz", "readyz", "metrics",
}  # fmt: skip
# What every answer may have, whatever it answers.
GENERAL = {
    "cache-control", "connection", "content-encoding", "content-length", "content-security-policy", "content-type",
    "cross-origin-opener-policy", "cross-origin-resource-policy", "date", "permissions-policy", "referrer-policy",
    "server", "transfer-encoding", "x-content-type-options", "x-frame-options",
}  # fmt: skip


@pytest.fixture(scope="module")
def description(service: Stack) -> Any:
    return service.get("/api/v1/openapi.json").raise_for_status().json()


def operations(description: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_it_is_sound_and_has_no_loose_ends(description: Any) -> None:
    validate(description)
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(description)))
    assert named == set(description["components"]["schemas"])


def test_operations_are_named_for_what_they_do(description: Any) -> None:
    assert {operation["operationId"] for _, _, operation in operations(description)} == OPERATIONS


@pytest.mark.parametrize(
    ("operation_id", "parameters"),
    [
        ("get_job", {"path job_id", "header Prefer", "header If-None-Match"}),
        ("get_events", {"path job_id", "header Last-Event-ID"}),
        (
            "get_results",
            {
                "path job_id",
                *(f"query {name}" for name in ("format", "escape", "output_encoding", "follow", "partial")),
                *("header Range", "header If-Range"),
            },
        ),
        ("get_rejects", {"path job_id", "query escape", "query output_encoding", "query shape"}),
        (
            "list_rejected_records",
            {"path job_id", "query limit", "query cursor", "query column", "query value"},
        ),
        (
            "create_corrections",
            {"path job_id", "query encoding"}
            | {f"header {h}" for h in ("Prefer", "Idempotency-Key", "Content-Encoding")},
        ),
        ("get_model", {"path name", "query version"}),
        ("get_sample", {"path name", "query version"}),
        ("list_jobs", {"query limit", "query cursor", "query state"}),
        ("get_prediction", {"path prediction_id"}),
        ("create_prediction", {"header Prefer"}),
        (
            "create_job",
            {f"query {name}" for name in UploadForm.NAMES}
            | {"header Prefer", "header Idempotency-Key", "header Content-Encoding"},
        ),
    ],
)
def test_path_query_and_headers_stand_together(description: Any, operation_id: str, parameters: set[str]) -> None:
    (operation,) = (found for _, _, found in operations(description) if found["operationId"] == operation_id)
    assert {f"{one['in']} {one['name']}" for one in operation["parameters"]} == parameters
    assert all(one["required"] == (one["in"] == "path") for one in operation["parameters"])


def test_every_problem_is_described_by_reference(description: Any) -> None:
    problem = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
    for method, path, operation in operations(description):
        assert "421" in operation["responses"]
        assert ("403" in operation["responses"]) == (method != "get")
        for status, answer in operation["responses"].items():
            if status >= "400" and path != "/readyz":
                assert answer["content"] == {"application/problem+json": problem}, (method, path, status)


def test_a_file_is_binary(description: Any) -> None:
    for path in ("/api/v1/jobs", "/api/v1/score", "/api/v1/preflight"):
        content = description["paths"][path]["post"]["requestBody"]["content"]
        file = content["multipart/form-data"]["schema"]["properties"]["file"]
        assert (file["type"], file["format"]) == ("string", "binary")
        assert content["application/octet-stream"]["schema"] == {"type": "string", "format": "binary"}


def template(description: Any, path: str) -> str:
    patterns = {re.sub(r"\{\w+\}", "[^/]+", known): known for known in description["paths"]}
    return next(known for pattern, known in patterns.items() if re.fullmatch(pattern, path))


def test_what_is_answered_is_what_is_described(service: Stack, description: Any) -> None:
    later = {"Prefer": "respond-async"}
    job = service.request("POST", "/api/v1/jobs", content=FILE, headers=CSV | {"Prefer": "wait=30"})
    links, answers = job.json()["links"], [job]
    for name in ("self", "results", "rejects", "summary", "events"):
        answers += [service.get(links[name]), service.get(links[name], headers={"Host": "x"})]
    answers += [service.get(f"{links['rejects']}/records")]
    sent: dict[str, Any] = {"json": {"records": [{"_row": 2, "age": 39}]}, "headers": {"Idempotency-Key": "corrected"}}
    answers += [service.request("POST", f"{links['self']}/corrections", **sent) for _ in range(2)]
    answers += [service.request("POST", f"{links['self']}/corrections", content=b"", headers=CSV)]
    answers += [service.get(links["self"], headers={"If-None-Match": answers[1].headers["ETag"]})]
    for key in ("described", "described"):
        headers = CSV | {"Idempotency-Key": key, "Content-Type": "application/octet-stream"}
        answers.append(service.request("POST", "/api/v1/jobs", content=FILE, headers=headers))
    answers += [service.request(method, "/api/v1/score", content=FILE) for method in ("POST", "PUT")]
    answers += [service.request("POST", "/api/v1/preflight", content=FILE)]
    answers += [service.request("POST", "/api/v1/predictions", json={"record": RECORD}, headers=h) for h in ({}, later)]
    answers += [service.get(answers[-1].headers["Location"]), service.get(f"/api/v1/predictions/{'0' * 32}")]
    answers += [service.get(f"/api/v1/models{path}") for path in ("", "/income", "/income/versions", "/nothing")]
    answers += [service.get("/api/v1/models/income/sample.csv"), service.get("/api/v1/jobs")]
    answers += [service.get(path) for path in ("/healthz", "/readyz", "/metrics", "/api/v1/errors")]
    answers += [service.get("/api/v1/errors/busy", headers={"Accept": kind}) for kind in ("text/html", "*/*")]
    answers += [service.request("DELETE", links["self"]), service.request("DELETE", links["self"])]
    answers += [service.request("POST", "/api/v1/jobs", content=b"", headers={"Sec-Fetch-Site": "cross-site"})]
    for answer in answers:
        operation = description["paths"][template(description, answer.url.path)][answer.request.method.lower()]
        described = operation["responses"][str(answer.status_code)]
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        assert kind in described.get("content", {"": None}), (answer.request, kind)
        named = {name.lower() for name in described.get("headers", ())}
        assert set(answer.headers) - GENERAL <= named, answer.request
    assert {answer.status_code for answer in answers} >= {200, 202, 204, 304, 403, 404, 421}


def test_the_type_of_a_problem_is_an_address_that_says_what_to_do(service: Stack) -> None:
    problem = service.get("/api/v1/jobs/nonsense").json()
    assert problem["type"] == "/api/v1/errors/unknown_job"
    said = service.get(problem["type"]).raise_for_status().json()
    assert (said["code"], said["title"], said["statuses"]) == ("unknown_job", problem["title"], [404])
    assert said["meaning"]
    assert said["remedy"]
    page = service.get(problem["type"], headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert said["meaning"] in page.text
    listed = service.get("/api/v1/errors").json()["errors"]
    assert said in listed
    assert [error["code"] for error in listed] == sorted(error["code"] for error in listed)
    assert problem_of(service.get("/api/v1/errors/nonsense")) == (404, "not_found")
    assert "nonsense" not in {error["code"] for error in listed}


@pytest.fixture(scope="module")
def client(service: Stack, description: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package that is generated from the description; there is not a warning."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(description))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    command += ["--path", "openapi.json", "--output-path", "scoreline_client", "--fail-on-warning"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "warning" not in (found.stdout + found.stderr).lower()
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("scoreline_client")
    finally:
        sys.path.remove(str(folder))


def test_a_generated_client_uploads_follows_and_downloads(service: Stack, client: ModuleType) -> None:
    names = [
        "create_job",
        "get_job",
        "get_events",
        "get_results",
        "get_rejects",
        "get_summary",
        "delete_job",
        "list_jobs",
        "list_rejected_records",
        "create_corrections",
    ]
    tagged = [("jobs", name) for name in names]
    tagged += [
        ("predictions", "create_prediction"),
        ("models", "list_models"),
        ("errors", "get_error"),
    ]
    api = {name: importlib.import_module(f"scoreline_client.api.{tag}.{name}") for tag, name in tagged}
    models, types = (importlib.import_module(f"scoreline_client.{name}") for name in ("models", "types"))
    here = client.Client(base_url=service.url, timeout=httpx.Timeout(60), raise_on_unexpected_status=True)
    file = types.File(payload=io.BytesIO(FILE), file_name="people.csv", mime_type="text/csv")
    form = models.CreateJobFilesBody(file=file, threshold=0.4, model="income")
    with here:
        job = api["create_job"].sync(client=here, body=form, idempotency_key="generated")
        assert isinstance(job, models.JobDocument)
        assert (job.filename, job.threshold) == ("people.csv", 0.4)
        ended = api["get_job"].sync(job.id, client=here, prefer="wait=60, until=ended")
        assert (ended.state, ended.rows.scored, ended.rows.rejected) == (models.JobState.SUCCEEDED, 1, 1)
        assert '"state":"succeeded"' in api["get_events"].sync(job.id, client=here)
        results = api["get_results"].sync(job.id, client=here, follow=True)
        assert results == service.get(job.links["results"]).text
        assert "not_a_number" in api["get_rejects"].sync(job.id, client=here)
        assert api["get_summary"].sync(job.id, client=here).rejects[0].code == "not_a_number"
        [record] = api["list_rejected_records"].sync(job.id, client=here).records
        assert (record.field_row, record.errors[0].code) == (2, "not_a_number")
        corrections = models.CorrectionsRequest.from_dict({"records": [{"_row": 2, "age": 39}]})
        corrected = api["create_corrections"].sync(job.id, client=here, body=corrections, prefer="wait=60, until=ended")
        assert (corrected.corrects, corrected.rows.scored, corrected.rows.rejected) == (job.id, 2, 0)
        assert job.id in {listed.id for listed in api["list_jobs"].sync(client=here, limit=5).jobs}
        raw = types.File(payload=FILE)
        again = api["create_job"].sync(client=here, body=raw, filename="raw.csv", prefer="wait=60")
        assert (again.state, again.filename) == (models.JobState.SUCCEEDED, "raw.csv")
        record = models.CreatePredictionOneRecordForIncome.from_dict({"record": {**RECORD, "age": 39}})
        assert api["create_prediction"].sync(client=here, body=record).prediction == "<=50K"
        assert api["list_models"].sync(client=here).models[0].name == "income"
        assert api["delete_job"].sync_detailed(job.id, client=here).status_code == 204
        gone = api["get_job"].sync(job.id, client=here)
        assert isinstance(gone, models.ProblemDocument)
        assert api["get_error"].sync(gone.code, client=here).statuses == [404]
