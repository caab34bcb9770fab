"""What cannot become a model is refused in one line, with nothing half added."""

import json
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from tests.model import odd_models
from tests.model.onboarding.churn import ADD, Run, catalog_of

pytestmark = pytest.mark.usefixtures("quick_checks")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("[[features]]", "[[feature]]", "features: Field required"),
        ('kind = "boolean"', 'kind = "maybe"', "feature 'paperless': kind"),
        ('name = "plan"', 'name = "plans"', "lacks features that the pipeline takes: plan"),
        ("minimum = 1\n", "minimum = 1000\n", "is larger than maximum"),
        ('categories = ["basic", "family", "gold"]', "categories = []", "needs categories"),
        ('categories = ["basic", "family", "gold"]', 'categories = ["basic", "basic"]', "twice"),
        ("threshold = 0.5", "threshold = 5", "threshold"),
        ('positive_class = "yes"', 'positive_class = "perhaps"', "'no', 'yes'"),
        ("title =", "title", "is not TOML"),
    ],
)
def test_a_schema_edited_into_nonsense_is_refused(
    run: Run, folder: Path, models_with_churn: Path, before: str, after: str, words: str
) -> None:
    shutil.copytree(models_with_churn, folder / "models")
    catalog = catalog_of(folder)
    card = catalog.card("churn")
    text = catalog.schema_path(card).read_text()
    (folder / "edited.toml").write_text(text.replace(before, after))
    status, _, error = run(*ADD, "--schema", "edited.toml")
    assert (status, error.count("\n")) == (1, 1)
    assert words in error
    assert catalog_of(folder).card("churn") == card


def broken_archive(folder: Path, _customers: pd.DataFrame) -> None:
    (folder / "churn.skops").write_bytes(b"PK\x03\x04 no archive")


def no_model(folder: Path, _customers: pd.DataFrame) -> None:
    skops.io.dump({"a": 1}, folder / "churn.skops")


def not_fitted(folder: Path, _customers: pd.DataFrame) -> None:
    skops.io.dump(make_pipeline(StandardScaler(), LogisticRegression()), folder / "churn.skops")


def other_columns(folder: Path, customers: pd.DataFrame) -> None:
    inputs = customers[["months"]].rename(columns={"months": "Month_s"})
    skops.io.dump(LogisticRegression().fit(inputs, customers["churned"]), folder / "churn.skops")


def other_classes(folder: Path, customers: pd.DataFrame) -> None:
    skops.io.dump(LogisticRegression().fit(customers[["months"]], customers["months"] > 20), folder / "churn.skops")


def no_rows(folder: Path, customers: pd.DataFrame) -> None:
    customers.head(0).to_csv(folder / "train.csv", index=False)


def no_table(folder: Path, _customers: pd.DataFrame) -> None:
    (folder / "train.csv").write_bytes(b'a,b\n"1,2\n')


def too_many_columns(folder: Path, customers: pd.DataFrame) -> None:
    numbers = customers[["months", "Monthly Fee"]].to_numpy()
    skops.io.dump(LinearSVC().fit(numbers, customers["churned"]), folder / "churn.skops")


def words_for_numbers(folder: Path, customers: pd.DataFrame) -> None:
    skops.io.dump(LinearRegression().fit(customers[["months"]], customers["Monthly Fee"]), folder / "churn.skops")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (broken_archive, "is a zip archive, but broken"),
        (no_model, "holds no model"),
        (not_fitted, "is not fitted"),
        (other_columns, "did you mean 'months'?"),
        (other_classes, "no value of the target is one of the classes"),
        (no_rows, "has no rows"),
        (no_table, "cannot be read as a table"),
        (too_many_columns, "takes 2 columns, whose names it does not know"),
        (words_for_numbers, "has a target (churned) that is a number"),
    ],
)
def test_what_cannot_become_a_model_is_refused_in_one_line(
    run: Run, folder: Path, customers: pd.DataFrame, spoil: Callable[[Path, pd.DataFrame], None], words: str
) -> None:
    spoil(folder, customers)
    status, said, error = run(*ADD)
    assert (status, said, error.count("\n")) == (1, "", 1)
    assert words in error
    assert not (folder / "models").exists()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (odd_models.Raises, "the moon is not full"),
        (odd_models.AnswersTooFew, "it answered 299 of 300 rows"),
    ],
)
def test_a_pipeline_that_fails_on_its_own_example_is_refused(
    run: Run, folder: Path, customers: pd.DataFrame, kind: Any, words: str
) -> None:
    skops.io.dump(kind().fit(customers[["months"]], customers["churned"]), folder / "churn.skops")
    status, _, error = run(*ADD, "--trust", f"tests.model.odd_models.{kind.__name__}")
    assert status == 1
    assert words in error
    assert not (folder / "models").exists()


def test_a_failure_that_nobody_foresaw_is_one_line_with_its_place(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise LookupError("two\nlines")

    monkeypatch.setattr("model.onboarding.add.describe", fail)
    status, said, error = run(*ADD)
    assert (status, said, error.count("\n")) == (1, "", 1)
    assert re.fullmatch(r"scoreline: an unexpected LookupError in \S+\.py, line \d+: two lines\n", error)


def test_a_module_that_is_not_there_is_named(run: Run, folder: Path) -> None:
    (folder / "churn.pkl").write_bytes(pickle.dumps(odd_models.Odd()).replace(b"odd_models", b"not_there_"))
    status, _, error = run("add", "churn.pkl", *ADD[2:], "--trust")
    assert status == 1
    assert "needs the module" in error


def test_a_pipeline_of_another_scikit_learn_is_refused(run: Run, folder: Path) -> None:
    path = folder / "churn.skops"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    text = json.dumps(schema)
    import sklearn  # noqa: PLC0415

    members["schema.json"] = text.replace(sklearn.__version__, "1.2.0").encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    status, _, error = run(*ADD)
    assert status == 1
    assert "scikit-learn 1.2.0" in error


@pytest.mark.parametrize("name", ["../up", "", "a b", "a,b", "a@b"])
def test_a_name_that_no_address_could_hold_is_refused(run: Run, name: str) -> None:
    status, _, error = run("add", "churn.skops", "--name", name, *ADD[4:])
    assert status == 1
    assert "is no name for a model" in error
