"""Preprocessing, and the columns it takes: texts, dates, odd names, many columns."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from tests.models import tables
from tests.models.case import Case, Refused, TrainedModel, bring
from tests.models.pipelines import logistic, one_hot, scaled

PENGUIN_NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
RAW_NUMBERS = ["Culmen Length (mm)", "Culmen Depth (mm)", "Delta 15 N (o/oo)", "Delta 13 C (o/oo)"]


def text_alone(model: Any, folder: Path) -> TrainedModel:
    """A pipeline that takes one column of texts, not a frame."""
    return bring(
        folder, model, tables.reviews()[["review", "mood"]], "mood", change=lambda frame: frame["review"],
        odd_values=False,
    )  # fmt: skip


def text_with_missing(folder: Path) -> TrainedModel:
    """Missing texts were filled with empty ones; ``None`` and ``null`` are words that people write."""
    table = tables.reviews()[["review", "mood"]]
    table.loc[::9, "review"] = None
    table.loc[4::50, "review"] = "None of it was good"
    model = make_pipeline(TfidfVectorizer(), logistic())
    return bring(folder, model, table, "mood", change=lambda frame: frame["review"].fillna(""), odd_values=False)


def text_beside(vectorizer: Any, folder: Path) -> TrainedModel:
    columns = make_column_transformer((vectorizer, "review"), (one_hot(), ["kind"]), ("passthrough", ["size"]))
    return bring(folder, make_pipeline(columns, logistic(max_iter=2000)), tables.reviews(), "mood", odd_values=False)


def penguin_words(encoder: Any, folder: Path) -> TrainedModel:
    columns = make_column_transformer((encoder, ["island", "sex"]), ("passthrough", PENGUIN_NUMBERS))
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=15, random_state=0))
    return bring(folder, model, tables.penguins(), "species")


def ordered(folder: Path) -> TrainedModel:
    """Words in their owner's order, with unknown ones encoded apart."""
    order = [["NA", "Fa", "TA", "Gd", "Ex"], ["Fa", "TA", "Gd", "Ex"]]
    encoder = OrdinalEncoder(categories=order, handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, ["BsmtQual", "ExterQual"]), ("passthrough", ["GrLivArea"]))
    table = tables.houses()[["BsmtQual", "ExterQual", "GrLivArea", "SalePrice"]]
    return bring(folder, make_pipeline(columns, Ridge()), table, "SalePrice", read={"keep_default_na": False})


def target_encoded(folder: Path) -> TrainedModel:
    columns = make_column_transformer(
        (TargetEncoder(random_state=0), ["carrier", "dest"]), ("passthrough", ["dep_delay"])
    )
    table = tables.flights(2000)[["carrier", "dest", "dep_delay", "arr_delay"]]
    return bring(folder, make_pipeline(columns, Ridge()), table, "arr_delay")


def numbers_by(step: Any, folder: Path) -> TrainedModel:
    return bring(folder, make_pipeline(step, StandardScaler(), logistic()), tables.wine(), "cultivar")


def imputed(imputer: Any, folder: Path) -> TrainedModel:
    table = tables.penguins()[[*PENGUIN_NUMBERS, "species"]].copy()
    table.loc[::5, "body_mass_g"] = np.nan
    return bring(folder, make_pipeline(imputer, StandardScaler(), logistic()), table, "species")


def iteratively_imputed(folder: Path) -> TrainedModel:
    """Every row has a number: of a batch without any, the imputer does not iterate."""
    table = tables.penguins()[[*PENGUIN_NUMBERS, "species"]].dropna(thresh=2)
    table.loc[::5, "body_mass_g"] = np.nan
    model = make_pipeline(IterativeImputer(random_state=0), StandardScaler(), logistic())
    return bring(folder, model, table, "species")


def without_any_number(folder: Path) -> Refused:
    """The fourth penguin was not measured; what is filled in then depends on whether others are asked about with it."""
    return Refused(imputed(IterativeImputer(random_state=0), folder).words)


def without_names(folder: Path) -> TrainedModel:
    """Fitted on an array: the pipeline has no column names."""
    return bring(folder, scaled(logistic()), tables.wine(), "cultivar", change=pd.DataFrame.to_numpy)


def wide(columns: int, folder: Path) -> TrainedModel:
    model = scaled(logistic())
    return bring(folder, model, tables.numbers(252, columns), "y")


def many_classes(folder: Path) -> TrainedModel:
    table = tables.numbers(960, 5, classes=32)
    table["y"] = [f"class {n:02d}" for n in table["y"]]
    return bring(folder, RandomForestClassifier(10, random_state=0), table, "y")


def names_that_collide(folder: Path) -> TrainedModel:
    """``A b``, ``a_b`` and ``a-b`` are three columns."""
    table = tables.iris()
    table.columns = ["A b", "a_b", "a-b", "a.b", "species"]
    return bring(folder, scaled(logistic()), table, "species")


