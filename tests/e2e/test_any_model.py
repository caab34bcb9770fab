"""Pipelines of any kind are added: each becomes a form, a CSV scorer and an API, without a line of code."""

import csv
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC

from model.catalog import Catalog
from model.onboarding.add import AddModelRequest, add_model
from tests.stack import Stack

TREE = "sklearn.tree._tree.Tree"


@dataclass(frozen=True)
class Example:
    """A fitted pipeline with the inputs and the target of its training data."""

    pipeline: Any
    inputs: pd.DataFrame
    target: pd.Series
    trust: tuple[str, ...] = ()
    given: Any = None

    @property
    def asked(self) -> Any:
        """The inputs as the pipeline was fitted on them."""
        return self.inputs if self.given is None else self.given


def iris() -> Example:
    """Several classes, named by words."""
    data = load_iris(as_frame=True)
    species = data.target.map(dict(enumerate(data.target_names)))
    return Example(LogisticRegression(max_iter=500).fit(data.data, species), data.data, species)


def diabetes() -> Example:
    """A number is predicted."""
    data = load_diabetes(as_frame=True)
    fitted = GradientBoostingRegressor(n_estimators=20, random_state=0).fit(data.data, data.target)
    return Example(fitted, data.data, data.target, (TREE,))


def digits() -> Example:
    """No probabilities, and no names of the columns."""
    data = load_digits()
    names = [f"pixel_{n}" for n in range(64)]
    frame = pd.DataFrame(data.data, columns=names)
    return Example(
        LinearSVC(random_state=0).fit(data.data, data.target), frame, pd.Series(data.target), given=data.data
    )


def reviews() -> Example:
    """Texts of people, with all that texts may hold, beside a category, a truth and a number."""
    rng = np.random.default_rng(0)
    good = rng.random(400) > 0.5
    words = np.where(
        good[:, None], rng.choice(["good", "great", "fine"], (400, 4)), rng.choice(["bad", "poor"], (400, 4))
    )
    texts = [f'"{" ".join(row)}", they said;\nitem {n}' for n, row in enumerate(words)]
    kinds, sizes = rng.choice(["flat", "house"], 400), rng.integers(10, 200, 400)
    frame = pd.DataFrame({"review": texts, "kind": kinds, "garden": sizes > 100, "size": sizes})
    columns = make_column_transformer(
        (TfidfVectorizer(), "review"), (OneHotEncoder(), ["kind"]), ("passthrough", ["garden", "size"])
    )
    mood = pd.Series(np.where(good, "glad", "sad"))
    return Example(make_pipeline(columns, LogisticRegression(max_iter=500)).fit(frame, mood), frame, mood)


EXAMPLES = {make.__name__: make for make in (iris, diabetes, digits, reviews)}


@pytest.fixture(scope="module", params=list(EXAMPLES))
def added(
    request: pytest.FixtureRequest, service: Stack, tmp_path_factory: pytest.TempPathFactory, quick_checks: None
) -> Iterator[tuple[str, Example]]:
    """A model that was added while the service ran."""
    name, example = request.param, EXAMPLES[request.param]()
    folder = tmp_path_factory.mktemp(name)
    skops.io.dump(example.pipeline, folder / "model.skops")
    example.inputs.assign(answer=example.target).to_csv(folder / "data.csv", index=False)
    request = AddModelRequest(folder / "model.skops", name, folder / "data.csv", ("answer",), trust=example.trust)
    add_model(request, Catalog(service.folder / "models"), lambda _: None)
    yield name, example
    shutil.rmtree(service.folder / "models" / name)


def expected(example: Example) -> tuple[list[str], np.ndarray]:
    """The pipeline's own predictions as text, and its probabilities or decisions, a column for each that is shown."""
    predicted = [str(value) for value in example.pipeline.predict(example.asked).tolist()]
    if hasattr(example.pipeline, "predict_proba"):
        scores = example.pipeline.predict_proba(example.asked)
        return predicted, scores[:, 1:] if scores.shape[1] == 2 else scores
    if hasattr(example.pipeline, "decision_function"):
        return predicted, example.pipeline.decision_function(example.asked)
    return predicted, np.empty((len(predicted), 0))


def same(found: list[str], wanted: list[str]) -> bool:
    return all(a == b or float(a) == pytest.approx(float(b), abs=1e-9) for a, b in zip(found, wanted, strict=True))


def test_a_file_comes_back_with_the_pipelines_own_answers(service: Stack, added: tuple[str, Example]) -> None:
    name, example = added
    job, scored = service.score(example.inputs.to_csv(index=False).encode(), model=name)
    assert job["rows"] == {
        "total": len(example.inputs),
        "scored": len(example.inputs),
        "rejected": 0,
        "warned": 0,
        "repaired": 0,
    }
    header, *rows = csv.reader(io.StringIO(scored.decode(), newline=""))
    width = len(example.inputs.columns)
    predictions, scores = expected(example)
    assert header[:width] == list(example.inputs.columns)
    assert same([row[width] for row in rows], predictions)
    found = np.array([[float(text) for text in row[width + 1 : -1]] for row in rows]).reshape(scores.shape)
    assert np.abs(found - scores).max(initial=0) < 1e-6
    summary = service.get(job["links"]["summary"]).json()
    counts = summary["values"]["counts"] if "values" in summary else summary["predictions"].values()
    assert sum(counts) == len(rows)


def test_a_record_gets_the_pipelines_own_answer(service: Stack, added: tuple[str, Example]) -> None:
    name, example = added
    records = example.inputs.head(3).to_dict("records")
    answer = service.request("POST", "/api/v1/predictions", json={"model": name, "records": records}).json()
    predictions, scores = expected(example)
    assert same([str(item["prediction"]) for item in answer["predictions"]], predictions[:3])
    for item, wanted in zip(answer["predictions"], scores, strict=False):
        found = item.get("probabilities") or item.get("decisions") or {"only": item.get("probability")}
        assert not len(wanted) or list(found.values()) == pytest.approx(list(wanted), abs=1e-6)


def test_its_page_has_a_form_that_answers_and_its_sample_can_be_scored(
    service: Stack, added: tuple[str, Example]
) -> None:
    name, _ = added
    assert service.get(f"/models/{name}").status_code == 200
    sample = service.get(f"/api/v1/models/{name}/sample.csv").content
    job, _ = service.score(sample, model=name)
    assert job["rows"]["rejected"] == 0
    assert service.get(job["links"]["page"]).status_code == 200
    record = next(csv.DictReader(io.StringIO(sample.decode(), newline="")))
    page = service.get(f"/models/{name}/prediction", params=record)
    assert page.status_code == 200
    assert 'data-summary="' in page.text
