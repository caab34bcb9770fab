"""What a worker's main process prepares before its children are forked: models of this scikit-learn, explainers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from model.catalog import Catalog
from model.errors import BrokenModel
from model.onboarding.add import AddModelRequest, add_model
from tests.stack import ROOT

pytestmark = pytest.mark.usefixtures("quick_checks")

SCRIPT = "import sys; from worker.models import import_explainers; import_explainers(); print('shap' in sys.modules)"

PREPARE = "from worker.models import prepare, scorer; prepare(); print(scorer().card.version)"


def test_an_upgrade_of_scikit_learn_does_not_stop_the_worker(models: Path, tmp_path: Path) -> None:
    """The model that ships is trained again; another is broken, with what to do, and keeps nobody from starting."""
    own = Path(shutil.copytree(models, tmp_path / "models"))
    catalog = Catalog(own, "income")
    catalog.publish(catalog.card().model_copy(update={"name": "other"}), catalog.artifact_path())
    for path in own.glob("*/*/card.json"):
        card = json.loads(path.read_text())
        card["libraries"]["scikit-learn"] = "0.24.2"
        path.write_text(json.dumps(card))
    environment = {**os.environ, "SCORELINE_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-c", PREPARE]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    catalog = Catalog(own, "income")
    assert done.stdout.splitlines()[-1] == catalog.usable_card().version
    assert catalog.usable_card().libraries["scikit-learn"] == sklearn.__version__
    with pytest.raises(BrokenModel, match=r"was made by scikit-learn 0\.24\.2, but \S+ is installed; train it again$"):
        catalog.usable_card("other")


@pytest.mark.parametrize(
    ("model", "needs_shap"),
    [(RandomForestRegressor(n_estimators=5, random_state=0), True), (LinearRegression(), False)],
)
def test_shap_is_imported_in_time_if_a_model_needs_it(tmp_path: Path, model: Any, needs_shap: bool) -> None:
    """On a busy machine, the import takes longer than a prediction may: every child that began it would be killed."""
    pytest.importorskip("shap")
    inputs = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=["a", "b"])
    skops.io.dump(model.fit(inputs, inputs["a"] + inputs["b"]), tmp_path / "m.skops")
    inputs.assign(y=inputs["a"] + inputs["b"]).to_csv(tmp_path / "t.csv", index=False)
    request = AddModelRequest(tmp_path / "m.skops", "m", tmp_path / "t.csv", ["y"])
    add_model(request, Catalog(tmp_path / "models"), lambda _: None)
    environment = {**os.environ, "SCORELINE_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(needs_shap)
