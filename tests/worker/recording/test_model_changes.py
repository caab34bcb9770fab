"""What is done to models at the command line is in the audit log, once, with who did it."""

import getpass
import shutil
import socket
from pathlib import Path

import pytest

from database.audit import AuditFilter, AuditLog
from database.database import Database
from model.catalog import Catalog
from model.journal import Change, journal_path, note_change
from worker.recording.model_changes import ModelChanges


@pytest.fixture
def catalog(models: Path, tmp_path: Path) -> Catalog:
    catalog = Catalog(Path(shutil.copytree(models, tmp_path / "models")))
    journal_path(catalog.directory).unlink(missing_ok=True)
    return catalog


def test_changes_of_models_are_noted_with_who_made_them(catalog: Catalog, database: Database) -> None:
    card = catalog.card("income")
    catalog.publish(card.model_copy(update={"name": "loans"}), catalog.artifact_path("income"))
    catalog.set_default("loans")
    changes = ModelChanges(catalog, database)
    changes.copy()
    catalog.remove("income")
    changes.copy()
    changes.copy()
    # As after a restart, which does not know what has been copied.
    ModelChanges(catalog, database).copy()
    noted = AuditLog(database).page(AuditFilter(), 10)[::-1]
    assert [(event.action, event.object) for event in noted] == [
        ("model_added", f"loans/{card.version}"),
        ("model_made_default", "loans"),
        ("model_removed", "income"),
    ]
    assert {event.actor for event in noted} == {f"{getpass.getuser()} on {socket.gethostname()}"}
    assert noted[0].time <= noted[1].time <= noted[2].time


def test_a_journal_with_broken_lines_is_read_as_far_as_it_can_be(catalog: Catalog, database: Database) -> None:
    ModelChanges(catalog, database).copy()  # there is no journal yet
    with journal_path(catalog.directory).open("ab") as file:
        file.write(b'{"half a line\n\xff\xfe\n{"change": "model_painted", "time": "2026-11-26T12:00:00"}\n[]\n{}\n\n')
    note_change(catalog.directory, Change.ADDED, "loans", "1\x00")
    ModelChanges(catalog, database).copy()
    [event] = AuditLog(database).page(AuditFilter(), 10)
    assert event.object == "loans/1\ufffd"
