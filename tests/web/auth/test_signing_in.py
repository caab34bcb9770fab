"""Signing in and out, and what people try instead."""

import re
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from database.audit import AuditFilter
from database.tables import Role
from jobs.settings import Settings
from tests.web.auth.conftest import HEADER, PASSWORD, Team
from web import create_app
from web.auth.secrets import digest
from web.auth.signing_in import issue_first, own_path

MEMBER = "member@example.org"


def cookie(response: Any, name: str = "scoreline_session") -> str:
    """The attributes of a cookie that a response sets."""
    return next((line for line in response.headers.getlist("Set-Cookie") if line.startswith(f"{name}=")), "")


def actions(team: Team) -> list[tuple[str, str]]:
    response = team.signed_in("admin").get("/audit.csv")
    lines = response.get_data(as_text=True).splitlines()[1:]
    return [(line.split(",")[1], line.split(",")[2]) for line in lines]


def test_a_member_signs_in_works_and_signs_out(team: Team) -> None:
    client = team.client()
    asked = client.get("/jobs?state=failed")
    assert (asked.status_code, asked.location) == (303, "/signin?next=%2Fjobs%3Fstate%3Dfailed")
    signed_in = client.sign_in(MEMBER.upper(), next="/jobs?state=failed")
    assert (signed_in.status_code, signed_in.location) == (303, "/jobs?state=failed")
    assert "HttpOnly" in cookie(signed_in)
    assert "SameSite=Lax" in cookie(signed_in)
    assert "Secure" not in cookie(signed_in)
    page = client.get("/account")
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    secret = client.get_cookie("scoreline_session")
    client.post("/signout", data={"_csrf_token": client.form_secret("/account")})
    assert client.get("/account").status_code == 303
    # Whoever has copied the cookie gets nothing for it.
    thief = team.client()
    assert secret is not None
    thief.set_cookie("scoreline_session", secret.value)
    assert thief.get("/account").status_code == 303
    assert thief.get("/api/v1/jobs").status_code == 401
    noted = actions(team)
    assert noted.index((MEMBER, "signed_out")) < noted.index((MEMBER, "signed_in"))


def test_under_https_cookies_are_sent_under_https_only(team: Team) -> None:
    client = team.client()
    secure = {"base_url": "https://localhost"}
    page = client.get("/signin", **secure).get_data(as_text=True)
    token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    form = {"email": MEMBER, "password": PASSWORD, "_csrf_token": token}
    response = client.post("/signin", data=form, headers={"Referer": "https://localhost/"}, **secure)
    assert response.status_code == 303
    for name in ("scoreline_session", "scoreline_device"):
        assert "Secure" in cookie(response, name)


def test_a_session_is_new_at_each_sign_in_and_never_what_a_browser_brings(team: Team) -> None:
    client = team.client()
    client.set_cookie("scoreline_session", "fixed")
    client.sign_in(MEMBER)
    first = client.get_cookie("scoreline_session")
    assert first is not None
    assert first.value != "fixed"
    assert team.services.auth.credentials.find_session(digest("fixed")) is None
    client.delete_cookie("scoreline_form")
    client.post("/signout", data={"_csrf_token": client.form_secret("/account")})
    client.sign_in(MEMBER)
    second = client.get_cookie("scoreline_session")
    assert second is not None
    assert second.value != first.value
    assert team.services.auth.credentials.find_session(digest(first.value)) is None


def test_only_the_hash_of_a_session_is_stored(team: Team) -> None:
    client = team.signed_in("member")
    secret = client.get_cookie("scoreline_session")
    assert secret is not None
    with team.services.database.reading() as connection:
        stored = connection.execute(text("SELECT * FROM sessions")).all()
    assert secret.value not in str(stored)
    assert digest(secret.value) in str(stored)


def test_signing_out_everywhere_ends_all_sessions(team: Team) -> None:
    one, two = team.signed_in("member"), team.signed_in("member")
    one.post("/signout-everywhere", data={"_csrf_token": one.form_secret("/account")})
    assert [client.get("/account").status_code for client in (one, two)] == [303, 303]
    assert team.signed_in("member").get("/account").status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        "evil.example",
        "http:evil.example",
        "",
    ],
)
def test_after_signing_in_nobody_is_led_elsewhere(team: Team, target: str) -> None:
    assert own_path(target) == "/"
    assert team.client().sign_in(MEMBER, next=target).location == "/"


