"""XGBoost, LightGBM, CatBoost and imbalanced-learn: wrappers, categories, and native files."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from catboost import CatBoostClassifier, CatBoostRegressor
from imblearn.ensemble import BalancedRandomForestClassifier
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline as ImbalancedPipeline
from imblearn.under_sampling import RandomUnderSampler
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor, XGBRFRegressor

from tests.models import tables
from tests.models.case import Case, TrainedModel, bring
from tests.models.pipelines import by_type, logistic, prepared

QUICK: dict[str, Any] = {"n_estimators": 20, "random_state": 0}
LIGHT = {**QUICK, "verbose": -1, "n_jobs": 1}
CAT = {"iterations": 20, "random_seed": 0, "verbose": False, "allow_writing_files": False, "thread_count": 1}
WORDS = ["Contract", "InternetService", "Partner"]
CODES = ["SeniorCitizen"]
KNOWN = {name: pd.CategoricalDtype(sorted(tables.telco()[name].unique())) for name in (*WORDS, *CODES)}


def customers() -> pd.DataFrame:
    return tables.telco()[[*WORDS, *CODES, "tenure", "MonthlyCharges", "Churn"]]


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Words and a code of whole numbers as categories, as boosters take them."""
    return frame.astype(KNOWN)


def native(model: Any, folder: Path, saved: str = "joblib") -> TrainedModel:
    """Categories as the library itself takes them; the target encoded as numbers."""
    return bring(
        folder, model, customers(), "Churn", change=as_categories, saved=saved,
        taught=LabelEncoder().fit_transform, classes=("No", "Yes"),
    )  # fmt: skip


def plain(model: Any, folder: Path, saved: str = "joblib") -> TrainedModel:
    return bring(folder, model, tables.cancer(), "diagnosis", saved=saved)


def number(model: Any, folder: Path, saved: str = "joblib") -> TrainedModel:
    return bring(folder, model, tables.diabetes(), "progression", saved=saved)


def stopped_early(folder: Path) -> TrainedModel:
    """Early stopping: predictions are those of the best round."""

    def fit(model: Any, inputs: Any, answer: Any) -> Any:
        return model.fit(inputs[::2], answer[::2], eval_set=[(inputs[1::2], answer[1::2])], verbose=False)

    model = XGBClassifier(n_estimators=300, learning_rate=0.5, early_stopping_rounds=3, random_state=0, n_jobs=1)
    return bring(folder, model, tables.cancer(), "diagnosis", fit=fit, saved="joblib")


def light_stopped_early(folder: Path) -> TrainedModel:
    from lightgbm import early_stopping  # noqa: PLC0415

    def fit(model: Any, inputs: Any, answer: Any) -> Any:
        held = [(inputs[1::2], answer[1::2])]
        return model.fit(inputs[::2], answer[::2], eval_set=held, callbacks=[early_stopping(3, verbose=False)])

    model = LGBMClassifier(**{**LIGHT, "n_estimators": 300})
    return bring(folder, model, tables.cancer(), "diagnosis", fit=fit, saved="joblib")


def in_pipeline(model: Any, folder: Path) -> TrainedModel:
    return bring(
        folder, by_type(model), customers(), "Churn", saved="joblib",
        taught=LabelEncoder().fit_transform, classes=("No", "Yes"),
    )  # fmt: skip


def cat_with_words(saved: str, folder: Path) -> TrainedModel:
    """CatBoost takes words as they are, and classes by their names."""
    model = CatBoostClassifier(**CAT, cat_features=WORDS)
    return bring(folder, model, customers(), "Churn", saved=saved)


def cat_of_kinds(folder: Path) -> TrainedModel:
    """CatBoost's ``predict`` of several classes is a column."""
    return bring(folder, CatBoostClassifier(**CAT), tables.wine(), "cultivar", saved="joblib")


def with_missing_numbers(model: Any, folder: Path) -> TrainedModel:
    table = tables.penguins().drop(columns=["island", "sex"])
    return bring(
        folder, model, table, "species", saved="joblib", taught=LabelEncoder().fit_transform,
        classes=("Adelie", "Chinstrap", "Gentoo"),
    )  # fmt: skip


def sampled(sampler: Any, folder: Path) -> TrainedModel:
    """The sampler only acts in training."""
    inner = prepared(["tenure", "MonthlyCharges"], WORDS, logistic())
    model = ImbalancedPipeline([("columns", inner["columns"]), ("sampler", sampler), ("model", logistic())])
    return bring(folder, model, customers(), "Churn", saved="joblib")


def light_native(folder: Path) -> TrainedModel:
    """LightGBM's text file holds the categories; it has no names for classes."""
    return bring(
        folder, LGBMClassifier(**LIGHT), customers(), "Churn", change=as_categories, saved="txt",
        taught=LabelEncoder().fit_transform, classes=("No", "Yes"),
    )  # fmt: skip


CASES = (
    Case("xgboost", partial(plain, XGBClassifier(**QUICK, n_jobs=1))),
    Case("xgboost-regressor", partial(number, XGBRegressor(**QUICK, n_jobs=1))),
    Case("xgboost-forest-regressor", partial(number, XGBRFRegressor(**QUICK, n_jobs=1))),
    Case("xgboost-categories", partial(native, XGBClassifier(**QUICK, n_jobs=1, enable_categorical=True))),
    Case("xgboost-stopped-early", stopped_early),
    Case("xgboost-in-a-pipeline", partial(in_pipeline, XGBClassifier(**QUICK, n_jobs=1))),
    Case("xgboost-missing-numbers", partial(with_missing_numbers, XGBClassifier(**QUICK, n_jobs=1))),
    Case("xgboost-json", partial(plain, XGBClassifier(**QUICK, n_jobs=1), saved="json")),
    Case("xgboost-ubj", partial(number, XGBRegressor(**QUICK, n_jobs=1), saved="ubj")),
    Case(
        "xgboost-json-categories",
        partial(native, XGBClassifier(**QUICK, n_jobs=1, enable_categorical=True), saved="json"),
    ),
    Case("lightgbm", partial(plain, LGBMClassifier(**LIGHT))),
    Case("lightgbm-regressor", partial(number, LGBMRegressor(**LIGHT))),
    Case("lightgbm-quantile", partial(number, LGBMRegressor(objective="quantile", alpha=0.8, **LIGHT))),
    Case("lightgbm-categories", partial(native, LGBMClassifier(**LIGHT)), cheap=True, browser=True),
    Case("lightgbm-stopped-early", light_stopped_early),
    Case("lightgbm-txt", partial(number, LGBMRegressor(**LIGHT), saved="txt")),
    Case("lightgbm-txt-categories", light_native),
    Case("catboost", partial(plain, CatBoostClassifier(**CAT))),
    Case("catboost-of-kinds", cat_of_kinds),
    Case("catboost-words", partial(cat_with_words, "joblib"), browser=True),
    Case("catboost-cbm-words", partial(cat_with_words, "cbm")),
    Case("catboost-cbm-regressor", partial(number, CatBoostRegressor(**CAT), saved="cbm")),
    Case("smote", partial(sampled, SMOTE(random_state=0))),
    Case("under-sampled", partial(sampled, RandomUnderSampler(random_state=0))),
    Case("balanced-forest", partial(plain, BalancedRandomForestClassifier(20, random_state=0))),
    Case("boosted-after-scaling", partial(plain, make_pipeline(StandardScaler(), LGBMClassifier(**LIGHT)))),
)
