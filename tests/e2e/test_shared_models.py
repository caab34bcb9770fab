"""Several hosts with one store: a model that one of them adds is served by all; a fresh one needs only the address."""

import getpass
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from database.audit import AuditFilter, AuditLog
from database.database import Database
from jobs.settings import Settings
from jobs.store.connection import connect
from tests.stack import ROOT, Stack, free_port, running_stack, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of its own."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("store"))
    process = subprocess.Popen([sys.executable, "-m", "ops.embedded"], cwd=ROOT, env=environment(settings.data_dir))
    try:
        wait_until(settings.embedded_socket.exists)
        yield settings.store_url
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def first(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A host with all processes, which trains the models that ship and publishes them."""
    with running_stack(tmp_path_factory.mktemp("first"), SCORELINE_REDIS_URL=store) as stack:
        yield stack


def environment(folder: Path, **settings: str) -> dict[str, str]:
    return {**os.environ, "SCORELINE_DATA_DIR": str(folder), "SCORELINE_BULK_PROCESSES": "1", **settings}


def command(folder: Path, store: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ``python -m model`` on another host."""
    whole = [sys.executable, "-m", "model", *words]
    found = environment(folder, SCORELINE_REDIS_URL=store)
    return subprocess.run(whole, cwd=ROOT, env=found, capture_output=True, text=True, timeout=300, check=False)


@contextmanager
def worker(folder: Path, store: str) -> Iterator[None]:
    """A bulk worker on another host, where the launcher starts nothing else."""
    folder.mkdir()
    (folder / "Procfile").write_text("worker: python -m worker bulk\n")
    found = environment(folder, SCORELINE_REDIS_URL=store, PORT=str(free_port()))
    words = [sys.executable, "-m", "ops.launch", "--procfile", str(folder / "Procfile")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, cwd=ROOT, env=found, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def added(first: Stack, store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a second host, on which somebody adds a model; training data and pipeline lie beside it."""
    folder = tmp_path_factory.mktemp("second")
    data = pd.DataFrame({"length": [float(n % 17) for n in range(400)], "width": [float(n % 5) for n in range(400)]})
    data["large"] = ["yes" if row.length + row.width > 9 else "no" for row in data.itertuples()]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(data[["length", "width"]], data["large"])
    data.to_csv(folder / "data.csv", index=False)
    (folder / "model.skops").write_bytes(skops.io.dumps(pipeline))
    options = ["--name", "sizes", "--data", str(folder / "data.csv"), "--target", "large"]
    done = command(folder, store, "add", str(folder / "model.skops"), *options)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_model_added_on_one_host_is_served_by_the_others(first: Stack, added: Path) -> None:
    card = wait_until(lambda: (got := first.get("/api/v1/models/sizes")).status_code == 200 and got.json())
    record = {"record": {"length": 16.0, "width": 4.0}, "model": "sizes"}
    answer = first.request("POST", "/api/v1/predictions", json=record).raise_for_status().json()
    assert (answer["prediction"], answer["model"]["version"]) == ("yes", card["version"])
    job, results = first.score((added / "data.csv").read_bytes(), model="sizes")
    assert (job["rows"]["scored"], results.count(b"\n")) == (400, 401)


def test_what_is_done_on_a_host_without_a_recorder_reaches_the_audit_log(first: Stack, added: Path) -> None:
    log = AuditLog(Database(f"sqlite:///{first.folder}/scoreline.db"))
    version = (added / "models" / "sizes" / "current").read_text().strip()
    [event] = wait_until(lambda: log.page(AuditFilter(object=f"sizes/{version}"), 10))
    assert (event.action, event.actor) == ("model_added", f"{getpass.getuser()} on {socket.gethostname()}")


def test_a_fresh_worker_host_needs_nothing_but_the_address(
    first: Stack, added: Path, store: str, tmp_path: Path
) -> None:
    own = tmp_path / "third"
    with first.frozen("-m worker bulk"), worker(own, store):
        job, _ = first.score((added / "data.csv").read_bytes(), model="sizes")
        assert job["state"] == "succeeded"
    # Fetched, not trained: another processor's last digits would make another version.
    assert "raining" not in (own / "log").read_text()
    shared, here = (folder / "models" / "income" for folder in (first.folder, own))
    assert (here / "current").read_text() == (shared / "current").read_text()
    version = (here / "current").read_text().strip()
    assert (here / version / "card.json").read_bytes() == (shared / version / "card.json").read_bytes()
    assert {path.parent.name for path in (own / "models").glob("*/current")} >= {"income", "sizes"}


def test_the_commands_see_the_models_of_all_hosts(first: Stack, added: Path, store: str, tmp_path: Path) -> None:
    listed = command(tmp_path, store, "list").stdout
    assert "income (default): " in listed
    assert "sizes: " in listed
    assert command(tmp_path, store, "default", "sizes").stdout == "sizes is the default model\n"
    wait_until(lambda: first.get("/api/v1/models/sizes").json()["default"])
    refused = command(tmp_path, store, "remove", "sizes")
    assert "is the default model; make another one the default first" in refused.stderr
    command(tmp_path, store, "default", "income")
    assert command(added, store, "remove", "sizes").stdout == "sizes is removed\n"
    wait_until(lambda: first.get("/api/v1/models/sizes").status_code == 404)
    with connect(Settings(redis_url=store)) as redis:
        assert not list(redis.scan_iter("*sizes*"))


def test_a_store_that_does_not_answer_is_noted_and_the_model_is_added_here(added: Path, tmp_path: Path) -> None:
    options = ["--name", "sizes", "--data", str(added / "data.csv"), "--target", "large"]
    done = command(tmp_path, f"unix://{tmp_path}/none", "add", str(added / "model.skops"), *options)
    assert done.returncode == 0, done.stderr
    assert "note: other hosts do not know of this: the store does not take part: " in done.stdout
    assert done.stdout.rstrip().splitlines()[0].startswith("sizes ")
