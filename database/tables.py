"""The tables. Rows of history name their owner by id without a foreign key: they may outlive the account.

What a list shows and filters by is in ``jobs`` and ``predictions``, whose rows are small; the documents that belong to
them are in tables of their own, so that a search reads little.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Enum, Float, ForeignKey, Index, Integer, MetaData, String, Text, true
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from database.column_types import EmailAddress, UtcDateTime

ID = String(64)
NAME = String(255)
# SQLite numbers rows by itself only where the type is INTEGER.
SERIAL = BigInteger().with_variant(Integer, "sqlite")


class Role(StrEnum):
    """What a user may do; each role includes those before it."""

    VIEWER = "viewer"
    MEMBER = "member"
    MODELLER = "modeller"
    ADMINISTRATOR = "administrator"


class Visibility(StrEnum):
    """Who sees a job: its owner, or all who are signed in."""

    PRIVATE = "private"
    TEAM = "team"


class OutcomeSource(StrEnum):
    """What an outcome belongs to: a row of a job, or a single prediction."""

    JOB = "job"
    PREDICTION = "prediction"


def _words(words: type[StrEnum]) -> Enum:
    """Return a column type that stores the words of an enumeration as text."""
    return Enum(words, native_enum=False, create_constraint=False, length=32, values_callable=list)


class Base(DeclarativeBase):
    """Base class of the tables. Constraints are named, so that a migration can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
        Role: _words(Role),
        Visibility: _words(Visibility),
        OutcomeSource: _words(OutcomeSource),
    }


class User(Base):
    """An account. Without a password hash, it signs in through the provider that knows its ``external_subject``."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    email: Mapped[str] = mapped_column(EmailAddress(), unique=True)
    name: Mapped[str] = mapped_column(NAME)
    role: Mapped[Role]
    password_hash: Mapped[str | None] = mapped_column(Text)
    disabled: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime]
    last_sign_in: Mapped[datetime | None]
    external_subject: Mapped[str | None] = mapped_column(String(512), unique=True)


class UserSession(Base):
    """A browser that is signed in; the cookie holds what ``id_hash`` is the hash of."""

    __tablename__ = "sessions"

    id_hash: Mapped[str] = mapped_column(ID, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    created: Mapped[datetime]
    last_used: Mapped[datetime]
    expires: Mapped[datetime] = mapped_column(index=True)
    address: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(512))


class ApiToken(Base):
    """A program's token, of which only the hash and the first characters are kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(NAME)
    hash: Mapped[str] = mapped_column(ID, unique=True)
    prefix: Mapped[str] = mapped_column(String(16))
    scopes: Mapped[list[str]]
    created: Mapped[datetime]
    expires: Mapped[datetime | None]
    last_used: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class Invitation(Base):
    """A one-time address: it invites somebody with a role, or lets a user set a new password."""

    __tablename__ = "invitations"

    hash: Mapped[str] = mapped_column(ID, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[str | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    email: Mapped[str | None] = mapped_column(EmailAddress())
    role: Mapped[Role | None]
    created: Mapped[datetime]
    created_by: Mapped[str | None] = mapped_column(ID)
    expires: Mapped[datetime]
    used: Mapped[datetime | None]


class AuditEvent(Base):
    """Who did what to what, from where. A trigger refuses to change or delete rows.

    ``source`` is the id of what a row was copied from, so that it is copied once.
    """

    __tablename__ = "audit"
    __table_args__ = (Index(None, "actor", "id"), Index(None, "action", "id"))

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True, autoincrement=True)
    time: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str | None] = mapped_column(NAME)
    action: Mapped[str] = mapped_column(String(64))
    object: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(String(64))
    details: Mapped[dict[str, Any] | None]
    source: Mapped[str | None] = mapped_column(ID, unique=True)


