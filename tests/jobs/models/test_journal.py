"""What is done to the models of a host is told to the recorder of another one, once."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from jobs.errors import SharingRefused
from jobs.models import __main__ as command
from jobs.models.folder import ModelFolder
from jobs.models.journal import tell_changes
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.outbox import Outbox
from model.journal import Change, journal_path, note_change


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    folder = ModelFolder(tmp_path / "models")
    folder.path.mkdir()
    return folder


def changed(outbox: Outbox) -> list[str]:
    """What was done according to the outbox."""
    return [entry.fields["line"].partition('"change": ')[2].partition(",")[0] for entry in outbox.read(100, 10**6)]


def test_each_change_is_told_once(folder: ModelFolder, redis: Any) -> None:
    outbox = Outbox(redis, 0.8)
    assert tell_changes(folder, outbox) == 0
    note_change(folder.path, Change.ADDED, "sizes", "1")
    note_change(folder.path, Change.MADE_DEFAULT, "sizes")
    assert [tell_changes(folder, outbox), tell_changes(folder, outbox)] == [2, 0]
    note_change(folder.path, Change.REMOVED, "sizes")
    assert tell_changes(folder, outbox) == 1
    assert changed(outbox) == ['"model_added"', '"model_made_default"', '"model_removed"']
    assert redis.ttl(keys.OUTBOX) > 0


def test_a_journal_that_was_replaced_is_told_from_its_beginning(folder: ModelFolder, redis: Any) -> None:
    outbox = Outbox(redis, 0.8)
    for _ in range(2):
        note_change(folder.path, Change.ADDED, "sizes", "1")
    tell_changes(folder, outbox)
    journal_path(folder.path).unlink()
    note_change(folder.path, Change.REMOVED, "sizes")
    assert tell_changes(folder, outbox) == 1
    assert changed(outbox)[-1] == '"model_removed"'


def test_while_the_store_is_away_changes_wait_in_the_journal(
    folder: ModelFolder, redis: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_change(folder.path, Change.ADDED, "sizes", "1")
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"})
    monkeypatch.setattr(command, "get_settings", lambda: away)
    assert command.main(["--directory", str(folder.path), "sync"]) == command.UNAVAILABLE
    back = settings.model_copy(update={"redis_url": settings.store_url})
    monkeypatch.setattr(command, "get_settings", lambda: back)
    assert command.main(["--directory", str(folder.path), "sync"]) == 0
    assert changed(Outbox(redis, 0.8)) == ['"model_added"']


def test_a_line_that_is_only_half_written_is_told_once_it_is_whole(folder: ModelFolder, redis: Any) -> None:
    outbox = Outbox(redis, 0.8)
    for change in (Change.ADDED, Change.REMOVED):
        note_change(folder.path, change, "sizes", "1")
    journal = journal_path(folder.path)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-10])
    assert [tell_changes(folder, outbox), tell_changes(folder, outbox)] == [1, 0]
    journal.write_bytes(whole)
    assert tell_changes(folder, outbox) == 1
    assert changed(outbox) == ['"model_added"', '"model_removed"']


@pytest.mark.parametrize(
    ("done", "status", "text"),
    [(None, 0, ""), (SharingRefused("not trusted"), command.REFUSED, "not trusted\n")],
    ids=["done", "refused"],
)
@pytest.mark.parametrize("fault", [PermissionError("no rights"), RedisError("away")], ids=repr)
def test_what_cannot_be_told_does_not_hide_how_the_command_ended(
    folder: ModelFolder,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    done: Exception | None,
    status: int,
    text: str,
    fault: Exception,
) -> None:
    monkeypatch.setattr(command, "get_settings", lambda: settings.model_copy(update={"redis_url": settings.store_url}))
    monkeypatch.setattr(command, "configure_logging", Mock())
    monkeypatch.setattr(command, "_run", Mock(side_effect=done))
    monkeypatch.setattr(command, "tell_changes", Mock(side_effect=fault))
    with capture_logs() as logs:
        assert command.main(["--directory", str(folder.path), "sync"]) == status
    assert capsys.readouterr().err == text
    assert [line["event"] for line in logs] == ["changes of models not told"]
