"""A user's pipeline becomes a model, whose versions can be listed, edited and removed."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from model.card import ModelKind, Scores
from model.schema import FeatureKind, UnseenPolicy
from model.scorer import Scorer
from tests.model import odd_models
from tests.model.onboarding.churn import ADD, Run, catalog_of

pytestmark = pytest.mark.usefixtures("quick_checks")


def test_a_pipeline_becomes_a_model_with_a_schema_from_its_data(run: Run, folder: Path, churn: Any) -> None:
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


def test_its_answers_are_the_pipelines_own(run: Run, folder: Path, churn: Any, customers: pd.DataFrame) -> None:
    run(*ADD)
    scorer = Scorer.load(catalog_of(folder), "churn")
    frame = customers[[feature.name for feature in scorer.card.features]]
    assert np.array_equal(scorer.predict(frame).positive, churn.predict_proba(customers)[:, 1])


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


def test_a_pickle_needs_trust_and_becomes_an_archive_without_pickle(run: Run, folder: Path, churn: Any) -> None:
    joblib.dump(churn, folder / "churn.joblib")
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


def test_probabilities_that_are_no_numbers_are_left_out(run: Run, folder: Path, customers: pd.DataFrame) -> None:
    fitted = odd_models.AnswersNaN().fit(customers[["months"]], customers["churned"])
    skops.io.dump(fitted, folder / "churn.skops")
    assert run(*ADD, "--trust", "tests.model.odd_models.AnswersNaN")[0] == 0
    assert catalog_of(folder).card("churn").scores is Scores.NONE


def test_as_many_classes_as_would_be_held_out_are_no_obstacle(run: Run, folder: Path) -> None:
    """Five classes of four records each: the four that are held out cannot hold one of each class."""
    rows = pd.DataFrame({"size": np.arange(20.0), "kind": np.repeat(list("abcde"), 4)})
    rows.to_csv(folder / "kinds.csv", index=False)
    skops.io.dump(DecisionTreeClassifier().fit(rows[["size"]], rows["kind"]), folder / "kinds.skops")
    status, output, error = run("add", "kinds.skops", "--name", "kinds", "--data", "kinds.csv", "--target", "kind")
    assert (status, error) == (0, "")
    assert "accuracy" in output
    assert "4 held-out records" in output


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
