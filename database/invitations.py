"""One-time addresses: for a new account, for the first administrator, and for a new password."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, insert, select, update

from database.database import Database
from database.errors import DatabaseError
from database.tables import Invitation, Role, User, UserSession
from database.users import insert_user


class Purpose(StrEnum):
    """What a one-time address is for."""

    FIRST = "first administrator"
    INVITE = "invitation"
    RESET = "password reset"


class InvitationInvalid(DatabaseError):
    """Raised when a one-time address was used before, has expired, was replaced, or never existed."""


@dataclass(frozen=True, slots=True)
class Invited:
    """What a one-time address is for: ``user_id`` of a reset; ``email`` and ``role`` of an invitation."""

    purpose: Purpose
    user_id: str | None
    email: str | None
    role: Role | None
    expires: datetime


class Invitations:
    """The table of one-time addresses. Each method is one transaction; outages raise ``DatabaseUnavailable``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(
        self,
        hash_: str,
        purpose: Purpose,
        expires: datetime,
        *,
        user_id: str | None = None,
        email: str | None = None,
        role: Role | None = None,
        created_by: str | None = None,
    ) -> None:
        """Add a one-time address. It replaces the unused ones for the same account or e-mail address."""
        values = {
            "hash": hash_,
            "purpose": purpose.value,
            "user_id": user_id,
            "email": email,
            "role": role,
            "created": datetime.now(UTC),
            "created_by": created_by,
            "expires": expires,
        }
        with self._database.writing() as connection:
            unused = delete(Invitation).where(Invitation.used.is_(None), Invitation.purpose == purpose.value)
            if user_id is not None:
                connection.execute(unused.where(Invitation.user_id == user_id))
            elif email is not None:
                connection.execute(unused.where(Invitation.email == email))
            connection.execute(insert(Invitation).values(values))

    def find(self, hash_: str) -> Invited | None:
        """Return what a valid one-time address is for."""
        query = select(Invitation.__table__).where(Invitation.hash == hash_, *_usable())
        with self._database.reading() as connection:
            row = connection.execute(query).first()
            # That for the first administrator is void once anybody has an account.
            if row is None or (row.purpose == Purpose.FIRST and connection.scalar(select(User.id).limit(1))):
                return None
        return Invited(Purpose(row.purpose), row.user_id, row.email, row.role, row.expires)

    def accept(self, hash_: str, name: str, password_hash: str, email: str | None = None) -> str:
        """Use a one-time address: create its account, or set the password of it; return the account's id.

        ``email`` is that of the first administrator. All sessions of an account with a new password end.

        Raises:
            InvitationInvalid: it cannot be used, or not again.
            EmailTaken: there is an account with the address already.
        """
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            row = connection.execute(select(Invitation.__table__).where(Invitation.hash == hash_, *_usable())).first()
            # There is one first administrator, however many addresses were given for it: all of them are used together.
            same = (
                Invitation.purpose == Purpose.FIRST
                if row and row.purpose == Purpose.FIRST
                else Invitation.hash == hash_
            )
            used = connection.execute(update(Invitation).where(same, *_usable()).values(used=now)).rowcount
            # Of two uses at once, one changes the rows, and the other finds them used.
            if row is None or not used:
                raise InvitationInvalid("this address was used before, has expired, or never existed")
            if row.purpose == Purpose.RESET:
                connection.execute(update(User).where(User.id == row.user_id).values(password_hash=password_hash))
                connection.execute(delete(UserSession).where(UserSession.user_id == row.user_id))
                return str(row.user_id)
            if row.purpose == Purpose.FIRST and connection.scalar(select(User.id).limit(1)):
                raise InvitationInvalid("there is an administrator already")
            address = row.email or email or ""
            return insert_user(connection, address, name, row.role, password_hash=password_hash)

    def pending(self) -> list[tuple[str, Role, datetime]]:
        """Return e-mail address, role and expiry of the invitations that can be accepted."""
        query = select(Invitation.email, Invitation.role, Invitation.expires).where(
            Invitation.purpose == Purpose.INVITE.value, *_usable()
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(Invitation.created)).all()
        return [(row.email or "", row.role or Role.VIEWER, row.expires) for row in rows]

    def withdraw(self, email: str) -> bool:
        """Remove the unused invitations to an e-mail address; return whether there were any."""
        condition = (Invitation.email == email, Invitation.used.is_(None))
        with self._database.writing() as connection:
            return connection.execute(delete(Invitation).where(*condition)).rowcount > 0


def _usable() -> tuple[ColumnElement[bool], ...]:
    return (Invitation.used.is_(None), Invitation.expires > datetime.now(UTC))
