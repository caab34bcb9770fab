"""A service that asks who you are, within the test's process, and a team that uses it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from sqlalchemy import insert
from werkzeug.test import TestResponse

from database.column_types import week_of
from database.tables import JobEntry, JobSummary, PredictionDocument, PredictionEntry, Role
from jobs.messages import InputChunk
from jobs.settings import Settings
from jobs.state import Owner, Visibility
from jobs.store.chunks import NewJob, ScoredChunk
from jobs.store.prediction_store import new_id
from tests.jobs.store.conftest import NEW
from web import create_app
from web.auth.passwords import Passwords
from web.services import Services

PASSWORD = "correct horse battery"
HEADER = "X-CSRF-Token"


@cache
def hash_of_password() -> str:
    """The hash of everybody's password; it takes longer than most tests."""
    return Passwords().hash(PASSWORD)


@dataclass
class Team:
    """The service and its users by name, each of whom can sign in."""

    app: OpenAPI
    users: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> Services:
        found: Services = self.app.extensions["scoreline"]
        return found

    def add(self, name: str, role: Role) -> str:
        address, users = f"{name}@example.org", self.services.auth.users
        self.users[name] = users.add(address, name, role, password_hash=hash_of_password())
        return self.users[name]

    def owner(self, name: str) -> Owner:
        return Owner(self.users[name], f"{name}@example.org")

    def client(self, address: str = "127.0.0.1") -> "Browser":
        self.app.test_client_class = Browser
        client: Browser = self.app.test_client()  # type: ignore[assignment]
        client.environ_base["REMOTE_ADDR"] = address
        return client

    def signed_in(self, name: str) -> "Browser":
        client = self.client()
        assert client.sign_in(f"{name}@example.org").status_code == 303
        return client

    def token(self, name: str, *scopes: str) -> dict[str, str]:
        """The header of a token that a user has made."""
        made = self.signed_in(name).json("POST", "/api/v1/tokens", {"name": "test", "scopes": list(scopes)})
        return {"Authorization": f"Bearer {made['token']}"}

    def job(self, owner: str, visibility: Visibility = Visibility.PRIVATE, ended: bool = True) -> str:
        """A job, which has succeeded unless it is to wait for a worker."""
        store, new = self.services.store, self._new_job(owner, visibility)
        store.begin(new)
        store.append(new.id, 0, InputChunk(1, 1, b"1,2\n"))
        store.seal(new.id, total=1)
        if ended:
            store.record(new.id, 0, ScoredChunk(b"1,2,x\n", b"", 1, 0, summary={"prediction:x": 1}))
        return new.id

    def history_job(self, owner: str, visibility: Visibility = Visibility.PRIVATE) -> str:
        """A job that only the history knows any more."""
        now, entry = datetime.now(UTC), {"id": new_id(), "owner": self.users[owner], "visibility": visibility.value}
        entry |= {"name": "people.csv", "model": "income", "version": "1", "state": "succeeded", "bytes": 1}
        times = {"created": now, "started": now, "finished": now, "week": week_of(now)}
        with self.services.database.writing() as connection:
            connection.execute(insert(JobEntry).values(entry | times))
            connection.execute(insert(JobSummary).values(job_id=entry["id"], counts={}))
        return entry["id"]

    def history_prediction(self, owner: str) -> str:
        """A prediction that only the history knows any more."""
        now, prediction_id = datetime.now(UTC), new_id()
        entry = {"id": prediction_id, "owner": self.users[owner], "model": "income", "version": "1"}
        entry |= {"state": "succeeded", "prediction": ">50K", "time": now, "week": week_of(now)}
        with self.services.database.writing() as connection:
            connection.execute(insert(PredictionEntry).values(entry))
            document = {"prediction_id": prediction_id, "record": {"age": 39}, "answer": {"prediction": ">50K"}}
            connection.execute(insert(PredictionDocument).values(document))
        return prediction_id

    def _new_job(self, owner: str, visibility: Visibility) -> NewJob:
        version = self.services.catalog.card("income").version
        return replace(NEW, id=new_id(), version=version, owner=self.owner(owner), visibility=visibility)

    def prediction(self, owner: str) -> str:
        """A prediction that no worker has answered."""
        prediction_id = new_id()
        self.services.stored_predictions.submit({prediction_id: {"owner": self.users[owner]}})
        return prediction_id


class Browser(FlaskClient):
    """A client that keeps cookies and sends the secret of the forms, as the pages do."""

    def form_secret(self, path: str = "/signin") -> str:
        page = self.get(path, follow_redirects=True).get_data(as_text=True)
        return page.partition('name="csrf-token" content="')[2].partition('"')[0]

    def sign_in(self, email: str, password: str = PASSWORD, **fields: str) -> TestResponse:
        form = {"email": email, "password": password, "_csrf_token": self.form_secret(), **fields}
        return self.post("/signin", data=form)

    def json(self, method: str, path: str, document: Any) -> Any:
        response = self.open(path, method=method, json=document, headers={HEADER: self.form_secret()})
        assert response.status_code < 300, response.get_data()
        return response.json


@pytest.fixture(scope="session")
def auth_settings(server: Settings, models: Path) -> Settings:
    link = server.data_dir / "models"
    if not link.exists():
        link.symlink_to(models)
    return server.model_copy(update={"auth": "on"})


@pytest.fixture
def new_team(auth_settings: Settings, tmp_path: Path) -> Team:
    """A service without users."""
    settings = auth_settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/scoreline.db"})
    team = Team(create_app(settings))
    team.services.store.redis.flushall()
    database = team.services.auth.database
    database.upgrade()
    return team


@pytest.fixture
def team(new_team: Team) -> Iterator[Team]:
    """The service with a user of each role, and another member."""
    for name, role in (
        ("viewer", Role.VIEWER),
        ("member", Role.MEMBER),
        ("other", Role.MEMBER),
        ("modeller", Role.MODELLER),
        ("admin", Role.ADMINISTRATOR),
    ):
        new_team.add(name, role)
    yield new_team
    new_team.services.auth.database.dispose()
