"""Accounts, sessions, tokens, one-time addresses and the audit log, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from sqlalchemy import update

from database.audit import AuditFilter, AuditLog
from database.credentials import Credentials
from database.database import Database
from database.invitations import InvitationInvalid, Invitations, Purpose
from database.tables import Role, UserSession
from database.users import EmailTaken, LastAdministrator, Users, insert_user

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def users(database: Database) -> Users:
    return Users(database)


@pytest.fixture
def ann(users: Users) -> str:
    return users.add("ann@example.org", "Ann", Role.ADMINISTRATOR, password_hash="hash")


@pytest.fixture
def credentials(database: Database) -> Credentials:
    return Credentials(database, timedelta(hours=2))


def test_an_account_is_found_by_its_address_in_any_case(users: Users, ann: str) -> None:
    account = users.by_email(" ANN@example.org")
    assert account is not None
    assert (account.id, account.role, account.external) == (ann, Role.ADMINISTRATOR, False)
    with pytest.raises(EmailTaken):
        users.add("Ann@Example.org", "Another", Role.VIEWER)
    assert users.by_email("' OR 1=1 --") is None


def test_the_last_administrator_stays(users: Users, ann: str) -> None:
    for change in ({"role": Role.MEMBER}, {"disabled": True}):
        with pytest.raises(LastAdministrator):
            users.change(ann, **change)  # type: ignore[arg-type]
    ben = users.add("ben@example.org", "Ben", Role.ADMINISTRATOR)
    # Both at once: one of them has to stay.
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(users.change, user, role=Role.MEMBER) for user in (ann, ben)]
        assert sorted(type(end.exception()).__name__ for end in ends) == ["LastAdministrator", "NoneType"]
    assert sorted(account.role for account in users.all()) == [Role.ADMINISTRATOR, Role.MEMBER]


def test_a_session_counts_until_it_ends_expires_or_its_user_is_disabled(
    users: Users, ann: str, credentials: Credentials
) -> None:
    users.add("ben@example.org", "Ben", Role.ADMINISTRATOR)
    for name in ("one", "two", "three"):
        credentials.start_session(name, ann, now() + HOUR, "127.0.0.1", "Firefox")
    credentials.start_session("old", ann, now() - HOUR, "127.0.0.1", "Firefox")
    found = credentials.find_session("one")
    assert found is not None
    assert (found.user_id, found.email, found.scopes) == (ann, "ann@example.org", None)
    assert credentials.find_session("old") is None
    credentials.end_session("one")
    assert credentials.find_session("one") is None
    assert "three" in credentials.end_sessions(ann, keep="two")
    assert credentials.find_session("three") is None
    assert [entry.hash for entry in credentials.sessions(ann)] == ["two"]
    users.change(ann, disabled=True)
    assert credentials.find_session("two") is None


def test_a_session_that_is_not_used_ends(ann: str, credentials: Credentials, database: Database) -> None:
    for name in ("used", "unused"):
        credentials.start_session(name, ann, now() + HOUR, "127.0.0.1", "Firefox")
    with database.writing() as connection:
        long_ago = update(UserSession).where(UserSession.id_hash == "unused").values(last_used=now() - 3 * HOUR)
        connection.execute(long_ago)
    assert credentials.find_session("used") is not None
    assert credentials.find_session("unused") is None
    assert [session.hash for session in credentials.sessions(ann)] == ["used"]


def test_a_token_counts_until_it_is_revoked_or_expires(users: Users, ann: str, credentials: Credentials) -> None:
    kept = credentials.add_token("hash", "scl_abc", ann, "nightly", ["read"], now() + HOUR)
    credentials.add_token("old", "scl_old", ann, "old", ["read"], now() - HOUR)
    found = credentials.find_token("hash")
    assert found is not None
    assert (found.id, found.scopes, found.last_used) == (kept, ["read"], None)
    credentials.note_use(found)
    assert [token.last_used is not None for token in credentials.tokens(ann)] == [False, True]
    assert credentials.find_token("old") is None
    assert credentials.revoke_token(kept) == "hash"
    assert credentials.revoke_token(kept) is None
    assert credentials.find_token("hash") is None
    assert [token.name for token in credentials.tokens()] == ["old"]
    assert users.get(ann) is not None


def test_a_one_time_address_works_once(database: Database, users: Users) -> None:
    invitations = Invitations(database)
    invitations.issue("first", Purpose.FIRST, now() + HOUR, role=Role.ADMINISTRATOR)
    ann = invitations.accept("first", "Ann", "hash", "ann@example.org")
    with pytest.raises(InvitationInvalid):
        invitations.accept("first", "Eve", "hash", "eve@example.org")
    invitations.issue("late", Purpose.FIRST, now() + HOUR, role=Role.ADMINISTRATOR)
    assert invitations.find("late") is None  # there is an administrator
    with pytest.raises(InvitationInvalid):
        invitations.accept("late", "Eve", "hash", "eve@example.org")
    invitations.issue("ben", Purpose.INVITE, now() + HOUR, email="ben@example.org", role=Role.MEMBER, created_by=ann)
    assert [(email, role) for email, role, _ in invitations.pending()] == [("ben@example.org", Role.MEMBER)]
    with ThreadPoolExecutor(4) as pool:
        accepted = [pool.submit(invitations.accept, "ben", "Ben", "hash") for _ in range(4)]
    assert [one.exception() is None for one in accepted].count(True) == 1
    assert [(account.name, account.role) for account in users.all()] == [
        ("Ann", Role.ADMINISTRATOR),
        ("Ben", Role.MEMBER),
    ]


def test_of_two_addresses_for_the_first_administrator_used_at_once_one_counts(
    database: Database, users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start of the service gives another one. Without a lock, both find that nobody has an account yet."""
    together = Barrier(2)

    def meet_and_insert(*arguments: Any, **values: Any) -> str:
        with suppress(BrokenBarrierError):
            together.wait(0.5)
        return insert_user(*arguments, **values)

    monkeypatch.setattr("database.invitations.insert_user", meet_and_insert)
    invitations = Invitations(database)
    for secret in ("one", "two"):
        invitations.issue(secret, Purpose.FIRST, now() + HOUR, role=Role.ADMINISTRATOR)
    with ThreadPoolExecutor(2) as pool:
        ends = [
            pool.submit(invitations.accept, secret, "", "hash", f"{secret}@example.org") for secret in ("one", "two")
        ]
        assert sorted(type(end.exception()).__name__ for end in ends) == ["InvitationInvalid", "NoneType"]
    assert len(users.all()) == 1


