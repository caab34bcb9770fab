"""A copy of the data folder, made while it is used, is a folder to start from."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.messages import InputChunk, decompress
from jobs.settings import Settings
from jobs.state import JobState
from jobs.store.chunks import NewJob, ScoredChunk
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.prediction_store import new_id
from ops.backup import CannotBackUp, back_up
from tests.ops.conftest import ROOT, wait_for

NEW = NewJob("income", "1", "a.csv", "utf-8", ",", "\n", 0.5, b"a,b,prediction", b"a,b", {"a": 0}, 2)


@contextmanager
def running(folder: Path) -> Iterator[JobStore]:
    settings = Settings(data_dir=folder)
    environment = {**os.environ, "SCORELINE_DATA_DIR": str(folder)}
    process = subprocess.Popen([sys.executable, "-m", "ops.embedded"], cwd=ROOT, env=environment)
    try:
        wait_for(settings.embedded_socket.exists)
        yield JobStore(connect(settings), settings)
    finally:
        process.terminate()
        process.wait(30)


def finished_job(store: JobStore, result: bytes) -> str:
    new = replace(NEW, id=new_id())
    store.begin(new)
    store.append(new.id, 0, InputChunk(1, 1, b"1,2\n"))
    store.seal(new.id, total=1)
    store.record(new.id, 0, ScoredChunk(result, b"", 1, 0))
    return new.id


def test_what_was_acknowledged_before_is_in_the_copy_though_the_server_writes_on(tmp_path: Path) -> None:
    original, copy, over = tmp_path / "original", tmp_path / "copy", threading.Event()
    with running(original) as store:
        known = [finished_job(store, f"{number}\n".encode()) for number in range(50)]

        def write_on() -> None:
            while not over.is_set():
                for _ in range(5):
                    finished_job(store, os.urandom(50_000))
                store.redis.execute_command("BGREWRITEAOF")

        writer = threading.Thread(target=write_on)
        writer.start()
        try:
            back_up(Settings(data_dir=original), copy)
        finally:
            over.set()
            writer.join()
    with running(copy) as store:
        for number, job_id in enumerate(known):
            job = store.get(job_id)
            assert job is not None
            assert job.state is JobState.SUCCEEDED
            assert decompress(store.output(job_id, 0) or b"") == f"{number}\n".encode()


def test_a_copy_never_takes_the_place_of_another(tmp_path: Path) -> None:
    with running(tmp_path / "data") as store:
        finished_job(store, b"")
        back_up(Settings(data_dir=tmp_path / "data"), tmp_path / "copy")
        with pytest.raises(CannotBackUp, match="exists already"):
            back_up(Settings(data_dir=tmp_path / "data"), tmp_path / "copy")


def test_a_folder_without_jobs_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotBackUp, match="there are no jobs in"):
        back_up(Settings(data_dir=tmp_path / "empty"), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_the_folder_of_a_server_that_is_not_used_is_no_backup(tmp_path: Path) -> None:
    """The embedded server was used once; the jobs have been in another one since."""
    with running(tmp_path / "data") as store:
        finished_job(store, b"")
    settings = Settings(data_dir=tmp_path / "data", redis_url="redis://127.0.0.1:6379/0")
    with pytest.raises(CannotBackUp, match="SCORELINE_REDIS_URL names the server that holds the jobs"):
        back_up(settings, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_copy_without_the_objects_is_made_only_for_those_who_ask_for_it(tmp_path: Path) -> None:
    with running(tmp_path / "data") as store:
        finished_job(store, b"")
        settings = Settings(data_dir=tmp_path / "data", storage_url="s3://bucket/scoreline")
        with pytest.raises(CannotBackUp, match=r"the bytes of jobs lie in s3://bucket/scoreline .* --without-objects"):
            back_up(settings, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
        assert back_up(settings, tmp_path / "copy", without_objects=True) > 0


def test_the_history_is_in_the_copy_though_it_is_written_on(tmp_path: Path) -> None:
    original, copy, over = tmp_path / "original", tmp_path / "copy", threading.Event()
    with running(original) as store:
        finished_job(store, b"1\n")
        with closing(sqlite3.connect(original / "scoreline.db", isolation_level=None)) as history:
            history.execute("PRAGMA journal_mode = WAL")
            history.execute("CREATE TABLE jobs (number INTEGER)")
            history.executemany("INSERT INTO jobs VALUES (?)", [(number,) for number in range(100)])

        def write_on() -> None:
            with closing(sqlite3.connect(original / "scoreline.db", isolation_level=None)) as history:
                while not over.is_set():
                    history.execute("INSERT INTO jobs VALUES (0)")

        writer = threading.Thread(target=write_on)
        writer.start()
        try:
            back_up(Settings(data_dir=original), copy)
        finally:
            over.set()
            writer.join()
    with closing(sqlite3.connect(copy / "scoreline.db")) as history:
        assert history.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert history.execute("SELECT count(DISTINCT number) FROM jobs").fetchone() == (100,)


@pytest.mark.parametrize("url", ["postgresql://scoreline@db.example/scoreline", "sqlite:////srv/history/scoreline.db"])
def test_a_database_elsewhere_is_not_left_out_without_a_word(tmp_path: Path, url: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=url)
    with running(settings.data_dir) as store:
        finished_job(store, b"1\n")
        with pytest.raises(CannotBackUp, match="SCORELINE_DATABASE_URL names a database outside the data folder"):
            back_up(settings, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
        assert back_up(settings, tmp_path / "copy", without_database=True) > 0
    assert not (tmp_path / "copy" / "scoreline.db").exists()
