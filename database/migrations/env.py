"""Run migrations on the connection of ``database.upgrade``, within its transaction."""

from alembic import context

from database.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
