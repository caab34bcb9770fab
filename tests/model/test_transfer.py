"""A model moves between installations as a zip file, and nothing in such a file is trusted."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jobs.settings import Settings
from model.card import Card
from model.catalog import Catalog
from model.cli import cli
from model.directory import models_directory
from model.files import sha256_of
from model.scorer import Scorer
from model.transfer import export_version
from tests.stack import ROOT

Run = Callable[..., tuple[int, str]]
Files = dict[str, bytes]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command on another machine's folder of models; returns its status and output."""

    def run(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(cli, ["--directory", str(tmp_path / "there"), *map(str, words)])
        return result.exit_code, result.stdout + result.stderr

    return run


@pytest.fixture
def exported(models: Path, tmp_path: Path) -> Path:
    return export_version(Catalog(models), "income", None, tmp_path / "income.zip")[1]


@pytest.fixture
def card(models: Path) -> Card:
    """The card of the exported model."""
    return Catalog(models).card("income")


def there(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "there", "income")


def test_what_was_exported_is_the_same_model_elsewhere(run: Run, exported: Path, tmp_path: Path, card: Card) -> None:
    assert run("import", exported) == (0, f"income {card.version} is there, and is used from now on\n")
    assert there(tmp_path).usable_card() == card
    assert Scorer.load(there(tmp_path)).card == card
    assert run("import", exported)[0] == 0, "once more, it changes nothing"


@contextmanager
def changed(exported: Path) -> Iterator[Files]:
    """The members of an exported file, written back after they were changed."""
    with zipfile.ZipFile(exported) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    yield files
    with zipfile.ZipFile(exported, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def edit_card(files: Files, **members: Any) -> None:
    files["card.json"] = json.dumps({**json.loads(files["card.json"]), **members}).encode()


def climb(files: Files) -> None:
    files["../../climbed"] = b"out"


def hide_in_a_folder(files: Files) -> None:
    files["income/card.json"] = files["card.json"]


def lose_the_card(files: Files) -> None:
    del files["card.json"]


def alter_the_artifact(files: Files) -> None:
    files["model.skops"] += b"\0"


def explode(files: Files) -> None:
    files["schema.toml"] = b" " * (2 * 1024 * 1024)


def bring_a_bomb_as_artifact(files: Files) -> None:
    files["model.skops"] = _zip_of({"schema.json": b" " * (64 * 1024 * 1024)})
    edit_card(files, artifact_sha256=sha256_of(files["model.skops"]))


def bring_no_skops(files: Files) -> None:
    files["model.skops"] = b"PK"
    edit_card(files, artifact_sha256=sha256_of(b"PK"))


def trust_itself(files: Files) -> None:
    edit_card(files, trusted=["os.system"])


def take_a_name_that_climbs(files: Files) -> None:
    edit_card(files, name="../income")


def take_a_version_that_climbs(files: Files) -> None:
    edit_card(files, version="../../0000")


def be_no_card(files: Files) -> None:
    files["card.json"] = b"{}"


def bring_an_unknown_module(files: Files) -> None:
    files["module.py"] = b"print('hello')"


def bring_a_module(files: Files) -> None:
    files["module.py"] = b"print('hello')"
    edit_card(files, module_sha256=sha256_of(files["module.py"]))


def be_of_another_library(files: Files) -> None:
    edit_card(files, libraries={"scikit-learn": "0.1"})


def predict_other_classes(files: Files) -> None:
    edit_card(files, classes=["a", "b"], positive_class="b")


def _zip_of(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


TRICKS: dict[Callable[[Files], None], str] = {
    climb: "holds '../../climbed', which no exported model does",
    hide_in_a_folder: "holds 'income/card.json', which no exported model does",
    lose_the_card: "it holds no card.json",
    alter_the_artifact: "model.skops was altered",
    explode: "which is not plausible",
    bring_a_bomb_as_artifact: "which is not plausible",
    bring_no_skops: "is not a skops file",
    trust_itself: "add: --trust os.system",
    take_a_name_that_climbs: "is no name for a model",
    take_a_version_that_climbs: "is no version of a model",
    be_no_card: "is not a model card",
    bring_an_unknown_module: "module.py was altered",
    bring_a_module: "holds a module, which is a program",
    be_of_another_library: "was made by scikit-learn 0.1",
    predict_other_classes: "predicts",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_file_that_is_not_what_export_wrote_is_refused_in_one_line(
    run: Run, exported: Path, tmp_path: Path, trick: Callable[[Files], None]
) -> None:
    with changed(exported) as files:
        trick(files)
    status, said = run("import", exported)
    assert (status, said.count("\n")) == (1, 1)
    assert TRICKS[trick] in said
    assert there(tmp_path).names() == []
    assert not (tmp_path / "climbed").exists()


def test_a_file_that_is_not_a_zip_archive_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"no")
    assert "is not an exported model" in run("import", tmp_path / "no.zip")[1]
    assert "there is no file" in run("import", tmp_path / "nowhere.zip")[1]


def test_a_duplicate_member_is_refused(run: Run, exported: Path) -> None:
    with zipfile.ZipFile(exported, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("card.json", b"{}")
    assert "holds card.json more than once" in run("import", exported)[1]


def test_a_link_is_refused(run: Run, exported: Path) -> None:
    link = zipfile.ZipInfo("schema.toml")
    link.external_attr = 0o120777 << 16
    with changed(exported) as files:
        files.pop("schema.toml", None)
    with zipfile.ZipFile(exported, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "holds schema.toml as something else than a file" in run("import", exported)[1]


def test_a_file_cut_off_is_refused(run: Run, exported: Path) -> None:
    exported.write_bytes(exported.read_bytes()[:-100])
    assert run("import", exported)[0] == 1


def test_a_version_is_never_replaced_by_another_of_its_name(run: Run, exported: Path, card: Card) -> None:
    run("import", exported)
    with changed(exported) as files:
        edit_card(files, threshold=0.1)
    assert f"income {card.version} is here already, and is another one" in run("import", exported)[1]


def test_a_module_travels_with_trust(run: Run, exported: Path, tmp_path: Path) -> None:
    with changed(exported) as files:
        bring_a_module(files)
    assert run("import", exported, "--trust")[0] == 0
    again = tmp_path / "again.zip"
    assert run("export", "income", "--output", again)[0] == 0
    with zipfile.ZipFile(again) as archive:
        assert archive.read("module.py") == b"print('hello')"


@pytest.mark.parametrize("data", [None, "elsewhere", "/nowhere/data", ""])
def test_models_are_kept_where_the_service_looks_for_them(monkeypatch: pytest.MonkeyPatch, data: str | None) -> None:
    monkeypatch.delenv("SCORELINE_DATA_DIR", raising=False)
    if data is not None:
        monkeypatch.setenv("SCORELINE_DATA_DIR", data)
    assert models_directory() == Settings().models_dir


@pytest.mark.parametrize("module", ["model", "model.census.train"])
def test_the_commands_use_the_data_folder_of_the_service(tmp_path: Path, models: Path, module: str) -> None:
    (tmp_path / "models").symlink_to(models)
    words = ["list"] if module == "model" else ["income"]
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT, env={"SCORELINE_DATA_DIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("income")
    assert "trained" in done.stdout


TRAINING = """
import sys
from threadpoolctl import threadpool_info, threadpool_limits
from model import artifact
from model.census import income
with threadpool_limits(int(sys.argv[1]), user_api="blas"):
    print({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
    print(hash(artifact.dumps(income.train())))
"""


def test_training_gives_the_same_version_on_any_number_of_threads() -> None:
    made = set()
    # Set from within: the library's own variable starts no more threads than the machine has cores.
    for threads in (1, 4):
        command = [sys.executable, "-c", TRAINING, str(threads)]
        environment = {"PYTHONHASHSEED": "0"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        used, version = done.stdout.splitlines()
        assert used == f"{{{threads}}}"
        made.add(version)
    assert len(made) == 1
