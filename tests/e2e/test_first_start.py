"""The first start of a service, which listens on every address."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.stack import Stack, problem_of, running_stack, wait_until


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service in an empty folder, that others may use."""
    settings = {
        "HOST": "0.0.0.0",
        "SCORELINE_AUTH": "off",
        "SCORELINE_HOSTS": "scoreline.example",
        "SCORELINE_WEB_PROCESSES": "1",
    }
    with running_stack(tmp_path_factory.mktemp("first-start"), **settings) as found:
        yield found


def test_the_first_start_trains_the_models_that_ship(stack: Stack) -> None:
    # The first one is trained before the service is ready, the others meanwhile.
    names = wait_until(lambda: (found := stack.get("/api/v1/models").json()["models"])[1:] and found, seconds=180)
    assert {"income", "income-full"} <= {model["name"] for model in names}
    record = stack.get("/api/v1/models/income-full/sample.csv").text.splitlines()
    answer = dict(zip(record[0].split(","), record[1].split(","), strict=True))
    body, wait = {"model": "income-full", "record": answer}, {"Prefer": "wait=60"}
    response = stack.request("POST", "/api/v1/predictions", json=body, headers=wait)
    assert response.status_code == 200, response.text
    found = response.json()
    assert found["effects_in"] == "log_odds"
    total = found["baseline"] + sum(part["effect"] for part in found["contributions"])
    assert 1 / (1 + np.exp(-total)) == pytest.approx(found["probability"], abs=1e-6)


def test_it_says_once_that_there_is_no_login_and_knows_its_names(stack: Stack) -> None:
    lines = (stack.folder / "log").read_text().splitlines()
    assert len([line for line in lines if "no login" in line]) == 1
    for host in ("scoreline.example", "203.0.113.9:80", "[2001:db8::1]", "localhost"):
        assert stack.get("/healthz", headers={"Host": host}).status_code == 200
    # A proxy may put its own Host; the page's Origin is under the name that is listed.
    origins = {"http://scoreline.example": 303, "http://evil.example": 403, "http://scoreline.example.evil": 403}
    for origin, status in (origins | {"http://localhost": 403, "http://192.0.2.7": 403, "x://x": 403}).items():
        headers = {"Host": f"127.0.0.1:{stack.port}", "Origin": origin}
        assert stack.request("POST", f"/jobs/{'0' * 32}/delete", headers=headers).status_code == status
    for host in ("evil.example", "scoreline.example.evil.example", "scoreline"):
        assert problem_of(stack.get("/healthz", headers={"Host": host})) == (421, "unknown_host")