def test_own_addresses_are_kept_after_signing_in() -> None:
    for address in ("/", "/jobs?state=failed", "/models/income?threshold=0.3#upload", "/probability?age=39&sex=Male"):
        assert own_path(address) == address


def test_an_unknown_account_looks_like_a_wrong_password(team: Team) -> None:
    """Neither the text nor the work says which addresses have an account."""
    wrong = team.client().sign_in(MEMBER, "wrong password 123")
    unknown = team.client().sign_in("nobody@example.org", "wrong password 123")
    pages = [re.sub(r'(value|content)="[^"]*"', "", response.get_data(as_text=True)) for response in (wrong, unknown)]
    assert pages[0] == pages[1]
    assert (wrong.status_code, unknown.status_code) == (422, 422)
    team.add("external", Role.MEMBER)
    with team.services.database.writing() as connection:
        connection.execute(text("UPDATE users SET password_hash = NULL WHERE email = 'external@example.org'"))
        connection.execute(text("UPDATE users SET disabled = true WHERE email = 'other@example.org'"))

    def work(email: str) -> float:
        passwords, account = team.services.auth.passwords, team.services.auth.users.by_email(email)
        times = []
        for _ in range(7):
            begin = time.thread_time()
            passwords.verify(account.password_hash if account else None, "wrong password 123")
            times.append(time.thread_time() - begin)
        return statistics.median(times)

    work(MEMBER)
    known = work(MEMBER)
    for email in ("nobody@example.org", "external@example.org", "other@example.org"):
        assert 1 / 3 < work(email) / known < 3


def test_a_disabled_user_neither_signs_in_nor_goes_on(team: Team) -> None:
    client, token = team.signed_in("member"), team.token("member", "read")
    admin, path = team.signed_in("admin"), f"/users/{team.users['member']}"
    secret = admin.form_secret("/account")
    admin.post(path, data={"_csrf_token": secret, "action": "disable"})
    assert client.get("/account").status_code == 303
    assert client.get("/api/v1/jobs", headers=token).status_code == 401
    assert team.client().sign_in(MEMBER).status_code == 422
    admin.post(path, data={"_csrf_token": secret, "action": "enable"})
    assert team.client().sign_in(MEMBER).status_code == 303
    assert client.get("/account").status_code == 303  # the old session stays ended


def test_guessing_is_slowed_without_locking_out_who_knows_the_password(team: Team) -> None:
    own = team.signed_in("member")
    own.post("/signout", data={"_csrf_token": own.form_secret("/account")})
    thief = team.client("192.0.2.1")
    statuses = [thief.sign_in(MEMBER, f"guess number {number}").status_code for number in range(12)]
    assert statuses == 10 * [422] + 2 * [429]
    refused = thief.sign_in(MEMBER, PASSWORD)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "q=10;w=60" in refused.headers["RateLimit-Policy"]
    assert ";r=0;t=" in refused.headers["RateLimit"]
    assert ("POST /signin", {"status": 429}) in [
        (event.object, event.details) for event in team.services.auth.audit.page(AuditFilter(action="refused"), 10)
    ]
    # The browser in which the account has signed in before is not affected, and others are not at all.
    assert own.sign_in(MEMBER).status_code == 303
    assert team.client("192.0.2.2").sign_in("other@example.org").status_code == 303


def test_guessing_many_accounts_from_one_address_is_slowed(team: Team) -> None:
    thief = team.client("2001:db8::1")
    secret = thief.form_secret()
    statuses = [
        thief.post(
            "/signin",
            data={"email": f"a{number}@example.org", "password": "x", "_csrf_token": secret},
            environ_base={"REMOTE_ADDR": f"2001:db8::{number:x}"},  # one network
        ).status_code
        for number in range(32)
    ]
    assert statuses == 30 * [422] + 2 * [429]
    assert team.client("2001:db8:1::1").sign_in(MEMBER).status_code == 303


