"""The house keeps its order: who imports whom, what is consumed, what is described."""

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
PACKAGES = ("jobs", "model", "web", "worker")
ALLOWED = {"jobs": set(), "model": set(), "web": {"jobs", "model"}, "worker": {"jobs", "model"}}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_in_the_allowed_direction_only(package: str) -> None:
    for path in sources(package):
        others = imported_by(path) & set(PACKAGES) - {package}
        assert others <= ALLOWED[package], f"{path} imports {others - ALLOWED[package]}"


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
    app = create_app(Settings())
    described = set(app.api_doc["paths"])
    routes = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}
    undescribed = {
        route for route in routes if route.startswith(("/api/", "/healthz", "/readyz", "/metrics"))
    } - described
    assert undescribed == {"/api/v1/openapi.json", "/api/v1/docs", "/api/v1/docs/assets/{name}"}


def test_every_id_in_an_address_is_checked_before_a_route_acts() -> None:
    kinds = {"job_id": "job", "prediction_id": "prediction"}
    for rule in create_app(Settings()).url_map.iter_rules():
        for kind, name in re.findall(r"<(?:(\w+):)?(\w+)>", rule.rule):
            assert kind == kinds.get(name, "path" if name == "filename" or "assets" in rule.rule else ""), rule.rule
            assert not name.endswith("id") or name in kinds


def said_codes(path: Path) -> Iterator[str]:
    """The words that a source file uses as codes of problems and faults."""
    makers = {"Problem": 1, "UploadRefused": 0, "Detail": 0}
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