def odd_names(folder: Path) -> TrainedModel:
    table = tables.wine().iloc[:, [0, 1, 2, 3, 4, 5, 6, 9, 13]]
    table.columns = ["% alcohol", "a, b", 'the "acid"', "Größe (cm²)", "prediction", "error", "row", "<b>&amp;", "kind"]
    return bring(folder, scaled(logistic()), table, "kind")


def names_of_the_service(folder: Path) -> TrainedModel:
    """Names that the service's own parameters and columns have."""
    table = tables.wine().iloc[:, [0, 1, 2, 3, 4, 6, 9, 13]]
    table.columns = ["model", "version", "threshold", "probability", "warnings", "name", "file", "kind"]
    return bring(folder, scaled(logistic()), table, "kind")


def raw_penguins(folder: Path) -> TrainedModel:
    columns = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), RAW_NUMBERS),
        ("words", one_hot(), ["Island", "Clutch Completion", "Sex"]),
    ])  # fmt: skip
    return bring(folder, make_pipeline(columns, logistic(max_iter=2000)), tables.penguins_raw(), "Species")


def whole_numbers_as_words(folder: Path) -> TrainedModel:
    """Codes of three digits one-hot encoded, an unknown one refused by the encoder itself."""
    columns = make_column_transformer((OneHotEncoder(), ["MSSubClass"]), ("passthrough", ["GrLivArea", "OverallQual"]))
    return bring(folder, make_pipeline(columns, Ridge()), tables.houses(), "SalePrice")


def dropped_columns(folder: Path) -> TrainedModel:
    """The frame has columns that the pipeline drops."""
    columns = make_column_transformer((StandardScaler(), ["alcohol", "hue"]), remainder="drop")
    return bring(folder, make_pipeline(columns, logistic()), tables.wine(), "cultivar")


def by_place(folder: Path) -> TrainedModel:
    """Columns chosen by their places, not by their names."""
    columns = ColumnTransformer([("first", StandardScaler(), [0, 1, 2]), ("last", RobustScaler(), slice(-3, None))])
    return bring(folder, make_pipeline(columns, logistic()), tables.wine(), "cultivar")


CASES = (
    Case("text-tfidf", partial(text_alone, make_pipeline(TfidfVectorizer(), logistic())), cheap=True, browser=True),
    Case("text-counts", partial(text_alone, make_pipeline(CountVectorizer(ngram_range=(1, 2)), MultinomialNB()))),
    Case(
        "text-hashed",
        partial(text_alone, make_pipeline(HashingVectorizer(n_features=256), TruncatedSVD(5), logistic())),
    ),
    Case("text-with-missing", text_with_missing),
    Case("text-beside-numbers", partial(text_beside, TfidfVectorizer()), browser=True),
    Case("text-counts-beside-numbers", partial(text_beside, CountVectorizer(min_df=2))),
    Case(
        "ordinal-encoder-unknown",
        partial(penguin_words, OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)),
    ),
    Case("one-hot-that-refuses", partial(penguin_words, OneHotEncoder(sparse_output=False))),
    Case("ordered-words", ordered),
    Case("target-encoder", target_encoded),
    Case(
        "bins", partial(numbers_by, KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"))
    ),
    Case("splines", partial(numbers_by, SplineTransformer(4))),
    Case("polynomials", partial(numbers_by, PolynomialFeatures(2))),
    Case("principal-components", partial(numbers_by, make_pipeline(StandardScaler(), PCA(5, random_state=0)))),
    Case("best-columns", partial(numbers_by, SelectKBest(k=4))),
    Case(
        "power-and-quantiles",
        partial(
            numbers_by,
            make_union(PowerTransformer(), QuantileTransformer(n_quantiles=50, random_state=0), VarianceThreshold()),
        ),
    ),
    Case("simple-imputer-with-indicator", partial(imputed, SimpleImputer(add_indicator=True))),
    Case("nearest-neighbours-imputer", partial(imputed, KNNImputer(n_neighbors=3))),
    Case("iterative-imputer", iteratively_imputed),
    Case("iterative-imputer-without-any-number", without_any_number, refused=("row 4", "depends on the other rows")),
    Case("fitted-on-an-array", without_names),
    Case("columns-751", partial(wide, 751), browser=True),
    Case("columns-58", partial(wide, 58)),
    Case("classes-32", many_classes),
    Case("names-that-collide", names_that_collide, cheap=True),
    Case("odd-names", odd_names, browser=True),
    Case("names-of-the-service", names_of_the_service),
    Case("penguins-raw", raw_penguins),
    Case("whole-numbers-as-words", whole_numbers_as_words),
    Case("dropped-columns", dropped_columns),
    Case("columns-by-place", by_place),
)
