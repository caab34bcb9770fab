"""The income model: the probability that a person earns more than 50,000 dollars a year, from seven features.

Additive, so that its explanation is exact: a spline basis for each number, one-hot categories, logistic regression.
"""

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer
from threadpoolctl import threadpool_limits

from model.card import Card
from model.catalog import Catalog
from model.census.census_model import TRAINING, UNKNOWN, CensusModel
from model.census.income_features import FEATURES
from model.schema import Feature, FeatureKind

MODEL = CensusModel(
    name="income",
    title="Income over 50K",
    description="The probability that a person earns more than 50,000 dollars a year, learnt from the 1994 census.",
    features=FEATURES,
)
# Chosen by 5-fold cross-validation on the training file among 6..20 knots, spread evenly or by quantile, and C of 1
# or 10: Brier 0.11447, against 0.11471 with 6 knots and 0.11460 with 20. The held-out file had no say.
KNOTS = 8
INVERSE_PENALTY = 10.0


def load_records(file: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return the features of a data file, shape (n, 7), as scorers take them, and its labels, shape (n,)."""
    return MODEL.load_records(file)


def make_income_pipeline() -> Pipeline:
    """Return the pipeline, not yet fitted; it takes frames as `load_records` gives them, `?` or NaN for missing."""
    columns = ColumnTransformer([(feature.name, _transformer(feature), [feature.name]) for feature in FEATURES])
    # Newton's method converges to the last digits, so that the coefficients do not hang on the number of iterations.
    return make_pipeline(columns, LogisticRegression(C=INVERSE_PENALTY, solver="newton-cholesky", tol=1e-8))


def train() -> Pipeline:
    """Return the pipeline fitted on the training file; the same each time."""
    frame, labels = load_records(TRAINING)
    # With several threads the order of sums, and so the last digits and the version, would hang on their number.
    with threadpool_limits(1):
        return make_income_pipeline().fit(frame, labels)


def publish(pipeline: Pipeline, catalog: Catalog) -> Card:
    """Save a fitted pipeline with its card as the current version of the income model, and return the card."""
    return MODEL.publish(pipeline, catalog)


def _transformer(feature: Feature) -> SplineTransformer | OneHotEncoder | Pipeline:
    if feature.kind is FeatureKind.NUMBER:
        return SplineTransformer(n_knots=KNOTS, degree=3, knots="uniform", extrapolation="constant")
    if feature.missing_allowed:
        known = OneHotEncoder(categories=[[*feature.categories, UNKNOWN]], sparse_output=False)
        return make_pipeline(SimpleImputer(strategy="constant", fill_value=UNKNOWN), known)
    return OneHotEncoder(categories=[list(feature.categories)], sparse_output=False)
