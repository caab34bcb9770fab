"""Columns that their owner did not read as pandas does by itself, where no encoder keeps the values."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from catboost import CatBoostClassifier
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tests.models import tables
from tests.models.case import Case, Refused, TrainedModel, bring
from tests.models.cases_boosters import CAT
from tests.models.cases_files import own_module
from tests.models.pipelines import logistic, one_hot, prepared

CODES = {"zip": str, "depot": str}
SAID = ("--dtypes", "zip=str,depot=str")
REGION = """
def region(frame):
    return frame.astype(str).apply(lambda column: column.str[:1])
"""


def parcel_codes() -> Any:
    return tables.parcels()[["zip", "depot", "weight", "late"]]


def boosted_codes(words: Sequence[str], folder: Path) -> TrainedModel:
    """CatBoost keeps no values of its categories, only their hashes."""
    model = CatBoostClassifier(**CAT, cat_features=["zip", "depot"])
    read = {"dtype": CODES}
    return bring(folder, model, parcel_codes(), "late", read=read, saved="joblib", words=words)


def first_digits(words: Sequence[str], folder: Path) -> TrainedModel:
    """A function of the owner's takes the first digit of each code."""
    module = own_module(folder, "regions", REGION)
    digits = make_pipeline(FunctionTransformer(module.region), one_hot())
    columns = make_column_transformer((digits, ["zip", "depot"]), ("passthrough", ["weight"]))
    words = ("--module", str(folder / "regions.py"), *words)
    read = {"dtype": CODES}
    model = make_pipeline(columns, logistic())
    return bring(folder, model, parcel_codes(), "late", read=read, saved="joblib", words=words)


def not_said(make: Any, folder: Path) -> Refused:
    return Refused(make((), folder).words)


def sentinels(folder: Path) -> TrainedModel:
    """Tenures and charges of -999 were missing, as their owner says in a schema."""
    table = tables.telco()[["tenure", "MonthlyCharges", "Churn"]]
    table.loc[::5, "tenure"] = -999
    table.loc[::7, "MonthlyCharges"] = -999.0
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), logistic())
    features = [
        f'[[features]]\nname = "{name}"\ntitle = "{name}"\nkind = "number"\nmissing_allowed = true\nunseen = "warn"\n'
        'missing_words = ["", "-999", "-999.0"]\n'
        for name in ("tenure", "MonthlyCharges")
    ]
    path = folder / "schema.toml"
    path.write_text('title = "Churn"\ndescription = ""\ntarget = "Churn"\npositive_class = "Yes"\n' + "".join(features))
    read = {"na_values": ["-999", "-999.0"]}
    return bring(folder, model, table, "Churn", read=read, words=("--schema", str(path)))


def unknown_was_missing(folder: Path) -> TrainedModel:
    """``Unknown`` was read as missing, so that the encoder has never seen it."""
    table = tables.telco()[["Contract", "tenure", "Churn"]]
    table.loc[::4, "Contract"] = "Unknown"
    model = prepared(["tenure"], ["Contract"], logistic())
    return bring(folder, model, table, "Churn", read={"na_values": ["Unknown"]})


CASES = (
    Case("codes-boosted", partial(not_said, boosted_codes), refused=("'zip'", "row 2", "--dtypes zip=str")),
    Case("codes-boosted-said", partial(boosted_codes, SAID)),
    Case("codes-by-first-digit", partial(not_said, first_digits), refused=("'zip'", "--dtypes zip=str")),
    Case("codes-by-first-digit-said", partial(first_digits, SAID)),
    Case("codes-for-missing-numbers", sentinels),
    Case("codes-for-missing-words", unknown_was_missing),
)
