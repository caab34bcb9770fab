"""What a worker finds before it serves: a model that answers otherwise than when it was added."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LinearRegression

from model.catalog import Catalog
from model.errors import BrokenModel
from model.onboarding.add import AddModelRequest, add_model
from model.scorer import Scorer
from worker.sample import check_sample


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
