"""Tokens for programs: what they allow, how they end, and what happens while the database is away."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from sqlalchemy import text

from jobs.store import keys
from tests.web.auth.conftest import HEADER, Browser, Team
from web.auth import secrets
from web.auth.access import RULES, Open
from web.auth.authenticator import Authenticator


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def status_of(team: Team, headers: dict[str, str], path: str = "/api/v1/jobs") -> int:
    return team.client().get(path, headers=headers).status_code


def make(client: Browser, **document: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.json("POST", "/api/v1/tokens", {"name": "nightly", "scopes": ["read"], **document})
    return made


def test_a_token_is_shown_once_and_works_until_it_is_revoked(team: Team) -> None:
    client = team.signed_in("member")
    made = make(client, scopes=["score", "read"])
    assert made["token"].startswith(made["prefix"])
    assert made["scopes"] == ["read", "score"]
    assert status_of(team, bearer(made["token"])) == 200
    listed = client.get("/api/v1/tokens").json["tokens"]  # type: ignore[index]
    assert [(token["id"], token["last_used_at"] is not None) for token in listed] == [(made["id"], True)]
    assert made["token"] not in client.get("/api/v1/tokens").get_data(as_text=True)
    with team.services.database.reading() as connection:
        assert made["token"] not in str(connection.execute(text("SELECT * FROM tokens")).all())
    gone = client.delete(f"/api/v1/tokens/{made['id']}", headers={HEADER: client.form_secret("/account")})
    assert gone.status_code == 204
    assert status_of(team, bearer(made["token"])) == 401
    again = client.delete(f"/api/v1/tokens/{made['id']}", headers={HEADER: client.form_secret("/account")})
    assert (again.status_code, again.json["code"]) == (404, "unknown_token")  # type: ignore[index]


def test_a_token_of_the_page_is_like_one_of_the_api(team: Team) -> None:
    client = team.signed_in("member")
    form = {"name": "report", "scopes": ["read"], "days": "7", "_csrf_token": client.form_secret("/account")}
    page = client.post("/tokens", data=form).get_data(as_text=True)
    token = page.partition('id="token">')[2].partition("<")[0]
    assert status_of(team, bearer(token)) == 200
    listed = client.get("/tokens").get_data(as_text=True)
    assert "report" in listed
    assert token not in listed
    for wrong in ({"name": ""}, {"scopes": []}, {"scopes": ["admin"]}, {"days": "9999"}):
        assert client.post("/tokens", data=form | wrong).status_code == 422


@pytest.mark.parametrize(
    ("scopes", "statuses"),
    [
        (["read"], (200, 403, 403)),
        (["score"], (403, 415, 403)),
        (["read", "score", "models", "admin"], (200, 415, 200)),
    ],
)
def test_a_token_may_do_what_its_scopes_say(team: Team, scopes: list[str], statuses: tuple[int, ...]) -> None:
    token = bearer(make(team.signed_in("admin"), scopes=scopes)["token"])
    client = team.client()
    got = (
        client.get("/api/v1/jobs", headers=token),
        client.post("/api/v1/predictions", headers=token),
        client.get("/audit", headers=token),
    )
    assert tuple(response.status_code for response in got) == statuses
    for response in got:
        if response.status_code == 403:
            assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]


def test_a_token_never_allows_more_than_its_user_may(team: Team) -> None:
    for who, scope in (("viewer", "score"), ("member", "models"), ("modeller", "admin")):
        client = team.signed_in(who)
        document = {"name": "x", "scopes": [scope]}
        refused = client.post("/api/v1/tokens", json=document, headers={HEADER: client.form_secret("/account")})
        assert (refused.status_code, refused.json["code"]) == (422, "bad_parameter")  # type: ignore[index]
    token = team.token("member", "read", "score")
    admin = team.signed_in("admin")
    change = {"action": "role", "role": "viewer", "_csrf_token": admin.form_secret("/account")}
    admin.post(f"/users/{team.users['member']}", data=change)
    assert team.client().post("/api/v1/predictions", headers=token).status_code == 403
    assert status_of(team, token) == 200


def test_a_token_makes_no_tokens_without_the_scope_admin(team: Team) -> None:
    document = {"name": "x", "scopes": ["read"]}
    member, admin = team.token("member", "read", "score"), team.token("admin", "read", "admin")
    assert team.client().post("/api/v1/tokens", json=document, headers=member).status_code == 403
    made = team.client().post("/api/v1/tokens", json=document, headers=admin)
    assert made.status_code == 201
    beyond = team.client().post("/api/v1/tokens", json=document | {"scopes": ["models"]}, headers=admin)
    assert beyond.status_code == 422


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"name": "x"},
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["read"], "expires_at": "2099-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["read"], "expires_at": "2030-01-01T00:00:00"},
        {"name": "x", "scopes": ["read"], "expires_at": "soon"},
    ],
)
def test_what_is_no_good_request_for_a_token_is_refused(team: Team, document: dict[str, Any]) -> None:
    client = team.signed_in("member")
    headers = {HEADER: client.form_secret("/account")}
    assert client.post("/api/v1/tokens", json=document, headers=headers).status_code == 422
    assert client.post("/api/v1/tokens", data="{", headers=headers, content_type="application/json").status_code == 400


def test_an_expired_token_is_refused(team: Team) -> None:
    token = secrets.new_token()
    past = datetime.now(UTC) - timedelta(seconds=1)
    team.services.auth.credentials.add_token(secrets.digest(token), "scl_", team.users["member"], "t", ["read"], past)
    assert status_of(team, bearer(token)) == 401


def test_what_is_no_token_of_ours_is_refused_with_what_to_send(team: Team) -> None:
    good = team.token("member", "read")["Authorization"].removeprefix("Bearer ")
    flipped = good[:10] + ("A" if good[10] != "A" else "B") + good[11:]
    session = team.signed_in("member").get_cookie("scoreline_session")
    assert session is not None
    for credentials in (
        "Bearer",
        "Bearer ",
        f"Bearer {good[:-1]}",
        f"Bearer {good}x",
        f"Bearer {good.lower()}",
        f"Bearer {flipped}",
        f"Bearer {secrets.new_token()}",  # well formed, and nobody's
        f"Bearer {session.value}",
        "Bearer ghp_0123456789abcdefghijklmnopqrstuvwxyzABCD",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "Basic YWRtaW46YWRtaW4=",
        f"Token {good}",
        "\x00",
        "Bearer \udcff",
    ):
        try:
            response = team.client().get("/api/v1/jobs", headers={"Authorization": credentials})
        except (UnicodeEncodeError, ValueError):
            continue  # no client sends it
        assert response.status_code == 401, credentials
        assert response.json["code"] == "unauthenticated"  # type: ignore[index]
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="Scoreline"')
    # A bad token counts, whatever session the browser has beside it.
    client = team.signed_in("admin")
    assert client.get("/api/v1/jobs", headers=bearer(flipped)).status_code == 401


def test_tokens_are_well_formed_and_mistakes_are_seen_without_a_look_up() -> None:
    tokens = {secrets.new_token() for _ in range(200)}
    assert len(tokens) == 200
    for token in tokens:
        assert secrets.is_well_formed(token)
        assert len(token) == 53
        assert not secrets.is_well_formed(token[:-1] + ("0" if token[-1] != "0" else "1"))
        assert not secrets.is_well_formed(token[:5] + token[6] + token[5] + token[7:]) or token[5] == token[6]


def test_the_last_use_is_written_at_most_once_a_minute(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    token, noted = team.token("member", "read"), list[str]()
    note = Authenticator._note_use

    def count(self: Authenticator, credential: Any, identity: Any) -> None:
        noted.append(credential.id)
        note(self, credential, identity)

    monkeypatch.setattr(Authenticator, "_note_use", count)
    assert [status_of(team, token) for _ in range(5)] == 5 * [200]
    assert len(noted) == 1


def break_database(team: Team) -> None:
    """Let the database be away, as after a crash of its host."""
    path = Path(team.services.settings.database_location.removeprefix("sqlite:///"))
    team.services.database.dispose()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    path.mkdir()


def test_while_the_database_is_away_work_goes_on_for_whom_it_knows(team: Team) -> None:
    used, unused = team.token("member", "read", "score"), team.token("other", "read")
    browser = team.signed_in("member")
    assert status_of(team, used) == 200
    job = team.job("member")
    break_database(team)
    assert status_of(team, used) == 200
    assert browser.get(f"/jobs/{job}").status_code == 200
    with browser.get(f"/api/v1/jobs/{job}/results") as response:
        assert response.status_code == 200
    assert team.client().post("/api/v1/predictions", headers=used).status_code == 415  # it may
    refused = team.client().get("/api/v1/jobs", headers=unused)
    assert (refused.status_code, refused.json["code"]) == (503, "database_unavailable")  # type: ignore[index]
    assert refused.headers["Retry-After"]
    page = team.client().sign_in("member@example.org")
    assert page.status_code == 503
    assert "the database is unavailable" in page.get_data(as_text=True)
    assert team.client().get("/healthz").status_code == 200
    # It does not go on for ever, and not for who has signed out.
    for key in team.services.store.redis.scan_iter(keys.decision("*")):
        assert 0 < team.services.store.redis.ttl(key) <= 300


def test_what_has_ended_stays_so_while_the_database_is_away(team: Team) -> None:
    client = team.signed_in("member")
    made = make(client)
    assert status_of(team, bearer(made["token"])) == 200
    secret = client.form_secret("/account")
    client.delete(f"/api/v1/tokens/{made['id']}", headers={HEADER: secret})
    cookie = client.get_cookie("scoreline_session")
    client.post("/signout", data={"_csrf_token": secret})
    break_database(team)
    assert status_of(team, bearer(made["token"])) == 503
    assert cookie is not None
    thief = team.client()
    thief.set_cookie("scoreline_session", cookie.value)
    assert thief.get("/api/v1/jobs").status_code == 503


def test_the_description_says_which_scope_each_operation_needs(team: Team) -> None:
    document = team.client().get("/api/v1/openapi.json", headers=team.token("viewer", "read")).json
    validate(document)  # type: ignore[arg-type]
    assert document is not None
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))) <= schemas
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    needed = {
        operation["operationId"]: operation.get("security", [{"bearer": [Open.ANYONE]}])[0]["bearer"][0]
        for operations in document["paths"].values()
        for operation in operations.values()
    }
    for name, rule in RULES.items():
        if name.partition(".")[0] in ("jobs", "predictions", "models", "tokens", "health", "errors"):
            expected = "admin" if rule.requires is Open.PERSON else rule.requires
            assert needed[name.partition(".")[2]] == expected, name
    assert "Needs the scope `score`" in document["paths"]["/api/v1/jobs"]["post"]["description"]
    assert {"401", "403"} <= document["paths"]["/api/v1/jobs"]["get"]["responses"].keys()
