"""What both databases hold the same way."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from database.database import Database
from database.tables import AuditEvent, Role, User, UserSession

NOON = datetime(2026, 11, 26, 12, 0, 0, 123456, UTC)
ANN = {"id": "1", "email": "Ann@Example.org ", "name": "Ann", "role": Role.MEMBER, "created": NOON}


def test_an_email_address_belongs_to_one_user_however_it_is_spelt(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(User).values(ANN))
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(User).values({**ANN, "id": "2", "email": "ann@example.ORG"}))
    with database.reading() as connection:
        assert connection.scalar(select(User.name).where(User.email == "ANN@example.org")) == "Ann"
        assert connection.scalar(select(User.role)) is Role.MEMBER


def test_times_come_back_in_utc_to_the_microsecond(database: Database) -> None:
    east = NOON.astimezone(timezone(timedelta(hours=9)))
    with database.writing() as connection:
        connection.execute(insert(User).values({**ANN, "last_sign_in": east}))
    with database.reading() as connection:
        created, last = connection.execute(select(User.created, User.last_sign_in)).one()
        assert (created, last, last.tzinfo) == (NOON, NOON, UTC)
        assert connection.scalar(select(User.id).where(User.created < east + timedelta(microseconds=1))) == "1"


def test_the_sessions_of_a_user_go_with_the_user(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(User).values(ANN))
        times = dict.fromkeys(("created", "last_used", "expires"), NOON)
        connection.execute(insert(UserSession).values(id_hash="a", user_id="1", **times))
    with database.writing() as connection:
        connection.execute(delete(User))
        assert connection.scalar(select(UserSession.id_hash)) is None


def test_nobody_changes_what_the_audit_log_says(database: Database) -> None:
    event = {"time": NOON, "actor": "1", "action": "sign_in", "details": {"way": "password"}, "source": "a"}
    with database.writing() as connection:
        connection.execute(insert(AuditEvent).values(event))
    for statement in (update(AuditEvent).values(actor="2"), delete(AuditEvent)):
        with pytest.raises(DBAPIError, match="append-only"), database.writing() as connection:
            connection.execute(statement)
    if not database.is_postgresql:
        other = {**event, "source": "b", "actor": "2"}
        for same in ({"id": 1}, {"source": "a"}, {"id": 1, "source": "a"}):
            with suppress(DBAPIError), database.writing() as connection:
                connection.execute(insert(AuditEvent).prefix_with("OR REPLACE").values(other | same))
    with database.reading() as connection:
        assert connection.execute(select(AuditEvent.actor, AuditEvent.details)).all() == [("1", {"way": "password"})]


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.writing() as connection:
        connection.execute(insert(User).values(ANN))
        raise RuntimeError
    with database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM users")) == 0
