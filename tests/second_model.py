"""A second real model of the census data for tests that compare two: three features, one of which `income` lacks."""

import tempfile
from pathlib import Path

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model import artifact
from model.card import Card
from model.catalog import Catalog, version_of
from model.census import census_model, income
from model.census.income_features import FEATURES
from model.monitoring.training_summary import summarise
from model.schema import Feature, FeatureKind

NAME = "income-lean"
# Narrower than the age of `income`, so that the two reject different rows.
AGE = next(feature for feature in FEATURES if feature.name == "age").model_copy(update={"maximum": 70})
EDUCATION = next(feature for feature in FEATURES if feature.name == "education")
GAIN = Feature(
    name="capital_gain", title="Capital gain", kind=FeatureKind.NUMBER, minimum=0, maximum=99_999, integer=True
)
LEAN = (AGE, EDUCATION, GAIN)


def records() -> pd.DataFrame:
    """The training file's records, shape (n, 8): the features of `income`, and the capital gain."""
    frame, _ = income.load_records(census_model.TRAINING)
    raw = pd.read_csv(census_model.DATA / census_model.TRAINING, skipinitialspace=True)
    return frame.assign(capital_gain=raw["capital-gain"].astype(float))


def train() -> Pipeline:
    """The fitted pipeline."""
    columns = ColumnTransformer([
        ("age", StandardScaler(), ["age"]),
        ("education", OneHotEncoder(categories=[list(EDUCATION.categories)], sparse_output=False), ["education"]),
        ("capital_gain", StandardScaler(), ["capital_gain"]),
    ])  # fmt: skip
    _, labels = income.load_records(census_model.TRAINING)
    return make_pipeline(columns, LogisticRegression()).fit(records(), labels)


def publish(catalog: Catalog) -> Card:
    """Train it and publish it beside the income model, whose card lends what they have in common."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "model.skops"
        sha256 = artifact.save(train(), file)
        card = catalog.card(income.MODEL.name).model_copy(
            update={
                "name": NAME,
                "title": "Income, from three features",
                "version": version_of(sha256),
                "features": LEAN,
                "summary": summarise(records(), LEAN),
                "sample": (),
                "explanation": None,
                "artifact_sha256": sha256,
            }
        )
        catalog.publish(card, file)
    return card
