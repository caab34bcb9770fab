"""A database server that is there, but does not answer."""

import threading
from collections.abc import Iterator

import pytest

from database.tables import Role
from jobs.settings import Settings
from tests.postgresql import PostgreSQL
from tests.stack import wait_until
from tests.web.auth.conftest import Team
from web import create_app
from web.auth import database_watch


@pytest.fixture
def own_postgresql(postgresql_programs: None) -> Iterator[PostgreSQL]:
    server = PostgreSQL.in_new_folder()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgresql_team(auth_settings: Settings, own_postgresql: PostgreSQL) -> Iterator[Team]:
    """The service with a PostgreSQL server of its own, and a member."""
    team = Team(create_app(auth_settings.model_copy(update={"database_url": own_postgresql.new_database()})))
    team.services.store.redis.flushall()
    team.services.database.upgrade()
    team.add("member", Role.MEMBER)
    yield team
    team.services.database.dispose()


@pytest.mark.running
def test_programs_do_not_wait_for_a_database_that_hangs(
    postgresql_team: Team, own_postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, statuses = postgresql_team.token("member", "read"), []

    def ask() -> None:
        statuses.append(postgresql_team.client().get("/api/v1/jobs", headers=token).status_code)

    ask()
    watch = postgresql_team.services.auth.authenticator.watch
    monkeypatch.setattr(database_watch, "_SLOW_SECONDS", 0.0)
    with own_postgresql.frozen():
        waiting = threading.Thread(target=ask)
        waiting.start()
        wait_until(lambda: watch.seems_away)
        ask()
        assert waiting.is_alive()  # the other request was answered before
    waiting.join()
    assert statuses == [200, 200, 200]
    wait_until(lambda: not watch.seems_away)
