"""A model that was altered after it was added is not served: its checksum or its predictions give it away."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from model import artifact
from model.catalog import ARTIFACT_FILE, CARD_FILE, CURRENT_FILE, Catalog, version_of
from model.files import sha256_of
from tests.models import tables
from tests.models.case import TrainedModel, bring, records_of
from tests.models.pipelines import logistic, scaled
from tests.models.ways import run_model
from tests.stack import MODEL_COMMAND, Stack, problem_of

pytestmark = pytest.mark.slow

ADDED = "untampered"


@dataclass(frozen=True)
class Owned:
    """A model of the running service, its folder, and the arguments with which it was added."""

    name: str
    trained: TrainedModel
    catalog: Catalog

    @property
    def folder(self) -> Path:
        """The folder of its current version."""
        return self.catalog.artifact_path(self.name).parent

    @property
    def data(self) -> tuple[str, str]:
        return "--data", str(self.trained.table.path)


@pytest.fixture(scope="module")
def added(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """An iris classifier that was added to the service, by the command as users start it."""
    trained = bring(tmp_path_factory.mktemp(ADDED), scaled(logistic()), tables.iris(), "species")
    run = run_model(stack, "add", *trained.words, "--name", ADDED, command=MODEL_COMMAND)
    assert run.returncode == 0, run.stderr
    return trained


@pytest.fixture
def owned(request: pytest.FixtureRequest, stack: Stack, added: TrainedModel) -> Iterator[Owned]:
    """The same model under another name, which is removed after the test."""
    name, catalog = f"tampered-{abs(hash(request.node.name)) % 10**8}", Catalog(stack.folder / "models")
    catalog.publish(catalog.card(ADDED).model_copy(update={"name": name}), catalog.artifact_path(ADDED))
    yield Owned(name, added, catalog)
    shutil.rmtree(stack.folder / "models" / name)


def swap_coefficients(owned: Owned) -> None:
    """Replace the model's pipeline by one with other coefficients, with matching checksums."""
    old, name = owned.folder, owned.name
    pipeline = artifact.load(old / ARTIFACT_FILE, owned.catalog.card(name).artifact_sha256)
    pipeline[-1].coef_ = pipeline[-1].coef_[[1, 0, 2]]
    content = artifact.dumps(pipeline)
    version = version_of(sha256_of(content))
    new = old.with_name(version)
    shutil.copytree(old, new)
    (new / ARTIFACT_FILE).write_bytes(content)
    card = json.loads((old / CARD_FILE).read_text())
    card |= {"version": version, "artifact_sha256": sha256_of(content)}
    (new / CARD_FILE).write_text(json.dumps(card))
    (new.parent / CURRENT_FILE).write_text(f"{version}\n")


def ask(stack: Stack, owned: Owned) -> tuple[int, str]:
    """The response's status and code for a record."""
    record = records_of(owned.trained.table.features())[0]
    return problem_of(stack.request("POST", "/api/v1/predictions", json={"model": owned.name, "record": record}))


def test_the_check_finds_nothing_in_a_model_as_it_was_added(stack: Stack, owned: Owned) -> None:
    run = run_model(stack, "check", owned.name, *owned.data)
    assert run.returncode == 0, run.stderr
    assert "150 rows, every answer is the pipeline's own" in run.stdout


def test_an_artifact_that_was_altered_is_refused(stack: Stack, owned: Owned) -> None:
    file = owned.folder / ARTIFACT_FILE
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    assert ask(stack, owned) == (503, "broken_model")
    run = run_model(stack, "check", owned.name, *owned.data)
    assert run.returncode == 1
    assert "altered" in run.stderr


def test_other_coefficients_under_checksums_that_fit_are_found_by_their_answers(stack: Stack, owned: Owned) -> None:
    swap_coefficients(owned)
    assert owned.catalog.usable_card(owned.name), "every checksum fits"
    run = run_model(stack, "check", owned.name, *owned.data)
    assert run.returncode == 1, run.stdout
    lines = [line for line in run.stderr.splitlines() if line.startswith("scoreline: ")]
    assert len(lines) == 1, run.stderr
    assert "record 1" in lines[0], "it names the first that differs"


def test_a_worker_does_not_serve_a_model_that_answers_otherwise_than_its_card_says(stack: Stack, owned: Owned) -> None:
    swap_coefficients(owned)
    assert ask(stack, owned) == (503, "broken_model")
    job = stack.ended(stack.upload(owned.trained.upload.read_bytes(), model=owned.name).json())
    assert job["state"] == "failed"
    assert "answers otherwise" in job["error"]["detail"]


def test_the_card_keeps_that_every_answer_was_checked(stack: Stack, owned: Owned) -> None:
    run = run_model(stack, "show", owned.name)
    assert json.loads(run.stdout)["proof"]["rows"] == 150