def test_a_new_password_ends_the_sessions_of_the_account(
    database: Database, users: Users, ann: str, credentials: Credentials
) -> None:
    credentials.start_session("one", ann, now() + HOUR, "", "")
    invitations = Invitations(database)
    invitations.issue("a", Purpose.RESET, now() + HOUR, user_id=ann)
    invitations.issue("b", Purpose.RESET, now() + HOUR, user_id=ann)
    assert invitations.find("a") is None  # replaced
    assert invitations.accept("b", "", "new hash") == ann
    account = users.get(ann)
    assert account is not None
    assert account.password_hash == "new hash"
    assert credentials.find_session("one") is None


def test_an_expired_address_is_of_no_use(database: Database, ann: str) -> None:
    invitations = Invitations(database)
    invitations.issue("a", Purpose.RESET, now() - HOUR, user_id=ann)
    assert invitations.find("a") is None
    with pytest.raises(InvitationInvalid):
        invitations.accept("a", "", "hash")


def test_the_audit_log_is_filtered_and_paged(database: Database) -> None:
    log = AuditLog(database)
    for number in range(5):
        log.add("ann" if number % 2 else "ben\x00'; DROP TABLE audit; --", "signed_in", f"{number}", "127.0.0.1")
    log.add("ann", "token_created", "abc", scopes=["read"])
    everything = log.page(AuditFilter(), 10)
    assert [event.object for event in everything] == ["abc", "4", "3", "2", "1", "0"]
    assert everything[0].details == {"scopes": ["read"]}
    assert [event.object for event in log.page(AuditFilter(actor="ann"), 10)] == ["abc", "3", "1"]
    assert [event.object for event in log.page(AuditFilter(), 2, before=everything[1].id)] == ["3", "2"]
    assert log.page(AuditFilter(end=now() - HOUR), 10) == []
    assert log.page(AuditFilter(object="' OR ''='"), 10) == []
    assert [event["object"] for event in log.export(AuditFilter(action="signed_in"))] == ["4", "3", "2", "1", "0"]
