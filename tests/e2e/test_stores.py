"""The whole service on a server other than the embedded one, as a user who has only the documented rights."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.store import keys
from tests.servers import KINDS, Server, binary_of, running
from tests.stack import ROOT, Stack, running_stack

pytestmark = pytest.mark.stores

USER = re.search(r"^user (scoreline) on >(secret) (.+)$", (ROOT / "docs/store.md").read_text(), re.MULTILINE)


@contextmanager
def service_on(server: Server, folder: Path, models: Path) -> Iterator[Stack]:
    """A service that signs in to the server with the rights that the documentation lists."""
    assert USER
    name, password, rights = USER.groups()
    with server.client as redis:
        redis.execute_command("ACL", "SETUSER", name, "on", f">{password}", *rights.split())
    address = f"redis://{name}:{password}@{server.address}/0"
    with running_stack(folder, models, SCORELINE_REDIS_URL=address, SCORELINE_BULK_PROCESSES="1") as stack:
        yield stack


@pytest.mark.parametrize("kind", KINDS)
def test_everything_works_with_the_documented_rights(kind: str, tmp_path: Path, models: Path) -> None:
    with (
        running(binary_of(kind), tmp_path / "server") as server,
        service_on(server, tmp_path / "service", models) as stack,
    ):
        sample = stack.get("/api/v1/models/income/sample.csv").content
        header, first, *others = sample.splitlines(keepends=True)
        job, results = stack.score(header + first.replace(b",", b",x", 1) + b"".join(others))
        assert (job["rows"]["rejected"], len(results.splitlines())) == (1, job["rows"]["total"] + 1)
        given = dict(zip(header.decode().strip().split(","), first.decode().strip().split(","), strict=True))
        corrections = {"records": [{"_row": 1, **given}]}
        answer = stack.request("POST", f"{job['links']['self']}/corrections", json=corrections)
        corrected = stack.ended(answer.raise_for_status().json())
        assert (corrected["state"], corrected["rows"]["rejected"]) == ("succeeded", 0)
        prediction = stack.request("POST", "/api/v1/predictions", json={"record": given})
        assert prediction.raise_for_status().json()["probability"]
        stack.request("DELETE", job["links"]["self"]).raise_for_status()
        assert "scoreline_store_up 1" in stack.get("/metrics").text
        with server.client as redis:
            assert {entry["object"] for entry in redis.acl_log()} <= {keys.FORMER_TOTALS}
