"""A real income model, trained once and published into a folder of the test run."""

from pathlib import Path

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from model.card import Card
from model.catalog import Catalog
from model.census import census_model, income, income_full
from model.scorer import Scorer


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    return income.train()


@pytest.fixture(scope="session")
def full_pipeline() -> Pipeline:
    return income_full.train()


@pytest.fixture(scope="session")
def catalog(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    catalog = Catalog(tmp_path_factory.mktemp("models"), "income")
    income.publish(pipeline, catalog)
    return catalog


@pytest.fixture(scope="session")
def card(catalog: Catalog) -> Card:
    return catalog.card()


@pytest.fixture(scope="session")
def scorer(catalog: Catalog) -> Scorer:
    return Scorer.load(catalog)


@pytest.fixture(scope="session")
def held_out() -> pd.DataFrame:
    return income.load_records(census_model.HELD_OUT)[0]


@pytest.fixture
def own_catalog(pipeline: Pipeline, tmp_path: Path) -> Catalog:
    """A published model that the test may damage."""
    catalog = Catalog(tmp_path / "models", "income")
    income.publish(pipeline, catalog)
    return catalog
