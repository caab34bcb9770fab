"""Pipelines that look odd from outside, and whose answers are as good as any."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.onboarding.findings import gather_findings
from model.onboarding.training_data import read_training_data


def test_a_model_of_float32_rounds_otherwise_in_a_batch_and_is_taken(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = pd.DataFrame(rng.normal(size=(400, 8)).astype("float32"), columns=list("abcdefgh"))
    target = inputs.sum(axis=1) * 40 + 150
    inputs.assign(y=target).to_parquet(tmp_path / "t.parquet")
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(inputs, target)
    whole = pipeline.predict(inputs)
    assert any(pipeline.predict(inputs.iloc[[row]])[0] != whole[row] for row in range(len(inputs))), (
        "else it is no case"
    )
    assert gather_findings(pipeline, read_training_data(tmp_path / "t.parquet", {}), ["y"]).reference.answered.all()
