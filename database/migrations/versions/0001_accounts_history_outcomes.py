"""Accounts, history and outcomes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _create_accounts()
    _create_history()
    _create_outcomes()
    _protect_audit()


def _create_accounts() -> None:
    """Create the tables of accounts, their sessions and tokens, and the audit log."""
    op.create_table(
        "users",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("last_sign_in", TIME),
        sa.Column("external_subject", sa.String(512)),
        sa.PrimaryKeyConstraint("id", name=op.f("users_pkey")),
        sa.UniqueConstraint("email", name=op.f("users_email_key")),
        sa.UniqueConstraint("external_subject", name=op.f("users_external_subject_key")),
    )
    op.create_table(
        "sessions",
        sa.Column("id_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("last_used", TIME, nullable=False),
        sa.Column("expires", TIME, nullable=False),
        sa.Column("address", sa.String(64)),
        sa.Column("user_agent", sa.String(512)),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("sessions_user_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("sessions_pkey")),
    )
    op.create_index(op.f("sessions_expires"), "sessions", ["expires"])
    op.create_index(op.f("sessions_user_id"), "sessions", ["user_id"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("expires", TIME),
        sa.Column("last_used", TIME),
        sa.Column("revoked", TIME),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("tokens_user_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("tokens_pkey")),
        sa.UniqueConstraint("hash", name=op.f("tokens_hash_key")),
    )
    op.create_index(op.f("tokens_user_id"), "tokens", ["user_id"])
    op.create_table(
        "invitations",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("user_id", sa.String(64)),
        sa.Column("email", sa.String(320)),
        sa.Column("role", sa.String(32)),
        sa.Column("created", TIME, nullable=False),
        sa.Column("created_by", sa.String(64)),
        sa.Column("expires", TIME, nullable=False),
        sa.Column("used", TIME),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("invitations_user_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash", name=op.f("invitations_pkey")),
    )
    op.create_index(op.f("invitations_user_id"), "invitations", ["user_id"])
    op.create_table(
        "audit",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("actor", sa.String(255)),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("object", sa.Text()),
        sa.Column("address", sa.String(64)),
        sa.Column("details", sa.JSON()),
        sa.Column("source", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_pkey")),
        sa.UniqueConstraint("source", name=op.f("audit_source_key")),
    )
    op.create_index(op.f("audit_action_id"), "audit", ["action", "id"])
    op.create_index(op.f("audit_actor_id"), "audit", ["actor", "id"])
    op.create_index(op.f("audit_time"), "audit", ["time"])


def _create_history() -> None:
    """Create the tables of ended jobs, single predictions and their counts by week."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("visibility", sa.String(32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("compared_model", sa.String(255)),
        sa.Column("compared_version", sa.String(255)),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("scored", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("warned", sa.BigInteger(), nullable=False),
        sa.Column("repaired", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.Double()),
        sa.Column("created", TIME, nullable=False),
        sa.Column("started", TIME),
        sa.Column("finished", TIME, nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
    )
    op.create_index("jobs_newest", "jobs", ["finished", "id"])
    op.create_index("jobs_of_model", "jobs", ["model", "finished", "id"])
    op.create_index("jobs_of_owner", "jobs", ["owner", "finished", "id"])
    op.create_index("jobs_of_state", "jobs", ["state", "finished", "id"])
    op.create_table(
        "job_summaries",
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("job_summaries_job_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("job_summaries_pkey")),
    )
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("prediction", sa.Text()),
        sa.Column("probability", sa.Float()),
        sa.Column("threshold", sa.Double()),
        sa.Column("record_hash", sa.String(64)),
        sa.Column("time", TIME, nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("predictions_pkey")),
    )
    op.create_index("predictions_newest", "predictions", ["time", "id"])
    op.create_index("predictions_of_model", "predictions", ["model", "time", "id"])
    op.create_index("predictions_of_owner", "predictions", ["owner", "time", "id"])
    op.create_index("predictions_of_record", "predictions", ["record_hash", "time", "id"])
    op.create_table(
        "prediction_documents",
        sa.Column("prediction_id", sa.String(64), nullable=False),
        sa.Column("record", sa.JSON()),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.id"],
            name=op.f("prediction_documents_prediction_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("prediction_documents_pkey")),
    )
    op.create_table(
        "weekly_counts",
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "week", "version", "name", name=op.f("weekly_counts_pkey")),
    )


def _create_outcomes() -> None:
    """Create the tables of what really happened, and the figures made of it."""
    op.create_table(
        "outcomes",
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("source_id", sa.String(64), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("predicted", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float()),
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("recorded", TIME, nullable=False),
        sa.Column("recorded_by", sa.String(64)),
        sa.PrimaryKeyConstraint("source", "source_id", "row", name=op.f("outcomes_pkey")),
    )
    op.create_index("outcomes_of_week", "outcomes", ["model", "version", "week"])
    op.create_table(
        "outcome_weeks",
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("stale", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("figures", sa.JSON()),
        sa.Column("computed", TIME),
        sa.PrimaryKeyConstraint("model", "version", "week", name=op.f("outcome_weeks_pkey")),
    )
    op.create_index("outcome_weeks_stale", "outcome_weeks", ["stale"])


def _protect_audit() -> None:
    """Let nobody change or delete what the audit log says."""
    if op.get_bind().dialect.name == "sqlite":
        for action in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER audit_no_{action} BEFORE {action.upper()} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        # INSERT OR REPLACE deletes without the trigger above. What was copied before is left out.
        for column, refusal in (("id", "ABORT, 'the audit log is append-only'"), ("source", "IGNORE")):
            found = f"SELECT 1 FROM audit WHERE {column} = NEW.{column}"  # noqa: S608 - fixed words
            op.execute(
                f"CREATE TRIGGER audit_no_other_{column} BEFORE INSERT ON audit WHEN EXISTS ({found}) "
                f"BEGIN SELECT RAISE({refusal}); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'the audit log is append-only'; END$$"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
    )
