"""Pipelines that look odd from outside, and whose answers are as good as any."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model.onboarding.findings import gather_findings
from model.onboarding.pipeline_inspection import inspect_pipeline
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


def test_a_vote_takes_the_columns_of_all_its_members(tmp_path: Path) -> None:
    """The table's other columns are not features; a stack that passes its input through takes them, too."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"a": rng.normal(size=80), "b": rng.choice(["x", "y"], 80), "c": rng.normal(size=80), "d": 1.0}
    )
    label = np.where(table["a"] + table["c"] > 0, "yes", "no")
    table.assign(label=label).to_csv(tmp_path / "t.csv", index=False)
    data = read_training_data(tmp_path / "t.csv", {})

    def member(*columns: str) -> Pipeline:
        encoded = (OneHotEncoder(), ["b"]) if "b" in columns else ("drop", ["d"])
        numbers = [name for name in columns if name != "b"]
        return make_pipeline(make_column_transformer(encoded, ("passthrough", numbers)), LogisticRegression())

    members = [("one", member("a")), ("two", member("b", "c"))]
    numeric = [("one", member("a")), ("two", member("c"))]
    for ensemble, names in (
        (VotingClassifier(members, voting="soft"), ("a", "b", "c")),
        (StackingClassifier(members, cv=2), ("a", "b", "c")),
        (StackingClassifier(numeric, cv=2), ("a", "c")),
    ):
        assert inspect_pipeline(ensemble.fit(table, label), data, ["label"]).names == names
    passing = StackingClassifier(numeric, cv=2, passthrough=True).fit(table[["a", "c", "d"]], label)
    assert inspect_pipeline(passing, data, ["label"]).names == ("a", "c", "d")