class JobEntry(Base):
    """A job that has ended."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_newest", "finished", "id"),
        Index("jobs_of_model", "model", "finished", "id"),
        Index("jobs_of_owner", "owner", "finished", "id"),
        Index("jobs_of_state", "state", "finished", "id"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    owner: Mapped[str | None] = mapped_column(ID)
    visibility: Mapped[Visibility] = mapped_column(default=Visibility.PRIVATE)
    name: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(NAME)
    version: Mapped[str] = mapped_column(NAME)
    compared_model: Mapped[str | None] = mapped_column(NAME)
    compared_version: Mapped[str | None] = mapped_column(NAME)
    state: Mapped[str] = mapped_column(String(32))
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    rows: Mapped[int | None] = mapped_column(BigInteger)
    scored: Mapped[int] = mapped_column(BigInteger, default=0)
    rejected: Mapped[int] = mapped_column(BigInteger, default=0)
    warned: Mapped[int] = mapped_column(BigInteger, default=0)
    repaired: Mapped[int] = mapped_column(BigInteger, default=0)
    threshold: Mapped[float | None]
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    finished: Mapped[datetime]
    week: Mapped[date]


class JobSummary(Base):
    """A job's summary counts, as ``model.monitoring.counts`` names them, and its error if it failed."""

    __tablename__ = "job_summaries"

    job_id: Mapped[str] = mapped_column(ForeignKey(JobEntry.id, ondelete="CASCADE"), primary_key=True)
    counts: Mapped[dict[str, Any]]
    error: Mapped[str | None] = mapped_column(Text)


class PredictionEntry(Base):
    """A single prediction; one of several has the id ``<request>.<place>``."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index("predictions_newest", "time", "id"),
        Index("predictions_of_model", "model", "time", "id"),
        Index("predictions_of_owner", "owner", "time", "id"),
        Index("predictions_of_record", "record_hash", "time", "id"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    owner: Mapped[str | None] = mapped_column(ID)
    model: Mapped[str] = mapped_column(NAME)
    version: Mapped[str] = mapped_column(NAME)
    state: Mapped[str] = mapped_column(String(32))
    prediction: Mapped[str | None] = mapped_column(Text)
    probability: Mapped[float | None] = mapped_column(Float)
    threshold: Mapped[float | None]
    record_hash: Mapped[str | None] = mapped_column(ID)
    time: Mapped[datetime]
    week: Mapped[date]


class PredictionDocument(Base):
    """What was asked and answered; absent where records are not kept."""

    __tablename__ = "prediction_documents"

    prediction_id: Mapped[str] = mapped_column(ForeignKey(PredictionEntry.id, ondelete="CASCADE"), primary_key=True)
    record: Mapped[dict[str, Any] | None]
    answer: Mapped[dict[str, Any]]


class WeeklyCount(Base):
    """Counts of a model's version in a week (by its Monday), for the charts: jobs, rows, and sums of summary counts."""

    __tablename__ = "weekly_counts"

    model: Mapped[str] = mapped_column(NAME, primary_key=True)
    week: Mapped[date] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(NAME, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class Outcome(Base):
    """An actual outcome of a prediction. ``row`` is 0 for single predictions."""

    __tablename__ = "outcomes"
    __table_args__ = (Index("outcomes_of_week", "model", "version", "week"),)

    source: Mapped[OutcomeSource] = mapped_column(primary_key=True)
    source_id: Mapped[str] = mapped_column(ID, primary_key=True)
    row: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    model: Mapped[str] = mapped_column(NAME)
    version: Mapped[str] = mapped_column(NAME)
    value: Mapped[str] = mapped_column(Text)
    predicted: Mapped[str] = mapped_column(Text)
    probability: Mapped[float | None] = mapped_column(Float)
    week: Mapped[date]
    recorded: Mapped[datetime]
    recorded_by: Mapped[str | None] = mapped_column(ID)


class OutcomeWeek(Base):
    """Figures of a model's version on the outcomes of a week; ``stale`` until the recorder has computed them anew.

    ``changes`` counts how often outcomes were added, so that figures of fewer outcomes never pass for current.
    """

    __tablename__ = "outcome_weeks"
    __table_args__ = (Index("outcome_weeks_stale", "stale"),)

    model: Mapped[str] = mapped_column(NAME, primary_key=True)
    version: Mapped[str] = mapped_column(NAME, primary_key=True)
    week: Mapped[date] = mapped_column(primary_key=True)
    stale: Mapped[bool] = mapped_column(default=True, server_default=true())
    changes: Mapped[int] = mapped_column(BigInteger, default=1)
    figures: Mapped[dict[str, Any] | None]
    computed: Mapped[datetime | None]
