"""A user's pipeline becomes a model, or is refused in one line with nothing half added."""

import json
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from click.testing import CliRunner
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from model.card import ModelKind, Scores
from model.catalog import Catalog
from model.cli import cli
from model.schema import FeatureKind, UnseenPolicy
from model.scorer import Scorer
from tests.model import odd_models

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """Customers, some of whom have left: a float, an integer, a category, a boolean and a date."""
    rng = np.random.default_rng(0)
    rows = 300
    months = rng.integers(1, 60, rows)
    return pd.DataFrame(
        {
            "customer": [f"C{n:05}" for n in range(rows)],
            "Monthly Fee": rng.normal(40, 10, rows).round(2),
            "months": months,
            "plan": rng.choice(["basic", "family", "gold"], rows),
            "paperless": rng.random(rows) > 0.5,
            "since": pd.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d"),
            "churned": np.where(months + rng.normal(0, 10, rows) < 20, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def fitted(customers: pd.DataFrame) -> Any:
    columns = make_column_transformer(
        (OneHotEncoder(), ["plan"]), (StandardScaler(), ["Monthly Fee", "months"]), ("passthrough", ["paperless"])
    )
    return make_pipeline(columns, LogisticRegression()).fit(customers.drop(columns="churned"), customers["churned"])


@pytest.fixture
def folder(tmp_path: Path, customers: pd.DataFrame, fitted: Any) -> Path:
    customers.to_csv(tmp_path / "train.csv", index=False)
    skops.io.dump(fitted, tmp_path / "churn.skops")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs a command on a folder of models; arguments that name a file there become its path."""

    def run(*words: str) -> tuple[int, str, str]:
        found = [str(folder / word) if "." in word and (folder / word).exists() else word for word in words]
        result = CliRunner().invoke(cli, ["--directory", str(folder / "models"), *found])
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture(scope="module")
def models_with_churn(tmp_path_factory: pytest.TempPathFactory, customers: pd.DataFrame, fitted: Any) -> Path:
    """A folder of models with the pipeline added, which tests copy."""
    folder = tmp_path_factory.mktemp("added")
    customers.to_csv(folder / "train.csv", index=False)
    skops.io.dump(fitted, folder / "churn.skops")
    words = [str(folder / word) if "." in word else word for word in ADD]
    assert CliRunner().invoke(cli, ["--directory", str(folder / "models"), *words]).exit_code == 0
    return folder / "models"


ADD = ("add", "churn.skops", "--name", "churn", "--data", "train.csv", "--target", "churned")


def catalog_of(folder: Path) -> Catalog:
    return Catalog(folder / "models")


def test_a_pipeline_becomes_a_model_with_a_schema_from_its_data(run: Run, folder: Path, fitted: Any) -> None:
    status, said, _ = run(*ADD)
    card = catalog_of(folder).card("churn")
    assert status == 0
    assert said.startswith(f"churn {card.version} is added: a binary classifier of 4 features, 300 rows\n")
    assert "accuracy" in said
    assert (card.kind, card.scores, card.classes) == (ModelKind.BINARY_CLASSIFIER, Scores.PROBABILITY, ("no", "yes"))
    kinds = {feature.name: feature.kind for feature in card.features}
    # The customer's number and the date, which the pipeline drops, are not features.
    assert kinds == {
        "Monthly Fee": FeatureKind.NUMBER,
        "months": FeatureKind.NUMBER,
        "plan": FeatureKind.CATEGORY,
        "paperless": FeatureKind.BOOLEAN,
    }
    months = next(feature for feature in card.features if feature.name == "months")
    assert months.integer
    assert (months.minimum, months.maximum) == (1, 59)
    assert (months.unseen, months.pandas_dtype) == (UnseenPolicy.WARN, "int64")
    assert card.metrics is not None
    assert card.metrics.rows == 60
    assert (card.artifact_sha256, card.training_rows) != ("", 0)


def test_its_answers_are_the_pipelines_own(run: Run, folder: Path, fitted: Any, customers: pd.DataFrame) -> None:
    run(*ADD)
    scorer = Scorer.load(catalog_of(folder), "churn")
    frame = customers[[feature.name for feature in scorer.card.features]]
    assert np.array_equal(scorer.predict(frame).positive, fitted.predict_proba(customers)[:, 1])


def test_an_edited_schema_makes_another_version(run: Run, folder: Path, models_with_churn: Path) -> None:
    shutil.copytree(models_with_churn, folder / "models")
    catalog = catalog_of(folder)
    first = catalog.card("churn")
    text = catalog.schema_path(first).read_text()
    (folder / "edited.toml").write_text(text.replace('title = "Months"', 'title = "Months with us"'))
    status, said, _ = run(*ADD, "--schema", "edited.toml")
    second = catalog.card("churn")
    assert status == 0
    assert second.version != first.version
    assert said.startswith(f"churn {second.version} is now the current version: ")
    assert f"the former version, {first.version}, is kept\n" in said
    assert "Months with us" in [feature.title for feature in second.features]
    assert catalog.card("churn", first.version) == first
    # The same schema is the same version, however often it is added.
    _, said, _ = run(*ADD, "--schema", str(catalog.schema_path(second)))
    assert catalog.card("churn").version == second.version
    assert said.startswith(f"churn {second.version} is the current version already, and its predictions are unchanged")
    assert "former" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Usage: "),
        (("add", "--help"), "--trust [TYPE]"),
        (("add", "churn.skops"), "Missing option '--name'"),
        (("remove",), "Missing argument 'NAME'"),
        (("ad",), "No such command 'ad'"),
    ],
)
def test_the_command_line_says_how_it_is_used(run: Run, folder: Path, words: tuple[str, ...], said: str) -> None:
    status, out, error = run(*words)
    assert status == (0 if "--help" in words else 2)
    assert said in out + error


def test_rows_that_a_written_schema_rejects_are_said_to_be_left_out_of_the_proof(
    run: Run, folder: Path, models_with_churn: Path, customers: pd.DataFrame
) -> None:
    shutil.copytree(models_with_churn, folder / "models")
    inferred = catalog_of(folder).card("churn")
    text = catalog_of(folder).schema_path(inferred).read_text()
    limited = text.replace("maximum = 59\n", "maximum = 40\n").replace('unseen = "warn"', 'unseen = "reject"')
    (folder / "edited.toml").write_text(limited)
    beyond = int((customers["months"] > 40).sum())
    status, said, error = run(*ADD, "--schema", "edited.toml")
    assert status == 0, error
    assert f"checked: {300 - beyond} rows, every answer is the pipeline's own" in said
    assert f"not compared: {beyond} rows that its written schema rejects" in said
    proof = catalog_of(folder).card("churn").proof
    assert proof
    assert (proof.rows, proof.rejected) == (300 - beyond, beyond)
    status, said, error = run("check", "churn", "--data", "train.csv")
    assert status == 0, error
    assert f"not compared: {beyond} rows" in said
    # An inferred schema may reject none of the rows: such limits would be our own fault.
    assert not inferred.written_schema


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


def test_what_a_model_is_measured_on_can_be_given(run: Run, folder: Path, customers: pd.DataFrame) -> None:
    customers.head(50).to_csv(folder / "test.csv", index=False)
    run(*ADD, "--test", "test.csv")
    metrics = catalog_of(folder).card("churn").metrics
    assert metrics is not None
    assert (metrics.rows, metrics.measured_on) == (50, "records of test.csv")


def test_dates_are_given_as_the_pipeline_was_fitted_on_them(run: Run, folder: Path) -> None:
    days = pd.Series(pd.date_range("2024-01-01", periods=4).strftime("%Y-%m-%d").tolist() * 50)
    inputs = pd.DataFrame({"day": days, "hour": np.arange(200) % 24})
    busy = np.where(days.isin(["2024-01-02", "2024-01-03"]), "busy", "calm")
    # The encoder accepts dates in any form, but knows only the texts: in another form all would be unknown.
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["day"]), ("passthrough", ["hour"]))
    skops.io.dump(make_pipeline(columns, LogisticRegression()).fit(inputs, busy), folder / "churn.skops")
    inputs.assign(churned=busy).to_csv(folder / "train.csv", index=False)
    assert run(*ADD)[0] == 0
    scorer = Scorer.load(catalog_of(folder), "churn")
    assert [feature.kind for feature in scorer.card.features] == [FeatureKind.DATE, FeatureKind.NUMBER]
    predicted = [scorer.card.classes[place] for place in scorer.predict(inputs).values]
    assert predicted == busy.tolist()


def test_a_pickle_needs_trust_and_becomes_an_archive_without_pickle(run: Run, folder: Path, fitted: Any) -> None:
    joblib.dump(fitted, folder / "churn.joblib")
    status, _, error = run("add", "churn.joblib", *ADD[2:])
    assert status == 1
    assert "can run any program" in error
    assert catalog_of(folder).names() == []
    assert run("add", "churn.joblib", *ADD[2:], "--trust")[0] == 0
    path = catalog_of(folder).artifact_path("churn")
    assert zipfile.is_zipfile(path)
    assert not skops.io.get_untrusted_types(file=path)


def test_types_of_scikit_learn_need_no_trust_and_others_are_named(
    run: Run, folder: Path, customers: pd.DataFrame
) -> None:
    inputs = customers[["months", "Monthly Fee"]]
    skops.io.dump(HistGradientBoostingClassifier(max_iter=2).fit(inputs, customers["churned"]), folder / "churn.skops")
    assert run(*ADD)[0] == 0
    skops.io.dump(odd_models.Odd().fit(inputs, customers["churned"]), folder / "churn.skops")
    status, _, error = run(*ADD)
    assert status == 1
    assert "tests.model.odd_models.Odd" in error
    assert run(*ADD, "--trust", "tests.model.odd_models.Odd")[0] == 0
    Scorer.load(catalog_of(folder), "churn")


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


def test_probabilities_that_are_no_numbers_are_left_out(run: Run, folder: Path, customers: pd.DataFrame) -> None:
    fitted = odd_models.AnswersNaN().fit(customers[["months"]], customers["churned"])
    skops.io.dump(fitted, folder / "churn.skops")
    assert run(*ADD, "--trust", "tests.model.odd_models.AnswersNaN")[0] == 0
    assert catalog_of(folder).card("churn").scores is Scores.NONE


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


def test_models_are_listed_shown_chosen_exported_and_removed(run: Run, folder: Path) -> None:
    assert run("list")[1].startswith("no models in")
    run(*ADD)
    run("add", "churn.skops", "--name", "other", *ADD[4:])
    assert run("default", "churn")[0] == 0
    assert catalog_of(folder).card().name == "churn"
    assert "churn (default): " in run("list")[1]
    assert json.loads(run("show", "churn")[1])["name"] == "churn"
    output = folder / "churn.zip"
    run("export", "churn", "--output", str(output))
    assert set(zipfile.ZipFile(output).namelist()) == {"model.skops", "card.json", "schema.toml"}
    status, _, error = run("remove", "churn")
    assert (status, "is the default model" in error) == (1, True)
    assert run("remove", "other")[0] == 0
    assert catalog_of(folder).names() == ["churn"]
    assert run("show", "other")[0] == run("default", "other")[0] == run("remove", "other")[0] == 1


def test_an_old_version_is_removed_and_the_current_one_stays(run: Run, folder: Path, models_with_churn: Path) -> None:
    shutil.copytree(models_with_churn, folder / "models")
    catalog = catalog_of(folder)
    first = catalog.card("churn")
    (folder / "edited.toml").write_text(catalog.schema_path(first).read_text().replace("0.5", "0.4"))
    run(*ADD, "--schema", "edited.toml")
    current = catalog.card("churn").version
    assert run("remove", "churn", "--version", current)[0] == 1
    assert run("remove", "churn", "--version", first.version)[0] == 0
    assert catalog.card("churn").version == current
    assert run("show", "churn", "--version", first.version)[0] == 1