def post_forms(team: Team) -> list[tuple[str, str]]:
    """Every address that a page posts a form to, with things of the member in it."""
    job, token = (
        team.job("member"),
        team.services.auth.credentials.add_token("h", "scl_", team.users["member"], "t", [], None),
    )
    paths = {"job_id": job, "token_id": token, "user_id": team.users["member"], "name": "income", "code": "none"}
    paths["version"] = str(team.services.catalog.card("income").version)
    rules = [rule for rule in team.app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    return [
        (rule.endpoint, re.sub(r"<(?:\w+:)?(\w+)>", lambda match: paths[match[1]], rule.rule))
        for rule in rules
        if rule.endpoint.startswith(("pages.", "accounts.", "history_pages."))
    ]


def test_every_form_needs_the_secret_of_its_browser(team: Team) -> None:
    admin, other = team.signed_in("admin"), team.signed_in("other")
    stolen = other.form_secret("/account")
    forms = post_forms(team)
    assert len(forms) > 15
    for endpoint, path in forms:
        for token in (None, "", "forged", stolen):
            form = {"email": MEMBER, "action": "disable"} | ({} if token is None else {"_csrf_token": token})
            response = admin.post(path, data=form)
            assert response.status_code == 403, (endpoint, token)
            assert "out of date" in response.get_data(as_text=True)
    for path in ("/api/v1/tokens", "/api/v1/predictions", "/api/v1/jobs", "/api/v1/preflight", "/api/v1/score"):
        response = admin.post(path, json={})
        assert (response.status_code, response.json["code"]) == (403, "stale_form")  # type: ignore[index]
    assert admin.delete(f"/api/v1/jobs/{team.job('member')}").status_code == 403
    assert not team.services.auth.users.by_email(MEMBER).disabled  # type: ignore[union-attr]


def test_every_form_in_the_templates_has_the_secret(team: Team) -> None:
    folder = team.app.jinja_loader.searchpath[0]  # type: ignore[union-attr, attr-defined]
    for path in Path(folder).rglob("*.html"):
        for form in re.findall(r"<form[^§]*?</form>", path.read_text()):
            if 'method="post"' in form:
                assert "form_field()" in form or "form_query()" in form, path


def test_an_upload_by_form_carries_the_secret_in_its_address(team: Team) -> None:
    client = team.signed_in("member")
    action = re.search(r'action="(/jobs\?_csrf_token=[^"]+)"', client.get("/").get_data(as_text=True))
    assert action
    assert client.post(action[1], data={"model": "income"}, content_type="multipart/form-data").status_code != 403


def test_the_first_administrator_comes_by_a_one_time_address(new_team: Team) -> None:
    auth = new_team.services.auth
    secret = issue_first(auth)
    client = new_team.client()
    path = f"/welcome/{secret}"
    assert "first administrator" in client.get(path).get_data(as_text=True)
    form = {"email": "ann@example.org", "name": "Ann", "password": "short", "_csrf_token": client.form_secret()}
    assert client.post(path, data=form).status_code == 422
    created = client.post(path, data=form | {"password": PASSWORD})
    assert (created.status_code, created.location) == (303, "/")
    assert client.get("/users").status_code == 200
    again = new_team.client()
    assert again.get(path).status_code == 404
    form |= {"email": "eve@example.org", "password": PASSWORD, "_csrf_token": again.form_secret()}
    assert again.post(path, data=form).status_code == 404
    assert issue_first(auth) is None
    assert [account.email for account in auth.users.all()] == ["ann@example.org"]


def test_an_administrator_invites_and_gives_a_new_password(team: Team) -> None:
    admin = team.signed_in("admin")
    secret = admin.form_secret("/account")
    page = admin.post("/users", data={"email": "new@example.org", "role": "modeller", "_csrf_token": secret})
    address = re.search(r'id="address">http://localhost(/welcome/[\w-]+)<', page.get_data(as_text=True))
    assert address
    client = team.client()
    form = {"email": "eve@example.org", "name": "New", "password": PASSWORD, "_csrf_token": client.form_secret()}
    assert client.post(address[1], data=form).status_code == 303
    account = team.services.auth.users.by_email("new@example.org")
    assert account is not None
    assert account.role is Role.MODELLER
    page = admin.post(f"/users/{account.id}", data={"action": "reset", "_csrf_token": secret})
    reset = re.search(r'id="address">http://localhost(/welcome/[\w-]+)<', page.get_data(as_text=True))
    assert reset
    fresh = team.client()
    data = {"password": "another good one 1", "_csrf_token": fresh.form_secret()}
    assert fresh.post(reset[1], data=data).status_code == 303
    assert client.get("/account").status_code == 303  # signed out by the new password
    assert team.client().sign_in("new@example.org").status_code == 422
    assert team.client().sign_in("new@example.org", "another good one 1").status_code == 303


def test_a_changed_password_ends_the_other_sessions(team: Team) -> None:
    own, elsewhere = team.signed_in("member"), team.signed_in("member")
    before = own.get_cookie("scoreline_session")
    form = {"current": PASSWORD, "password": "another good one 1", "_csrf_token": own.form_secret("/account")}
    assert own.post("/account/password", data=form | {"current": "wrong"}).status_code == 422
    assert own.post("/account/password", data=form | {"password": "short"}).status_code == 422
    assert own.post("/account/password", data=form).status_code == 303
    assert before != own.get_cookie("scoreline_session")
    assert own.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 303


def test_sql_in_any_field_is_text(team: Team) -> None:
    evil = "' OR 1=1; DROP TABLE users; --"
    assert team.client().sign_in(evil, evil).status_code == 422
    admin = team.signed_in("admin")
    for name in ("actor", "action", "object"):
        assert "No entries" in admin.get("/audit", query_string={name: evil}).get_data(as_text=True)
    for name in ("start", "end", "before"):
        assert admin.get("/audit", query_string={name: evil}).status_code == 422
    assert len(team.services.auth.users.all()) == 5


def test_the_audit_log_tells_of_refusals_downloads_and_deletions(team: Team) -> None:
    member, job = team.signed_in("member"), team.job("member")
    with member.get(f"/api/v1/jobs/{job}/results") as response:
        assert response.status_code == 200
    member.delete(f"/api/v1/jobs/{job}", headers={HEADER: member.form_secret("/account")})
    assert member.get("/users").status_code == 403
    team.client().sign_in(MEMBER, "wrong password 123")
    team.client().get("/api/v1/jobs")
    noted = actions(team)
    for entry in (
        (MEMBER, "downloaded"),
        (MEMBER, "deleted"),
        (MEMBER, "refused"),
        (MEMBER, "sign_in_refused"),
        ("", "refused"),
    ):
        assert entry in noted
    page = team.signed_in("admin").get("/audit?action=deleted").get_data(as_text=True)
    assert job in page


def test_a_flood_of_refusals_does_not_fill_the_audit_log(team: Team) -> None:
    client = team.client("192.0.2.9")
    for _ in range(40):
        client.get("/api/v1/jobs")
    assert actions(team).count(("", "refused")) == 10


@pytest.mark.parametrize(("proxies", "address", "secure"), [(0, "127.0.0.1", False), (1, "192.0.2.7", True)])
def test_addresses_of_a_proxy_count_only_where_it_is_configured(
    auth_settings: Settings, tmp_path: Path, proxies: int, address: str, secure: bool
) -> None:
    more = {"proxies": proxies, "database_url": f"sqlite:///{tmp_path}/proxied.db"}
    team = Team(create_app(auth_settings.model_copy(update=more)))
    team.services.store.redis.flushall()
    team.services.database.upgrade()
    team.add("admin", Role.ADMINISTRATOR)
    # A browser under https keeps the cookies for https; here they are passed on by hand.
    client = team.app.test_client(use_cookies=False)
    forwarded = {"X-Forwarded-For": "203.0.113.1, 192.0.2.7", "X-Forwarded-Proto": "https"}
    page = client.get("/signin", headers=forwarded)
    secret = page.get_data(as_text=True).partition('name="csrf-token" content="')[2].partition('"')[0]
    form = {"email": "admin@example.org", "password": PASSWORD, "_csrf_token": secret}
    kept = {"Cookie": cookie(page, "scoreline_form").partition(";")[0], "Referer": "https://localhost/signin"}
    response = client.post("/signin", data=form, headers=forwarded | kept)
    assert response.status_code == 303
    assert ("Secure" in cookie(response)) == secure
    [event] = team.services.auth.audit.page(AuditFilter(action="signed_in"), 10)
    assert event.address == address
    team.services.database.dispose()
