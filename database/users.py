"""Accounts: who may sign in, and in which role."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from database.database import Database
from database.errors import DatabaseError
from database.tables import Role, User

_MAX_NAME = 255


class EmailTaken(DatabaseError):
    """Raised when another account has the same e-mail address or external subject."""


class LastAdministrator(DatabaseError):
    """Raised when a change would leave no account that can manage the others."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account. ``external`` is whether it signs in through the provider; ``password_hash`` is None without one."""

    id: str
    email: str
    name: str
    role: Role
    disabled: bool
    created: datetime
    last_sign_in: datetime | None
    password_hash: str | None
    external: bool


class Users:
    """The table of accounts. Each method is one transaction and raises ``DatabaseUnavailable`` during an outage."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def any_exist(self) -> bool:
        """Return whether there is an account."""
        with self._database.reading() as connection:
            return connection.scalar(select(User.id).limit(1)) is not None

    def get(self, user_id: str) -> Account | None:
        """Return the account with this id."""
        return self._find(User.id == user_id)

    def by_email(self, email: str) -> Account | None:
        """Return the account with this e-mail address, in any case."""
        return self._find(User.email == email)

    def by_subject(self, subject: str) -> Account | None:
        """Return the account that the provider knows by this subject."""
        return self._find(User.external_subject == subject)

    def emails(self, user_ids: Collection[str]) -> dict[str, str]:
        """Return the e-mail addresses of the accounts with these ids."""
        query = select(User.id, User.email).where(User.id.in_(user_ids))
        with self._database.reading() as connection:
            return {row.id: row.email for row in connection.execute(query)} if user_ids else {}

    def _find(self, condition: Any) -> Account | None:
        with self._database.reading() as connection:
            row = connection.execute(select(User.__table__).where(condition)).first()
        return _account(row) if row else None

    def all(self) -> list[Account]:
        """Return all accounts by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(User.__table__).order_by(func.lower(User.name), User.email)).all()
        return [_account(row) for row in rows]

    def add(
        self, email: str, name: str, role: Role, *, password_hash: str | None = None, subject: str | None = None
    ) -> str:
        """Create an account and return its id; raise ``EmailTaken``."""
        with self._database.writing() as connection:
            return insert_user(connection, email, name, role, password_hash=password_hash, subject=subject)

    def set_password(self, user_id: str, password_hash: str) -> None:
        """Replace the password of an account."""
        with self._database.writing() as connection:
            connection.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))

    def note_sign_in(self, user_id: str, subject: str | None = None) -> None:
        """Note that a user has signed in now, as ``subject`` of the provider if they did so there first."""
        values = {"last_sign_in": datetime.now(UTC)} | ({"external_subject": subject} if subject else {})
        with self._database.writing() as connection:
            connection.execute(update(User).where(User.id == user_id).values(values))

    def change(self, user_id: str, *, role: Role | None = None, disabled: bool | None = None) -> None:
        """Change role or state of an account; raise ``LastAdministrator``."""
        values = {"role": role, "disabled": disabled}
        with self._database.writing() as connection:
            administrators = self._lock_administrators(connection)
            stays = role in (None, Role.ADMINISTRATOR) and not disabled
            if administrators == [user_id] and not stays:
                raise LastAdministrator("the last administrator cannot be disabled or get another role")
            given = {key: value for key, value in values.items() if value is not None}
            connection.execute(update(User).where(User.id == user_id).values(given))

    @staticmethod
    def _lock_administrators(connection: Connection) -> Sequence[str]:
        """Return the administrators who can sign in; two changes at once take turns."""
        condition = (User.role == Role.ADMINISTRATOR, User.disabled.is_(False))
        # SQLite has no locks of rows, but lets one transaction write at a time.
        return list(connection.scalars(select(User.id).where(*condition).with_for_update()))


def insert_user(
    connection: Connection,
    email: str,
    name: str,
    role: Role,
    *,
    password_hash: str | None = None,
    subject: str | None = None,
) -> str:
    """Insert an account and return its id; raise ``EmailTaken``."""
    user_id = secrets.token_hex(16)
    values = {
        "id": user_id,
        "email": email,
        "name": name[:_MAX_NAME],
        "role": role,
        "password_hash": password_hash,
        "disabled": False,
        "created": datetime.now(UTC),
        "external_subject": subject,
    }
    try:
        connection.execute(insert(User).values(values))
    except IntegrityError as error:
        raise EmailTaken("another account has this e-mail address") from error
    return user_id


def _account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        email=row.email,
        name=row.name,
        role=row.role,
        disabled=row.disabled,
        created=row.created,
        last_sign_in=row.last_sign_in,
        password_hash=row.password_hash,
        external=row.external_subject is not None,
    )
