"""The architecture: who may import whom, which queues are consumed, what the API's description holds."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from jobs.messages import Queue, Task
from jobs.settings import Settings
from jobs.state import LEGAL_MOVES, JobState
from model.schema import FaultCode
from web import create_app
from web.error_codes import ERROR_CODES, code_of
from web.problems import _ERRORS, _REFUSALS
from worker.celery_app import app as celery

ROOT = Path(__file__).parent.parent
PACKAGES = ("database", "jobs", "model", "ops", "web", "worker")
ALLOWED = {
    "database": set(),
    "jobs": set(),
    "model": set(),
    "ops": {"jobs"},
    "web": {"database", "jobs", "model"},
    "worker": {"database", "jobs", "model"},
}
# A room of the web may import those after it, and the modules that lie in ``web`` itself.
WEB_ROOMS = ("web.pages", "web.api", "web.uploads", "web.history", "web.outcomes", "web.jobs", "web.auth", "web.server")
# Modules of ``web`` that put the application together, and so know its rooms.
COMPOSITION = {"web.__init__", "web.wsgi", "web.services"}
# What these rooms may import of their own package, beside themselves.
INNER = {
    "jobs.blobs": {"jobs.errors", "jobs.store", "jobs.store.keys"},
    "jobs.csv": {"jobs.errors", "jobs.messages"},
    "worker.scoring": {"worker.models", "worker.sandbox"},
    "model.monitoring": {"model.card", "model.columns", "model.schema"},
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported_by(path: Path) -> set[str]:
    """The modules of ours that a file imports, by their full names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inside if is_module(name)}
            names |= modules or {node.module}
    return {name for name in names if name.partition(".")[0] in PACKAGES}


def is_module(name: str) -> bool:
    path = ROOT / Path(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def is_in(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_in_the_allowed_direction_only(package: str) -> None:
    for path in sources(package):
        others = {name.partition(".")[0] for name in imported_by(path)} - {package}
        assert others <= ALLOWED[package], f"{path} imports {others - ALLOWED[package]}"


def test_rooms_of_the_web_import_only_those_below_them() -> None:
    for path in sources("web"):
        importer = name_of(path)
        place = next((at for at, room in enumerate(WEB_ROOMS) if is_in(importer, room)), len(WEB_ROOMS) - 1)
        if importer in COMPOSITION:
            continue
        above = {name for name in imported_by(path) for room in WEB_ROOMS[:place] if is_in(name, room)}
        assert not above, f"{importer} imports {above}"


@pytest.mark.parametrize("room", INNER)
def test_rooms_that_are_pure_know_little_of_their_package(room: str) -> None:
    package = room.partition(".")[0]
    for path in sources(room.replace(".", "/")):
        known = {name for name in imported_by(path) if is_in(name, package) and not is_in(name, room)}
        assert known <= INNER[room], f"{path} imports {known - INNER[room]}"


def test_the_web_loads_neither_scikit_learn_nor_pandas_nor_celery() -> None:
    code = "import sys, web.wsgi; print({'sklearn', 'pandas', 'scipy', 'pyarrow', 'celery'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_only_the_settings_read_the_environment() -> None:
    readers = [path.name for package in PACKAGES for path in sources(package)
               if re.search(r"os\.environ\b(?!\.setdefault)|os\.getenv", path.read_text())]  # fmt: skip
    assert set(readers) <= {"settings.py", "launch.py", "directory.py", "proof.py"}


def test_every_queue_is_consumed_and_every_task_has_a_queue_and_a_body() -> None:
    procfile = (ROOT / "Procfile").read_text()
    for queue in Queue:
        assert re.search(rf"-m worker {queue.value}\b", procfile)
    celery.loader.import_default_modules()
    for task in Task:
        assert task.value in celery.tasks
        assert celery.conf.task_routes[task.value]["queue"] in set(Queue)


def test_every_route_for_programs_is_in_the_description() -> None:
    app = create_app(Settings(auth="on"))
    described = set(app.api_doc["paths"])
    routes = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}
    undescribed = {
        route for route in routes if route.startswith(("/api/", "/healthz", "/readyz", "/metrics"))
    } - described
    assert undescribed == {"/api/v1/openapi.json", "/api/v1/docs", "/api/v1/docs/assets/{name}"}


def test_every_id_in_an_address_is_checked_before_a_route_acts() -> None:
    kinds = {"job_id": "job", "prediction_id": "prediction", "token_id": "token", "user_id": "user"}
    for rule in create_app(Settings(auth="on")).url_map.iter_rules():
        for kind, name in re.findall(r"<(?:(\w+):)?(\w+)>", rule.rule):
            assert kind == kinds.get(name, "path" if name == "filename" or "assets" in rule.rule else ""), rule.rule
            assert not name.endswith("id") or name in kinds


def said_codes(path: Path) -> Iterator[str]:
    """The words that a source file uses as codes of problems and faults."""
    makers = {"Problem": 1, "UploadRefused": 0, "Detail": 0, "refuse_rows": 0}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers:
            place = makers[node.func.id]
            if len(node.args) > place and isinstance(node.args[place], ast.Constant):
                yield str(node.args[place].value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "code" and isinstance(value, ast.Constant):
                    yield str(value.value)


def test_every_code_is_explained_at_its_address() -> None:
    said = {code for package in PACKAGES for path in sources(package) for code in said_codes(path)}
    said |= {code for code, *_ in _ERRORS.values()} | {code.value for code in FaultCode}
    said |= {code_of(status) for status in HTTPStatus if status >= 400}
    assert {"unknown_job", "not_ready", "empty_file", "broken_model", "busy", "ragged"} < said
    assert said == set(ERROR_CODES), "web/error_codes.py says what each code means, and nothing of others"


def test_every_error_code_has_the_statuses_that_it_comes_with() -> None:
    for code, status, *_ in _ERRORS.values():
        assert status in ERROR_CODES[code].statuses
    for code, status in _REFUSALS.items():
        assert status in ERROR_CODES[code].statuses
    for error in ERROR_CODES.values():
        assert error.meaning.endswith(".")
        assert error.remedy.endswith(".")


@pytest.mark.parametrize("package", PACKAGES)
def test_files_stay_short(package: str) -> None:
    assert [path for path in sources(package) if len(path.read_text().splitlines()) >= 400] == []


def test_no_move_leads_out_of_an_ended_state() -> None:
    assert {state for state in JobState if state.ended} == {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED}
    assert all(moves <= set(JobState) for moves in LEGAL_MOVES.values())


def test_the_readme_names_every_setting_with_its_default() -> None:
    readme = (ROOT / "README.md").read_text()
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"SCORELINE_{name.upper()}"
        shown = "not set" if field.default is None else str(field.default)
        default = {"bulk_processes": "number of cores"}.get(name, shown)
        assert f"| `{variable}` | {default} | {field.description} |" in readme
