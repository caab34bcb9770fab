"""The same few pipelines on tables that their owners read in different ways."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from tests.models import tables
from tests.models.case import Case, Refused, TrainedModel, bring, with_points
from tests.models.pipelines import by_type, logistic, one_hot, prepared, scaled

HOUSE_WORDS = ["MSZoning", "Alley", "ExterQual", "BsmtQual", "CentralAir"]
HOUSE_NUMBERS = ["LotFrontage", "OverallQual", "GrLivArea", "PoolArea", "YearBuilt"]
QUALITY = ["NA", "Fa", "TA", "Gd", "Ex"]
PARCEL_CODES = {"zip": str, "depot": str, "floor": str}


def adult_without_care(folder: Path) -> TrainedModel:
    """Read with nothing but its name: each word keeps its leading space, the target's too."""
    return bring(folder, by_type(logistic()), tables.adult_bytes(), "income")


def adult_with_care(folder: Path) -> TrainedModel:
    model = prepared(tables.ADULT_NUMBERS, tables.ADULT_WORDS, logistic())
    return bring(folder, model, tables.adult_bytes(), "income", read={"skipinitialspace": True, "na_values": "?"})


def adult_filled(folder: Path) -> TrainedModel:
    """Missing words were filled with ``NA`` before the training; the file holds these."""
    table = tables.adult().fillna(dict.fromkeys(tables.ADULT_WORDS, "NA"))
    read = {"keep_default_na": False, "na_values": dict.fromkeys(tables.ADULT_NUMBERS, "")}
    return bring(folder, by_type(logistic()), table, "income", read=read)


def adult_categories(folder: Path) -> TrainedModel:
    """Boosting that takes the words as they are."""
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=30, random_state=0)
    return bring(folder, model, tables.adult(), "income", change=partial(categorised, names=tables.ADULT_WORDS))


