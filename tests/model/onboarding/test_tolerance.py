"""What a pipeline takes beyond its training data gets its own answer; only what it raises on is rejected."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from model.card import Card
from model.catalog import Catalog
from model.onboarding.add import AddModelRequest, add_model
from model.schema import Fault, Feature, FeatureKind, UnseenPolicy, Warned
from model.scorer import Scorer
from model.trust import EVERYTHING

pytestmark = pytest.mark.usefixtures("quick_checks")

MODULE = """
import pandas as pd

def percents(frame):
    return frame.apply(lambda column: column.str.rstrip("%").astype(float))

def minutes(frame):
    return frame.apply(lambda column: column.str[:2].astype(int) * 60 + column.str[3:].astype(int))

def days(frame):
    return frame.apply(lambda column: pd.to_datetime(column, format="mixed", dayfirst=True).astype("int64") / 8.64e13)
"""


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., tuple[Scorer, Any]]:
    """Adds a pipeline of one column, ``x``, whose file is what pandas writes; returns the model and the pipeline."""

    def add(step: Any, texts: list[str], *, module: bool = False) -> tuple[Scorer, Any]:
        rows = pd.DataFrame({"x": texts * 40})
        rows.to_csv(tmp_path / "data.csv", index=False)
        inputs = pd.read_csv(tmp_path / "data.csv", keep_default_na=False)
        target = np.arange(len(rows)) % len(texts) + np.arange(len(rows)) % 3
        pipeline = make_pipeline(make_column_transformer((step, ["x"])), LinearRegression()).fit(inputs, target)
        rows.assign(y=target).to_csv(tmp_path / "data.csv", index=False)
        skops.io.dump(pipeline, tmp_path / "model.skops")
        file = tmp_path / "module.py" if module else None
        request = AddModelRequest(
            tmp_path / "model.skops", "m", tmp_path / "data.csv", ["y"], trust=(EVERYTHING,), module=file
        )
        add_model(request, Catalog(tmp_path / "models"), lambda _: None)
        return Scorer.load(Catalog(tmp_path / "models"), "m"), pipeline

    return add


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a pipeline's own functions, as its owner imports it."""
    (tmp_path / "module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "module", raising=False)
    return importlib.import_module("module")


def answers_as_the_pipeline(model: tuple[Scorer, Any], text: str) -> bool:
    """Whether a text is scored, with a warning, as the pipeline itself answers it."""
    scorer, pipeline = model
    read = scorer.card.features[0].read(text)
    if not isinstance(read, Warned):
        return False
    own = pipeline.predict(pd.DataFrame({"x": [text]}))
    return bool(scorer.predict_records([{"x": read.value}]).values[0] == pytest.approx(own[0]))


def feature_of(model: tuple[Scorer, Any]) -> Feature:
    card: Card = model[0].card
    return card.features[0]


def test_another_spelling_is_what_it_is_to_an_encoder_that_takes_anything(add: Any) -> None:
    model = add(OneHotEncoder(handle_unknown="ignore"), ["Male", "Female", "Other"])
    for text in (" Male", "male", "MALE ", "Cat"):
        assert answers_as_the_pipeline(model, text), text
    read = feature_of(model).read(" Male")
    assert isinstance(read, Warned)
    assert read.fault.suggestion == "Male"


def test_another_spelling_is_accepted_where_the_encoder_raises_on_it(add: Any) -> None:
    feature = feature_of(add(OneHotEncoder(), ["Male", "Female", "Other"]))
    assert [feature.read(text) for text in (" Male", "male")] == ["Male", "Male"]
    assert isinstance(feature.read("Cat"), Fault)


def test_spaces_that_training_stripped_make_no_difference(add: Any, tmp_path: Path) -> None:
    rows = pd.DataFrame({"x": ["Male", "Female", "Other"] * 40, "y": np.arange(120) % 3})
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["x"])), LinearRegression()
    )
    skops.io.dump(pipeline.fit(rows[["x"]], rows["y"]), tmp_path / "model.skops")
    rows.assign(x=" " + rows["x"]).to_csv(tmp_path / "data.csv", index=False)
    add_model(
        AddModelRequest(tmp_path / "model.skops", "m", tmp_path / "data.csv", ["y"]),
        Catalog(tmp_path / "models"),
        lambda _: None,
    )
    scorer = Scorer.load(Catalog(tmp_path / "models"), "m")
    feature = scorer.card.features[0]
    assert [feature.read(text) for text in ("Male", " Male", "  Male")] == ["Male"] * 3
    assert answers_as_the_pipeline((scorer, pipeline), "male")


def test_words_for_booleans_that_training_did_not_have_are_warned(add: Any) -> None:
    feature = feature_of(add("passthrough", ["True", "False"]))
    assert feature.kind is FeatureKind.BOOLEAN
    assert [feature.read(text) for text in ("true", "FALSE")] == [True, False]
    read = feature.read("1")
    assert isinstance(read, Warned)
    assert (read.value, read.fault.code) == (True, "not_a_boolean")


@pytest.mark.parametrize(
    ("function", "texts", "taken", "refused"),
    [
        ("percents", ["17.3%", "8.0%", "99.5%"], ["12.9%", "100%", " 3%"], "many"),
        ("minutes", ["07:31", "23:59", "12:00"], ["07:32", "18:05"], "noon"),
        ("days", ["2024-01-31", "2024-02-01", "2024-05-17"], ["31.03.2024", "May 1, 2024", "2024-03-01 10:30"], "soon"),
        ("days", ["31.01.2024", "01.02.2024", "17.05.2024"], ["31.03.2024", "2024-03-01"], "soon"),
    ],
)
def test_texts_that_the_pipeline_itself_reads_go_to_it_as_they_are(
    add: Any, functions: Any, function: str, texts: list[str], taken: list[str], refused: str
) -> None:
    step = FunctionTransformer(getattr(functions, function), feature_names_out="one-to-one")
    model = scorer, pipeline = add(step, texts, module=True)
    for text in taken:
        own = pipeline.predict(pd.DataFrame({"x": [text]}))[0]
        value = scorer.card.features[0].parse(text)
        assert value == text
        assert scorer.predict_records([{"x": value}]).values[0] == pytest.approx(own)
    assert feature_of(model).unseen is UnseenPolicy.WARN
    with pytest.raises(Exception, match="could not score"):
        scorer.predict_records([{"x": feature_of(model).parse(refused)}])


def test_categories_that_only_the_encoder_knows_are_taken(add: Any) -> None:
    model = add(OneHotEncoder(categories=[["a", "b", "c", "d"]]), ["a", "b", "c"])
    assert feature_of(model).categories == ("a", "b", "c", "d")
    assert feature_of(model).read("d") == "d"
    assert isinstance(feature_of(model).read("e"), Fault)
