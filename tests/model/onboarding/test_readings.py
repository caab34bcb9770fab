"""The texts of a file become the frame that the pipeline was fitted on, found by the values that it knows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model.errors import RefusedModel
from model.onboarding.findings import Findings, gather_findings
from model.onboarding.training_data import read_training_data
from model.schema import FeatureKind

Read = Callable[[Path], pd.DataFrame]


def encoded(frame: pd.DataFrame) -> Any:
    """A pipeline that knows the categories of its first column, and ignores unknown ones."""
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["code"]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression()).fit(frame[["code", "x"]], frame["y"])


def found_for(path: Path, read: Read) -> tuple[Findings, pd.DataFrame]:
    frame = read(path)
    return gather_findings(encoded(frame), read_training_data(path), ["y"]), frame


@pytest.mark.parametrize(
    ("codes", "read"),
    [
        ([" Private", " State-gov", " ?"], pd.read_csv),
        ([" Private", " State-gov", " ?"], lambda path: pd.read_csv(path, skipinitialspace=True)),
        (["A", "NA", "B"], lambda path: pd.read_csv(path, keep_default_na=False)),
        (["A", "NA", "B"], lambda path: pd.read_csv(path).fillna({"code": "NA"})),
        (["007", "7", "012"], lambda path: pd.read_csv(path, dtype={"code": str})),
        (["007", "8", "012"], pd.read_csv),
        (["True", "False", "True"], pd.read_csv),
        (["True", "False", "True"], lambda path: pd.read_csv(path, dtype={"code": str})),
        (["Y", "N", "Y"], pd.read_csv),
        (["1", "2", "3"], lambda path: pd.read_csv(path).astype({"code": str})),
        (["2024-01-01", "2024-01-02", "2024-01-03"], pd.read_csv),
        (["none", "None", "null"], lambda path: pd.read_csv(path, keep_default_na=False)),
    ],
)
def test_the_frame_is_as_its_owner_had_it(tmp_path: Path, codes: list[str], read: Read) -> None:
    path = tmp_path / "train.csv"
    rows = [f'"{code}",{number % 7},{"p" if number % 3 else "n"}' for number, code in enumerate(codes * 10)]
    path.write_text("\n".join(["code,x,y", *rows, ""]))
    found, frame = found_for(path, read)
    pd.testing.assert_series_equal(found.frame["code"], frame["code"])
    # The schema reads the texts in the same way.
    assert found.read.faultless.all()
    assert found.reference.answered.all()


def test_a_word_that_means_missing_is_a_category_where_the_pipeline_knows_it(tmp_path: Path) -> None:
    """Also behind an imputer, which would replace missing values but has never seen one."""
    path = tmp_path / "train.csv"
    frame = pd.DataFrame({"code": ["None", "Small", "Big"] * 20, "x": np.arange(60), "y": ["p", "n", "n"] * 20})
    frame.to_csv(path, index=False)
    encoder = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = make_column_transformer((encoder, ["code"]), ("passthrough", ["x"]))
    pipeline = make_pipeline(columns, LogisticRegression()).fit(frame[["code", "x"]], frame["y"])
    found = gather_findings(pipeline, read_training_data(path), ["y"])
    assert found.features[0].categories == ("Big", "None", "Small")
    assert found.frame["code"].tolist() == frame["code"].tolist()


def test_declared_categories_are_those_of_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("zip,y\n00123,1\n01234,2\n")
    data = read_training_data(path, {"zip": "category"})
    assert data.frame["zip"].tolist() == ["00123", "01234"]


def test_rows_without_a_value_that_the_pipeline_takes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    frame = pd.DataFrame({"code": ["a", None] * 30, "x": np.arange(60), "y": ["p", "n", "n"] * 20})
    frame.to_csv(path, index=False)
    found, _ = found_for(path, pd.read_csv)
    assert (len(found.answered_frame), found.usable.sum()) == (60, 60)


def test_a_table_with_semicolons_and_decimal_commas_is_one_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("a;b;y\n1,5;1.200,5;3\n2,5;800,25;4\n3,5;1,0;5\n")
    data = read_training_data(path)
    assert data.frame["a"].tolist() == [1.5, 2.5, 3.5]
    assert data.frame["b"].tolist() == [1200.5, 800.25, 1.0]
    assert data.texts["b"].tolist() == ["1200.5", "800.25", "1.0"]


def test_a_parquet_file_says_what_its_columns_are(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    frame = pd.DataFrame({"zip": ["01234", "56789"] * 10, "n": np.arange(20, dtype=np.int32), "y": np.arange(20.0)})
    frame.to_parquet(path)
    columns = make_column_transformer((OneHotEncoder(), ["zip"]), ("passthrough", ["n"]))
    pipeline = make_pipeline(columns, LinearRegression())
    found = gather_findings(pipeline.fit(frame[["zip", "n"]], frame["y"]), read_training_data(path), ["y"])
    kinds = {feature.name: (feature.kind, feature.pandas_dtype) for feature in found.features}
    assert kinds == {"zip": (FeatureKind.CATEGORY, "str"), "n": (FeatureKind.NUMBER, "int32")}


@pytest.mark.parametrize("rows_of_it", [30, 3])
def test_a_frequent_word_that_the_encoder_never_saw_was_missing(tmp_path: Path, rows_of_it: int) -> None:
    """A rare one may come from records that were held out, and stays a value that it does not know."""
    path = tmp_path / "train.csv"
    jobs = ["clerk", "nurse", "nurse"] * 30 + ["Unknown"] * rows_of_it
    table = pd.DataFrame({"job": jobs, "x": range(len(jobs)), "y": ["p", "n", "n"] * (len(jobs) // 3)})
    table.to_csv(path, index=False)
    frame = pd.read_csv(path, na_values=["Unknown"])
    encoder = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = make_column_transformer((encoder, ["job"]), ("passthrough", ["x"]))
    pipeline = make_pipeline(columns, LogisticRegression()).fit(frame[["job", "x"]], frame["y"])
    found = gather_findings(pipeline, read_training_data(path), ["y"])
    if rows_of_it == 3:
        assert found.frame["job"].tolist() == jobs
        return
    pd.testing.assert_frame_equal(found.frame, frame[["job", "x"]])
    job = found.features[0]
    assert job.categories == ("clerk", "nurse")
    assert job.parse("Unknown") is job.parse("") is None
    assert found.read.values["job"].isna().sum() == rows_of_it


def test_words_that_a_schema_calls_missing_are_missing_in_the_frame(tmp_path: Path) -> None:
    """No pipeline tells that -999 was missing: its owner does, in the schema."""
    path = tmp_path / "train.csv"
    table = pd.DataFrame({"age": [20, -999, 40, 50] * 10, "income": [1.5, 2.5, -999.0, 4.5] * 10, "y": range(40)})
    table.to_csv(path, index=False)
    frame = pd.read_csv(path, na_values={"age": ["-999"], "income": ["-999.0"]})
    inputs = frame[["age", "income"]]
    pipeline = make_pipeline(SimpleImputer(), LinearRegression()).fit(inputs, frame["y"])
    data = read_training_data(path)
    words = {"missing_words": ("", "-999", "-999.0")}
    features = [feature.model_copy(update=words) for feature in gather_findings(pipeline, data, ["y"]).features]
    found = gather_findings(pipeline, data, ["y"], features=features)
    pd.testing.assert_frame_equal(found.frame, inputs)
    assert np.array_equal(found.reference.predicted, pipeline.predict(inputs))
    # The product reads the file alike.
    assert found.read.faultless.all()
    pd.testing.assert_frame_equal(found.read.values, inputs)


@pytest.mark.parametrize(
    ("dtypes", "words"),
    [({"zap": "str"}, "has no column 'zap'"), ({"zip": "float64"}, "cannot be read as float64")],
)
def test_a_dtype_that_cannot_be_is_refused(tmp_path: Path, dtypes: dict[str, str], words: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text("zip,y\nabc,1\ndef,2\n")
    with pytest.raises(RefusedModel, match=words):
        read_training_data(path, dtypes)
