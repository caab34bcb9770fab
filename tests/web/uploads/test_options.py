"""Options of an upload: models, threshold, explanations."""

import shutil
from pathlib import Path

import pytest

from jobs.csv.reader import Header
from jobs.errors import UploadRefused
from model.card import Scores
from model.catalog import Catalog
from model.errors import UnknownModel
from tests import second_model
from web.uploads.options import ScoringOptions, parse_explain, parse_models, parse_threshold
from web.uploads.parameters import UploadForm

NAMES = ["age", "workclass", "education", "marital_status", "race", "sex", "hours_per_week"]


@pytest.fixture(scope="module")
def catalog(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = shutil.copytree(models, tmp_path_factory.mktemp("two models") / "models")
    catalog = Catalog(folder, "income")
    second_model.publish(catalog)
    return catalog


def asked(catalog: Catalog, **form: str) -> ScoringOptions:
    return ScoringOptions.of(UploadForm(**form), catalog)


def refused(catalog: Catalog, **form: str) -> str:
    with pytest.raises(UploadRefused) as caught:
        asked(catalog, **form)
    return caught.value.code


def header(*names: str) -> Header:
    return Header(names, ",".join(names).encode(), ",", b"\n", 0)


def test_one_model_appends_what_it_always_did(catalog: Catalog) -> None:
    found = asked(catalog)
    assert ([card.name for card in found.cards], found.threshold, found.explain) == (["income"], 0.5, None)
    assert (found.result_columns, found.added) == (["prediction", "probability", "error"], 3)
    assert asked(catalog, explain="1").result_columns[3:] == ["explain_1_feature", "explain_1_effect"]


def test_two_models_append_the_columns_of_each_under_its_name_and_one_error(catalog: Catalog) -> None:
    found = asked(catalog, model="income, income-lean")
    assert found.result_columns == [
        "prediction_income",
        "probability_income",
        "prediction_income-lean",
        "probability_income-lean",
        "error",
    ]
    assert found.added == 5


def test_versions_of_one_model_are_told_apart_by_their_version(catalog: Catalog) -> None:
    card = catalog.card()
    assert [c.version for c in parse_models(f"income@{card.version}", catalog)] == [card.version]
    other = card.model_copy(update={"version": "0123456789ab"})
    names = ScoringOptions((card, other), None, None).result_columns
    assert names[0] == f"prediction_income@{card.version}"
    assert names[2] == "prediction_income@0123456789ab"


@pytest.mark.parametrize("model", ["income,income", "income,income-lean,income", "income,", ",", "income-lean,"])
def test_a_model_beside_itself_and_more_than_two_are_refused(catalog: Catalog, model: str) -> None:
    assert refused(catalog, model=model) == "bad_parameter"


@pytest.mark.parametrize("model", ["income,nothing", "income@nothing", "../income", "income@../x"])
def test_missing_models_are_unknown(catalog: Catalog, model: str) -> None:
    with pytest.raises(UnknownModel):
        asked(catalog, model=model)


def test_the_header_must_hold_the_columns_of_both(catalog: Catalog) -> None:
    found = asked(catalog, model="income,income-lean")
    match = found.match_header(header(*NAMES, "Capital Gain", "note"))
    assert match.columns == {**{name: at for at, name in enumerate(NAMES)}, "capital_gain": 7}
    assert match.extra == ("note",)
    with pytest.raises(UploadRefused) as caught:
        found.match_header(header(*NAMES[1:], "capital_gian"))
    assert "models 'income' and 'income-lean' need columns that are missing: age, capital_gain" in str(caught.value)
    assert [(error.column, error.did_you_mean) for error in caught.value.errors] == [
        ("age", None),
        ("capital_gain", "capital_gian"),
    ]


def test_explanations_are_for_one_model_that_gives_them(catalog: Catalog) -> None:
    assert refused(catalog, model="income,income-lean", explain="1") == "bad_parameter"
    card = catalog.card().model_copy(update={"explanation": None})
    with pytest.raises(UploadRefused, match="cannot explain"):
        parse_explain("1", (card,))


def test_a_threshold_is_for_those_that_decide_by_one(catalog: Catalog) -> None:
    card = catalog.card()
    other, without = (card.model_copy(update=u) for u in ({"threshold": 0.3}, {"scores": Scores.DECISION}))
    assert parse_threshold(None, card, card) == parse_threshold(None, card, without) == 0.5
    assert parse_threshold(None, card, other) is None, "each its own"
    assert parse_threshold("0.2", without, card) == 0.2
    with pytest.raises(UploadRefused):
        parse_threshold("0.2", without, without)
