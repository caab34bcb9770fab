"""A worker detects a model whose predictions differ from those recorded when it was added."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model.catalog import Catalog
from model.errors import BrokenModel
from model.onboarding.add import AddModelRequest, add_model
from model.scorer import Scorer
from worker.sample import check_sample

pytestmark = pytest.mark.usefixtures("quick_checks")


def added(folder: Path, pipeline: Any, table: pd.DataFrame) -> Scorer:
    """A model that was added, the last column of the table being its target."""
    skops.io.dump(pipeline.fit(table.iloc[:, :-1], table.iloc[:, -1]), folder / "m.skops")
    table.to_csv(folder / "t.csv", index=False)
    catalog = Catalog(folder / "models")
    add_model(AddModelRequest(folder / "m.skops", "m", folder / "t.csv", [table.columns[-1]]), catalog, lambda _: None)
    scorer = Scorer.load(catalog, "m")
    check_sample(scorer)
    return scorer


def test_reversed_coefficients_are_found_however_small_the_answers_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    scorer = added(tmp_path, LinearRegression(), inputs.assign(amperes=inputs @ [1e-8, 2e-8, 3e-8] + 1e-7))
    scorer.pipeline.coef_ = scorer.pipeline.coef_[::-1].copy()
    with pytest.raises(BrokenModel, match="answers otherwise here"):
        check_sample(scorer)


def test_a_rare_categorys_coefficient_is_found_when_it_is_altered(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"amount": rng.gamma(1, 100, 600).round(2), "country": rng.choice(["DE", "FR", "IT"], 600)})
    table.loc[[101, 102], "country"] = "NG"
    table["fraud"] = np.where((table["amount"] > 300) | (table["country"] == "NG"), "yes", "no")
    encoded = make_column_transformer((OneHotEncoder(), ["country"]), remainder="passthrough")
    scorer = added(tmp_path, make_pipeline(encoded, LogisticRegression(C=1000, max_iter=1000)), table)
    assert 20 < len(scorer.card.sample) <= 25
    nigeria = list(encoded.get_feature_names_out()).index("onehotencoder__country_NG")
    scorer.pipeline[-1].coef_[0, nigeria] *= -1
    with pytest.raises(BrokenModel, match="answers otherwise here"):
        check_sample(scorer)
