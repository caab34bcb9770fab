"""Limits per user, as a program meets them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from database.tables import Role
from jobs.settings import Settings
from tests.web.auth.conftest import Team
from tests.web.records import HEADER, ROW
from web import create_app

CSV = {"Content-Type": "text/csv"}


@pytest.fixture
def limited(auth_settings: Settings, tmp_path: Path) -> Iterator[Team]:
    more = {"user_jobs": 2, "user_rows_per_day": 5, "database_url": f"sqlite:///{tmp_path}/limited.db"}
    team = Team(create_app(auth_settings.model_copy(update=more)))
    team.services.store.redis.flushall()
    team.services.database.upgrade()
    for name in ("member", "other"):
        team.add(name, Role.MEMBER)
    yield team
    team.services.database.dispose()


def test_more_jobs_at_once_than_allowed_are_refused(limited: Team) -> None:
    tokens = {name: limited.token(name, "read", "score") for name in ("member", "other")}
    body, client = f"{HEADER}\n{ROW}\n", limited.client()
    for _ in range(2):
        assert client.post("/api/v1/jobs", data=body, headers=tokens["member"] | CSV).status_code == 202
    refused = client.post("/api/v1/jobs", data=body, headers=tokens["member"] | CSV)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")  # type: ignore[index]
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["RateLimit-Policy"] == '"jobs";q=2'
    assert client.post("/api/v1/jobs", data=body, headers=tokens["other"] | CSV).status_code == 202
    jobs = client.get("/api/v1/jobs", headers=tokens["member"]).json["jobs"]  # type: ignore[index]
    assert [(job["owner"], job["visibility"]) for job in jobs] == 2 * [("member@example.org", "private")]
    client.delete(jobs[0]["links"]["self"], headers=tokens["member"])
    assert client.post("/api/v1/jobs", data=body, headers=tokens["member"] | CSV).status_code == 202


def test_more_rows_a_day_than_allowed_are_refused_and_nothing_is_stored(limited: Team) -> None:
    token, client = limited.token("member", "read", "score"), limited.client()
    body = "\n".join([HEADER, *4 * [ROW], ""])
    assert client.post("/api/v1/jobs?visibility=team", data=body, headers=token | CSV).status_code == 202
    refused = client.post("/api/v1/jobs", data=body, headers=token | CSV)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")  # type: ignore[index]
    assert refused.headers["RateLimit-Policy"] == '"rows";q=5;w=86400'
    jobs = client.get("/api/v1/jobs", headers=token).json["jobs"]  # type: ignore[index]
    assert [job["visibility"] for job in jobs] == ["team"]
    assert client.post("/api/v1/jobs?visibility=all", data=body, headers=token | CSV).status_code == 422
    records = {"records": 2 * [dict(zip(HEADER.split(","), ROW.split(","), strict=True))]}
    assert client.post("/api/v1/predictions", json=records, headers=token).status_code == 429
