"""Pipelines with steps that their owners wrote: added as they are, or refused in one line with the way out."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.card import Card
from model.catalog import Catalog
from model.cli import cli
from model.errors import RefusedModel
from model.onboarding.add import AddModelRequest, AddModelResult, add_model
from model.schema import UnseenPolicy
from model.trust import EVERYTHING
from tests.model import own_steps

pytestmark = pytest.mark.usefixtures("quick_checks")

Add = Callable[..., AddModelResult]


@pytest.fixture
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    size = rng.normal(50, 10, 90).round(2)
    return pd.DataFrame({"id": np.arange(90), "size": size, "town": rng.choice(["Ulm", "Bonn"], 90), "price": size * 3})


@pytest.fixture
def add(tmp_path: Path, rows: pd.DataFrame) -> Add:
    """Fits a pipeline on the rows and adds it; its module is that of this test."""

    def add(pipeline: Any, table: pd.DataFrame = rows, fitted_on: pd.DataFrame | None = None) -> AddModelResult:
        trained = table if fitted_on is None else fitted_on
        joblib.dump(pipeline.fit(trained.drop(columns="price"), trained["price"]), tmp_path / "model.joblib")
        table.to_csv(tmp_path / "data.csv", index=False)
        module = Path(str(own_steps.__file__))
        (tmp_path / "own_steps.py").write_bytes(module.read_bytes())
        request = AddModelRequest(
            tmp_path / "model.joblib", "m", tmp_path / "data.csv", ["price"], trust=(EVERYTHING,),
            module=tmp_path / "own_steps.py",
        )  # fmt: skip
        return add_model(request, Catalog(tmp_path / "models"), lambda _: None)

    return add


def names_of(card: Card) -> list[str]:
    return [feature.name for feature in card.features]


@pytest.fixture(autouse=True)
def own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps are of a module beside the training script."""
    for step in (own_steps.Squares, own_steps.NeedsAnother, own_steps.Means, own_steps.LastDigit, own_steps.Warns):
        monkeypatch.setattr(step, "__module__", "own_steps")
    monkeypatch.setitem(sys.modules, "own_steps", own_steps)


def test_a_first_step_that_names_no_columns_gets_those_of_the_data(add: Add) -> None:
    result = add(make_pipeline(own_steps.Squares(), LinearRegression()))
    assert names_of(result.card) == ["id", "size", "town"]
    assert "the pipeline does not say which columns it takes; it gets all 3 beside the target" in result.notes


def test_a_first_step_that_needs_other_columns_is_refused_with_what_to_do(add: Add, rows: pd.DataFrame) -> None:
    pipeline = make_pipeline(own_steps.NeedsAnother(), LinearRegression())
    with pytest.raises(RefusedModel) as raised:
        add(pipeline, fitted_on=rows.rename(columns={"size": "length"}))
    text = str(raised.value)
    assert "the pipeline's first step, a NeedsAnother, does not say which columns it takes" in text
    assert "KeyError: \"None of [Index(['height']" in text
    assert "set feature_names_in_ in its fit" in text


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ("series", "holds a pandas Series in Means.means_; keep it as a dictionary (to_dict), fit it again"),
        ("frame", "holds a pandas DataFrame in Means.means_; keep it as NumPy arrays (to_numpy), fit it again"),
        ("keys", "holds a dictionary with keys of the kind tuple in Means.means_; use texts or numbers as keys"),
    ],
)
def test_state_that_only_pickle_could_store_is_named_with_what_to_use(add: Add, keep: str, words: str) -> None:
    with pytest.raises(RefusedModel) as raised:
        add(make_pipeline(own_steps.Means(keep), LinearRegression()))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_numbers_of_too_many_digits_are_refused_where_the_digits_count(add: Add, rows: pd.DataFrame) -> None:
    table = pd.DataFrame({"number": 2**60 + np.arange(90), "price": np.arange(90) % 10.0})
    with pytest.raises(RefusedModel, match=r"'number' holds whole numbers of over 16 digits.*--dtypes number=str"):
        add(make_pipeline(own_steps.LastDigit(), LinearRegression()), table)


def test_numbers_of_too_many_digits_are_noted_where_the_digits_do_not_count(add: Add) -> None:
    table = pd.DataFrame({"number": 2**60 + 2**50 * np.arange(90) + 1, "price": np.arange(90.0)})
    result = add(make_pipeline(StandardScaler(), LinearRegression()), table)
    assert (
        "'number' holds whole numbers of over 16 digits, which are rounded; texts (--dtypes) are exact" in result.notes
    )


def test_a_model_that_answers_infinity_far_from_its_data_is_asked_about_values_just_beyond(add: Add) -> None:
    table = pd.DataFrame({"size": np.linspace(0, 300, 90), "price": np.exp(np.linspace(0, 300, 90))})
    with np.errstate(over="ignore"):
        result = add(TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp), table)
    assert result.card.features[0].unseen is UnseenPolicy.WARN


def test_warnings_of_libraries_are_not_shown(tmp_path: Path, rows: pd.DataFrame) -> None:
    inputs = rows.drop(columns="price")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        joblib.dump(
            make_pipeline(own_steps.Warns(), LinearRegression()).fit(inputs, rows["price"]), tmp_path / "m.joblib"
        )
    rows.to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "own_steps.py").write_bytes(Path(str(own_steps.__file__)).read_bytes())
    words = [str(tmp_path / "m.joblib"), "--name", "m", "--data", str(tmp_path / "data.csv"), "--target", "price"]
    options = ["--trust", "--module", str(tmp_path / "own_steps.py")]
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        result = CliRunner().invoke(cli, ["--directory", str(tmp_path / "models"), "add", *words, *options])
    assert result.exit_code == 0, result.stderr
    assert not [warning for warning in shown if "of no use" in str(warning.message)]
