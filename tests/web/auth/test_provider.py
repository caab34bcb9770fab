"""Signing in at an OpenID Connect provider that runs, and JWTs of it, good and bad."""

import base64
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from database.audit import AuditFilter
from database.tables import Role
from jobs.settings import Settings
from tests.stack import ROOT, free_port, wait_until
from tests.web.auth.conftest import PASSWORD, Browser, Team
from web import create_app
from web.auth import issuer as issuer_module

ROLES = "staff=viewer, analysts=member, platform=administrator"
ANN = {"sub": "1", "email": "ann@example.org", "email_verified": True, "name": "Ann", "groups": ["staff", "analysts"]}


@dataclass
class Provider:
    """The provider, which runs in a process of its own."""

    port: int
    keys: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_key(self) -> RSAKey:
        """Sign with a new key from now on; the old one is not valid any more."""
        key = RSAKey.generate_key(2048, {"kid": str(time.monotonic_ns()), "use": "sig", "alg": "RS256"})
        self.keys.write_text(json.dumps({"keys": [key.as_dict(private=True)]}))
        return key

    @property
    def key(self) -> RSAKey:
        return RSAKey.import_key(json.loads(self.keys.read_text())["keys"][0])

    def let_in(self, user: dict[str, Any], **spoilt: Any) -> None:
        """Say who comes next, and what is wrong with their ID token."""
        httpx.post(f"{self.url}/user", json=[user, spoilt], verify=False).raise_for_status()

    def follow(self, location: str) -> str:
        """What the browser does at the provider; where it is sent back to."""
        answer = httpx.get(location, verify=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"].removeprefix("http://localhost")

    def jwt(self, key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A JWT for Scoreline, with other claims where given."""
        key, now = key or self.key, int(time.time())
        usual = {
            "iss": self.url,
            "aud": "scoreline",
            "sub": "robot",
            "iat": now,
            "exp": now + 60,
            "groups": ["analysts"],
        }
        given = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(
            {"alg": "RS256", "kid": key.kid} | (header or {}), given, key, algorithms=["RS256", "HS256", "ES256"]
        )


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    provider = Provider(free_port(), tmp_path_factory.mktemp("provider") / "keys.json")
    provider.new_key()
    command = [sys.executable, "-m", "tests.web.auth.provider", str(provider.port), str(provider.keys)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def answers() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{provider.url}/keys", verify=False).status_code == 200
        return False

    try:
        wait_until(answers)
        yield provider
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def external(auth_settings: Settings, provider: Provider, tmp_path: Path) -> Iterator[Team]:
    """The service with the provider, and a local administrator."""
    more = {
        "oidc_issuer": provider.url,
        "oidc_client_id": "scoreline",
        "oidc_client_secret": "the client's secret",
        "oidc_roles": ROLES,
        "database_url": f"sqlite:///{tmp_path}/external.db",
    }
    team = Team(create_app(Settings.model_validate(auth_settings.model_dump() | more)))
    team.services.store.redis.flushall()
    team.services.database.upgrade()
    team.add("admin", Role.ADMINISTRATOR)
    yield team
    team.services.database.dispose()


def come_in(
    team: Team, provider: Provider, user: dict[str, Any], next_: str = "/jobs", **spoilt: Any
) -> tuple[Browser, Any]:
    provider.let_in(user, **spoilt)
    client = team.client()
    away = client.get("/signin/provider", query_string={"next": next_})
    assert away.status_code == 302, away.get_data(as_text=True)
    return client, client.get(provider.follow(away.location))


def test_a_user_of_the_provider_signs_in_and_gets_the_role_of_their_groups(external: Team, provider: Provider) -> None:
    assert "Sign in with your organisation" in external.client().get("/signin").get_data(as_text=True)
    client, back = come_in(external, provider, ANN, next_="/jobs?state=failed")
    assert (back.status_code, back.location) == (303, "/jobs?state=failed")
    assert client.get("/account").status_code == 200
    account = external.services.auth.users.by_email("ann@example.org")
    assert account is not None
    assert (account.role, account.external, account.name) == (Role.MEMBER, True, "Ann")
    # The groups have changed meanwhile.
    come_in(external, provider, ANN | {"groups": ["staff"]})
    account = external.services.auth.users.by_email("ann@example.org")
    assert account is not None
    assert account.role is Role.VIEWER
    assert len(external.services.auth.users.all()) == 2


def test_the_audit_log_says_whom_the_provider_brought_and_whose_role_it_changed(
    external: Team, provider: Provider
) -> None:
    come_in(external, provider, ANN)
    come_in(external, provider, ANN | {"groups": ["staff"]})
    assert status_of(external, provider.jwt()) == 200
    noted = [
        (event["action"], event["object"], event["details"])
        for event in external.services.auth.audit.export(AuditFilter())
        if event["action"] != "signed_in"
    ]
    assert noted[::-1] == [
        ("user_added", "ann@example.org", {"role": "member"}),
        ("role_changed", "ann@example.org", {"role": "viewer", "before": "member"}),
        ("user_added", f"robot at {provider.url}", {"role": "member"}),
    ]


def test_the_last_administrator_stays_one_whatever_the_groups_say(external: Team, provider: Provider) -> None:
    admin = {"sub": "9", "email": "admin@example.org", "email_verified": True, "name": "Admin", "groups": ["staff"]}
    client, back = come_in(external, provider, admin)
    assert back.status_code == 303
    assert client.get("/users").status_code == 200
    external.add("second", Role.ADMINISTRATOR)
    client, _ = come_in(external, provider, admin)
    assert client.get("/users").status_code == 403


def test_the_groups_may_come_with_the_user_info_only(external: Team, provider: Provider) -> None:
    _, back = come_in(external, provider, ANN | {"in_id_token": False})
    assert back.status_code == 303


def test_who_is_in_none_of_the_groups_is_refused(external: Team, provider: Provider) -> None:
    client, back = come_in(external, provider, ANN | {"groups": ["others"]})
    assert back.status_code == 403
    assert "None of your groups" in back.get_data(as_text=True)
    assert client.get("/jobs").status_code == 303


def test_a_disabled_user_does_not_come_in_by_the_provider(external: Team, provider: Provider) -> None:
    come_in(external, provider, ANN)
    account = external.services.auth.users.by_email("ann@example.org")
    assert account is not None
    external.services.auth.users.change(account.id, disabled=True)
    _, back = come_in(external, provider, ANN)
    assert back.status_code == 403


def test_an_account_is_linked_only_by_a_verified_address(external: Team, provider: Provider) -> None:
    admin = {"sub": "9", "email": "admin@example.org", "name": "Admin", "groups": ["platform"]}
    _, back = come_in(external, provider, admin | {"email_verified": False})
    assert back.status_code == 403
    client, back = come_in(external, provider, admin | {"email_verified": True})
    assert back.status_code == 303
    assert client.get("/users").status_code == 200
    assert len(external.services.auth.users.all()) == 1
    assert external.client().sign_in("admin@example.org", PASSWORD).status_code == 303  # the password stays


def test_an_answer_of_the_provider_counts_once_and_only_in_its_browser(external: Team, provider: Provider) -> None:
    provider.let_in(ANN)
    client = external.client()
    back = provider.follow(client.get("/signin/provider").location)
    thief = external.client()
    assert thief.get(back).status_code == 400  # login CSRF: it has no such state
    assert client.get(back).status_code == 303
    assert client.get(back).status_code == 400  # replayed
    assert external.client().get("/signin/provider/back?error=access_denied").status_code == 400
    assert external.client().get("/signin/provider/back").status_code == 400


def test_the_flow_has_pkce_state_and_nonce(external: Team) -> None:
    asked = parse_qs(urlsplit(external.client().get("/signin/provider").location).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    assert asked["redirect_uri"] == ["http://localhost/signin/provider/back"]


@pytest.mark.parametrize("spoilt", [{"aud": ["other"]}, {"iss": "http://evil.example"}, {"exp": 1}])
def test_an_id_token_that_is_not_for_us_is_refused(external: Team, provider: Provider, spoilt: dict[str, Any]) -> None:
    client, back = come_in(external, provider, ANN, **spoilt)
    assert back.status_code == 400
    assert client.get("/jobs").status_code == 303


def status_of(team: Team, token: str) -> int:
    return team.client().get("/api/v1/jobs", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_program_comes_with_a_jwt_of_the_provider(external: Team, provider: Provider) -> None:
    token = {"Authorization": f"Bearer {provider.jwt()}"}
    client = external.client()
    assert client.get("/api/v1/jobs", headers=token).status_code == 200
    assert client.post("/api/v1/predictions", headers=token).status_code == 415  # it may
    assert client.get("/audit", headers=token).status_code == 403
    made = client.post("/api/v1/tokens", json={"name": "x", "scopes": ["read"]}, headers=token)
    assert made.status_code == 201
    assert len(external.services.auth.users.all()) == 2
    assert status_of(external, provider.jwt(groups=["others"])) == 401
    assert status_of(external, provider.jwt(sub="viewer", groups=["staff"])) == 200


def test_clocks_may_differ_by_a_minute(external: Team, provider: Provider) -> None:
    now = int(time.time())
    for claims, status in (
        ({"exp": now - 30}, 200),
        ({"exp": now - 90}, 401),
        ({"nbf": now + 30}, 200),
        ({"nbf": now + 90}, 401),
        ({"iat": now + 30}, 200),
        ({"iat": now + 90}, 401),
        ({"exp": None}, 401),
        ({"exp": "soon"}, 401),
    ):
        assert status_of(external, provider.jwt(**claims)) == status, claims  # type: ignore[arg-type]


def test_a_jwt_for_others_or_of_others_is_refused(external: Team, provider: Provider) -> None:
    other = RSAKey.generate_key(2048, {"kid": provider.key.kid})
    for token in (
        provider.jwt(aud="other"),
        provider.jwt(aud=["other", "another"]),
        provider.jwt(aud=None),
        provider.jwt(iss="http://evil.example"),
        provider.jwt(iss=f"{provider.url}/"),
        provider.jwt(iss=None),
        provider.jwt(sub=None),
        provider.jwt(other),
        provider.jwt(RSAKey.generate_key(2048, {"kid": "unknown"})),
    ):
        assert status_of(external, token) == 401
    assert status_of(external, provider.jwt(aud=["other", "scoreline"])) == 200


def part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def test_no_signature_and_confused_keys_are_refused(external: Team, provider: Provider) -> None:
    head, body, signature = provider.jwt().split(".")
    public = provider.key.as_pem(private=False)
    confused = f"{part({'alg': 'HS256', 'kid': provider.key.kid})}.{body}"
    shared = base64.urlsafe_b64encode(hmac.digest(public, confused.encode(), "sha256")).decode().rstrip("=")
    own = ECKey.generate_key("P-256", {"kid": "own"})
    embedded = {"alg": "ES256", "jwk": own.as_dict(private=False), "kid": "own"}
    tokens = [
        f"{part({'alg': 'none'})}.{body}.",
        f"{part({'alg': 'None', 'typ': 'JWT'})}.{body}.",
        f"{part({'alg': 'NONE'})}.{body}.{signature}",
        f"{part({'alg': 'HS256', 'kid': provider.key.kid})}.{body}.{signature}",
        f"{confused}.{shared}",
        provider.jwt(own, embedded),
        provider.jwt(own, embedded | {"jku": f"{provider.url}/keys"}),
        f"{head}.{part({'sub': 'admin'})}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        "..",
        "a.b.c",
        f"{head}.{body}.{'A' * 20_000}",
    ]
    for token in tokens:
        assert status_of(external, token) == 401, token[:60]
    assert status_of(external, f"{head}.{body}.{signature}") == 200


def test_keys_are_cached_and_fetched_again_for_a_new_one(
    external: Team, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetches() -> int:
        return int(httpx.get(f"{provider.url}/fetched", verify=False).json())

    assert status_of(external, provider.jwt()) == 200
    before, old = fetches(), provider.key
    for _ in range(5):
        assert status_of(external, provider.jwt()) == 200
        assert status_of(external, provider.jwt(RSAKey.generate_key(2048, {"kid": "unknown"}))) == 401
    assert fetches() == before  # strangers do not make us ask
    provider.new_key()
    monkeypatch.setattr(issuer_module, "_MIN_PAUSE_SECONDS", -1)
    assert status_of(external, provider.jwt()) == 200
    assert fetches() == before + 1
    assert status_of(external, provider.jwt(old)) == 401


def test_without_a_provider_a_jwt_is_no_token(team: Team, provider: Provider) -> None:
    assert status_of(team, provider.jwt()) == 401
