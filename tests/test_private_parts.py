"""Private parts of libraries: every use stands in the list in CONTRIBUTING.md, with a test that notices a change."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

ROOT = Path(__file__).parent.parent
PACKAGES = ("database", "jobs", "model", "ops", "web", "worker")
SOURCES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}
SECTION = (
    (ROOT / "CONTRIBUTING.md")
    .read_text()
    .partition("## Private parts of libraries that we use\n")[2]
    .partition("\n## ")[0]
)
# They have an underscore and stand in the documentation: of Python, of Werkzeug, and of type checkers.
DOCUMENTED = {"_exit", "_get_current_object", "_typeshed"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def own_names() -> set[str]:
    """The private names that our own classes and modules define."""
    names: set[str] = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and of_self(node):
                names.add(node.attr)
    return names


def of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def private_names(tree: ast.AST) -> Iterator[str]:
    """What a module imports, reads or sets, by itself or through ``getattr`` and ``get``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call):
            yield from (part.value for part in node.args[:2] if isinstance(part, ast.Constant) and looks_up(node.func))


def looks_up(function: ast.expr) -> bool:
    return ast.unparse(function).rpartition(".")[2] in ("getattr", "hasattr", "setattr", "get")


def uses() -> dict[str, set[str]]:
    """The private names that are not ours, by the module that uses them."""
    ours = own_names() | DOCUMENTED
    found = {
        str(path.relative_to(ROOT)): {str(name) for name in private_names(tree) if is_private(str(name))} - ours
        for path, tree in TREES.items()
    }
    return {path: names for path, names in found.items() if names}


def listed() -> dict[str, str]:
    """The rows of the list by the modules that they name; a module may stand in several."""
    rows: dict[str, str] = {}
    for row in re.findall(r"^\| (.+) \|$", SECTION, re.MULTILINE):
        for path in re.findall(r"`((?:jobs|model|ops|web|worker)/[\w/.]+\.py)`", row):
            rows[path] = rows.get(path, "") + row
    return rows


@pytest.mark.parametrize(("path", "names"), uses().items())
def test_every_private_part_stands_in_the_list(path: str, names: set[str]) -> None:
    row = listed().get(path, "")
    assert {name for name in names if not re.search(rf"(?<!\w){name}(?!\w)", row)} == set()


def test_the_list_names_modules_and_tests_that_are_there() -> None:
    paths = re.findall(r"`([\w/]+/[\w/.]+\.py)`", SECTION)
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    rows = re.findall(r"^\| (?!part \||--).+ \|$", SECTION, re.MULTILINE)
    assert rows
    assert [row for row in rows if "`tests/" not in row] == []


def test_libraries_whose_insides_we_build_on_are_pinned_by_hand() -> None:
    pinned = set(re.findall(r"^([\w-]+)(?:\[\w+\])?==", (ROOT / "requirements.in").read_text(), re.MULTILINE))
    assert {"celery", "kombu", "gunicorn", "scikit-learn"} <= pinned


CODES = np.tile([[0, 1.5], [1, 2.5]], (20, 1))


def test_histogram_boosting_has_its_trees_and_categories_where_they_were() -> None:
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(CODES, CODES[:, 0])
    names = ["_preprocessor", "_bin_mapper", "_predictors", "_baseline_prediction"]
    assert [name for name in names if not hasattr(model, name)] == []