def categorised(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The columns as categories, each with all the words that the training data has."""
    known = {name: pd.CategoricalDtype(sorted(tables.adult()[name].dropna().unique())) for name in names}
    return frame.astype(known)


def houses_with_na(folder: Path) -> TrainedModel:
    """``NA`` is a word of its own; nearly all pools are missing, and the imputer fills them."""
    quality = OrdinalEncoder(categories=[QUALITY, QUALITY])
    columns = ColumnTransformer([
        ("quality", quality, ["ExterQual", "BsmtQual"]),
        ("words", one_hot(), ["MSZoning", "Alley", "CentralAir"]),
        ("kind", one_hot(), ["MSSubClass"]),
        ("numbers", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), HOUSE_NUMBERS),
    ])  # fmt: skip
    model = TransformedTargetRegressor(make_pipeline(columns, Ridge()), func=np.log1p, inverse_func=np.expm1)
    read = {"keep_default_na": False, "na_values": dict.fromkeys(HOUSE_NUMBERS, "")}
    return bring(folder, model, tables.houses(), "SalePrice", read=read)


def houses_by_default(folder: Path) -> TrainedModel:
    """pandas takes ``NA`` for missing; the encoder has a column for that, and boosting takes missing numbers."""
    columns = make_column_transformer((one_hot(), HOUSE_WORDS), remainder="passthrough")
    model = make_pipeline(columns, HistGradientBoostingRegressor(max_iter=30, random_state=0))
    return bring(folder, model, tables.houses(), "SalePrice")


def sparse_column(folder: Path) -> TrainedModel:
    """A column that is missing in 2,900 of 2,930 rows, and matters."""
    table = tables.numbers(2930, 4).rename(columns={"x0": "pool"})
    table["pool"] = table["pool"].where(np.arange(len(table)) % 97 == 0)
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    return bring(folder, model, table, "y")


def telco_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(TotalCharges=pd.to_numeric(frame["TotalCharges"], errors="coerce"))


def telco(folder: Path) -> TrainedModel:
    numbers = ["tenure", "MonthlyCharges", "TotalCharges", "SeniorCitizen"]
    words = ["gender", "Partner", "InternetService", "OnlineSecurity", "Contract", "PaperlessBilling"]
    model = prepared(numbers, words, RandomForestClassifier(40, random_state=0))
    return bring(folder, model, tables.telco(), "Churn", change=telco_numbers)


def telco_as_texts(folder: Path) -> TrainedModel:
    """The charges were left as texts: each is a category, and the rare ones share one."""
    table = tables.telco().drop(columns="customerID")
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5), ["TotalCharges", "Contract", "Partner"]),
        ("passthrough", ["tenure", "MonthlyCharges"]),
    )
    # In a file of one row pandas would read the charges as numbers, and the pipeline would raise.
    return bring(folder, make_pipeline(columns, logistic(max_iter=3000)), table, "Churn", odd_values=False)


def parcel_model() -> Pipeline:
    return by_type(logistic())


def codes_as_texts(folder: Path) -> TrainedModel:
    return bring(folder, parcel_model(), tables.parcels(), "late", read={"dtype": PARCEL_CODES})


def codes_as_texts_said(folder: Path) -> TrainedModel:
    words = ("--dtypes", "zip=str,depot=str,floor=str")
    return bring(folder, parcel_model(), tables.parcels(), "late", read={"dtype": PARCEL_CODES}, words=words)


def all_texts(folder: Path) -> TrainedModel:
    """Everything but the weight was read as text, the words True and False too."""
    words = ["zip", "depot", "floor", "insured", "signed"]
    columns = make_column_transformer((OneHotEncoder(), words), ("passthrough", ["weight"]))
    read = {"dtype": dict.fromkeys(words, str)}
    return bring(folder, make_pipeline(columns, logistic()), tables.parcels(), "late", read=read)


def true_booleans(folder: Path) -> TrainedModel:
    """pandas makes booleans of True and False, and numbers of the codes."""
    return bring(folder, RandomForestClassifier(20, random_state=0), _parcel_numbers(), "late")


def _parcel_numbers() -> pd.DataFrame:
    return tables.parcels()[["zip", "depot", "insured", "weight", "late"]]


def booleans_encoded(folder: Path) -> TrainedModel:
    columns = make_column_transformer((OneHotEncoder(), ["insured", "signed"]), ("passthrough", ["weight"]))
    return bring(folder, make_pipeline(columns, logistic()), tables.parcels(), "late")


def decimal_commas(folder: Path) -> TrainedModel:
    style = {"sep": ";", "decimal": ","}
    return bring(folder, scaled(logistic()), tables.wine(), "cultivar", written=style, read=style, upload=with_points)


def separated(sep: str, folder: Path) -> TrainedModel:
    style = {"sep": sep}
    return bring(folder, scaled(logistic()), tables.iris(), "species", written=style, read=style)


def gzipped(folder: Path) -> TrainedModel:
    return bring(folder, scaled(logistic()), tables.wine(), "cultivar", file="data.csv.gz", odd_values=False)


def typed_cars() -> pd.DataFrame:
    """Cars with the types that a table may have."""
    table = tables.cars().drop(columns="Name")
    table["Heavy"] = table["Weight_in_lbs"] > 3000
    table["Doors"] = pd.array([None if n % 9 == 0 else 2 + n % 3 for n in range(len(table))], "Int64")
    types: dict[str, Any] = {"Cylinders": "int32", "Displacement": "float32", "Origin": "category"}
    return table.astype(types)


def car_features(frame: pd.DataFrame) -> pd.DataFrame:
    """The day as a number, since trees take no times."""
    return frame.drop(columns="Year")


def typed(file: str, folder: Path) -> TrainedModel:
    model = HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=30, random_state=0)
    return bring(folder, model, typed_cars(), "Miles_per_Gallon", file=file, change=car_features)


def times(folder: Path) -> TrainedModel:
    """Times as pandas has them, from Parquet, made into days since 1970 by an encoder."""
    columns = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["Year"]),
        ("passthrough", ["Displacement", "Weight_in_lbs"]),
    )
    return bring(folder, make_pipeline(columns, Ridge()), tables.cars(), "Miles_per_Gallon", file="data.parquet")


def dates_as_texts(folder: Path) -> TrainedModel:
    columns = make_column_transformer(
        (one_hot(), ["date"]), ("passthrough", ["precipitation", "temp_max", "temp_min", "wind"])
    )
    table = tables.weather().head(500)
    table["date"] = table["date"].dt.strftime("%Y-%m-%d")
    return bring(folder, make_pipeline(columns, logistic(max_iter=3000)), table, "weather")


def flights_of_the_second_half(folder: Path) -> TrainedModel:
    """Trained on January to June, asked about July to December: other months, new planes, new places."""
    found = tables.flights()
    columns = ["month", "day", "hour", "dep_delay", "distance", "carrier", "origin", "dest", "arr_delay"]
    first, second = found[found.month <= 6][columns], found[found.month > 6][columns]
    numbers, words = ["month", "day", "hour", "dep_delay", "distance"], ["carrier", "origin", "dest"]
    return bring(folder, prepared(numbers, words, Ridge()), first, "arr_delay", later=second)


def floats_of_whole_numbers(folder: Path) -> TrainedModel:
    """A column of whole numbers that has ``.5`` later."""
    table = tables.diabetes().assign(age=lambda frame: (frame["age"] * 100).round().astype(int))
    later = table.assign(age=table["age"] + 0.5)
    return bring(folder, make_pipeline(StandardScaler(), Ridge()), table, "progression", later=later)


def penguins(folder: Path) -> TrainedModel:
    """Missing values in numbers and words, and a class for each kind."""
    numbers = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"]
    return bring(folder, prepared(numbers, ["island", "sex"], logistic()), tables.penguins(), "species")


def ufunc(folder: Path) -> TrainedModel:
    """NumPy's own functions need no module."""
    columns = make_column_transformer(
        (FunctionTransformer(np.log1p, feature_names_out="one-to-one"), ["magnesium", "proline"]),
        remainder="passthrough",
    )
    return bring(folder, make_pipeline(columns, StandardScaler(), LogisticRegression()), tables.wine(), "cultivar")


def rows_dropped(folder: Path) -> TrainedModel:
    """Rows that lack a value were dropped before the training: the pipeline raises on them."""

    def fit(model: Any, inputs: Any, answer: Any) -> Any:
        whole = inputs.notna().all(axis=1)
        return model.fit(inputs[whole], answer[whole])

    table = tables.penguins().drop(columns=["island", "sex"])
    return bring(folder, scaled(logistic()), table, "species", fit=fit)


def in_windows_1252(folder: Path) -> TrainedModel:
    """Words with accents in a file as an old Excel writes it."""
    style = {"encoding": "cp1252"}
    table = tables.parcels()[["weight", "signed", "late"]].replace({"Y": "reçu", "N": "à livrer"})
    return bring(folder, parcel_model(), table, "late", written=style, read=style)


def with_byte_order_mark(folder: Path) -> TrainedModel:
    """As a new Excel writes it."""
    style = {"encoding": "utf-8-sig"}
    return bring(folder, scaled(logistic()), tables.iris(), "species", written=style, read=style)


def with_unnamed_index(folder: Path) -> TrainedModel:
    """Written by ``to_csv`` with its index: the first column has no name."""
    return bring(
        folder, scaled(logistic()), tables.iris().to_csv().encode(), "species", read={"index_col": 0}, odd_values=False
    )


def dummies(folder: Path) -> TrainedModel:
    """Words were made columns of their own before the training, and the table is that of then."""
    table = pd.get_dummies(tables.parcels().drop(columns="late")).assign(late=tables.parcels()["late"])
    return bring(folder, RandomForestClassifier(15, random_state=0), table, "late")


def dummies_not_in_table(folder: Path) -> Refused:
    """The table is that of before."""
    trained = dummies(folder)
    tables.parcels().to_csv(folder / "before.csv", index=False)
    return Refused((trained.words[0], "--data", str(folder / "before.csv"), *trained.words[3:]))


def booleans_with_missing(folder: Path) -> TrainedModel:
    table = tables.parcels()[["insured", "weight", "late"]]
    table["insured"] = table["insured"].where(np.arange(len(table)) % 7 > 0)
    columns = make_column_transformer((one_hot(), ["insured"]), ("passthrough", ["weight"]))
    return bring(folder, make_pipeline(columns, logistic()), table, "late")


def numbers_with_missing_as_words(folder: Path) -> TrainedModel:
    """Whole numbers, some missing: pandas makes them floats, and the encoder knows 1.0."""
    table = tables.houses()[["MSSubClass", "GrLivArea", "SalePrice"]]
    table["MSSubClass"] = table["MSSubClass"].where(np.arange(len(table)) % 9 > 0)
    columns = make_column_transformer((one_hot(), ["MSSubClass"]), ("passthrough", ["GrLivArea"]))
    return bring(folder, make_pipeline(columns, Ridge()), table, "SalePrice")


def thousands(folder: Path) -> TrainedModel:
    """``1,234`` is a number to its owner, who said so to pandas."""
    table = tables.houses()[["GrLivArea", "OverallQual", "SalePrice"]]
    table["GrLivArea"] = [f"{area:,}" for area in table["GrLivArea"]]
    columns = make_pipeline(SimpleImputer(), StandardScaler(), Ridge())
    return bring(folder, columns, table, "SalePrice", read={"thousands": ","}, odd_values=False)


def thousands_refused(folder: Path) -> Refused:
    return Refused(thousands(folder).words)


def without_target_said(folder: Path) -> TrainedModel:
    """The target is in the table, but not named: it is passed through."""
    trained = bring(folder, scaled(logistic()), tables.iris(), "species")
    return replace(trained, words=trained.words[:3])


CASES = (
    Case("rows-dropped-before-training", rows_dropped),
    Case("windows-1252", in_windows_1252),
    Case("byte-order-mark", with_byte_order_mark),
    Case("unnamed-index", with_unnamed_index),
    Case("dummies", dummies),
    Case("dummies-not-in-table", dummies_not_in_table, refused=("zip_00501", "zip")),
    Case("booleans-with-missing", booleans_with_missing),
    Case("whole-numbers-with-missing-as-words", numbers_with_missing_as_words),
    Case("thousands-by-comma", thousands_refused, refused=("3,415", "Parquet")),
    Case("without-target-said", without_target_said),
    Case("adult-as-uci-has-it", adult_without_care, cheap=True, browser=True),
    Case("adult-with-na-values", adult_with_care),
    Case("adult-filled-with-na", adult_filled),
    Case("adult-native-categories", adult_categories),
    Case("houses-na-is-a-word", houses_with_na),
    Case("houses-na-is-missing", houses_by_default),
    Case("column-nearly-all-missing", sparse_column),
    Case("telco", telco),
    Case("telco-charges-as-texts", telco_as_texts),
    Case("codes-as-texts", codes_as_texts, cheap=True),
    Case("codes-as-texts-said", codes_as_texts_said),
    Case("true-and-false-as-texts", all_texts),
    Case("booleans", true_booleans),
    Case("booleans-encoded", booleans_encoded),
    Case("semicolons-and-decimal-commas", decimal_commas),
    Case("semicolons", partial(separated, ";")),
    Case("tabs", partial(separated, "\t")),
    Case("gzip", gzipped),
    Case("parquet", partial(typed, "data.parquet"), cheap=True),
    Case("feather", partial(typed, "data.feather")),
    Case("parquet-times", times),
    Case("dates-as-texts", dates_as_texts),
    Case("flights-of-the-second-half", flights_of_the_second_half, browser=True),
    Case("halves-where-whole-numbers-were", floats_of_whole_numbers),
    Case("penguins", penguins, browser=True),
    Case("numpy-function", ufunc),
)
