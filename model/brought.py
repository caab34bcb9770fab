"""What a fitted pipeline is and takes, found out by asking it about its own training data."""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from model.card import Card, InputForm, ModelKind, Scores
from model.errors import RefusedModel, ScoringFailed
from model.infer import infer_feature
from model.schema import Feature, FeatureKind, closest_header, normalise_name
from model.schema_file import SchemaFile
from model.scorer import Predictions, Scorer
from model.validate import parse_distinct

DELIMITERS = (b",", b";", b"\t", b"|")
# So many records show whether a pipeline takes a column in one form or another.
_TRIED = 500
AS_CATEGORY, AS_OBJECT = "category", "object"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it stands in its file: `cells`, shape (n, columns), are texts, its columns named as spelt."""

    path: Path
    cells: pd.DataFrame

    def column(self, name: str) -> pd.Series:
        """The column with this name, spelt alike; raises RefusedModel, with the name that was probably meant."""
        found = [header for header in self.cells.columns if normalise_name(header) == normalise_name(name)]
        if not found:
            close = closest_header(normalise_name(name), self.cells.columns)
            hint = f"; did you mean {close!r}?" if close else f"; there are: {', '.join(self.cells.columns[:20])}"
            raise RefusedModel(f"{self.path} has no column {name!r}{hint}")
        return self.cells[found[0]]


@dataclass(frozen=True, slots=True)
class Rows:
    """The features' values of a table, one column each, and which rows, shape (n,), have no fault."""

    frame: pd.DataFrame
    good: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Brought:
    """A pipeline and its training data: `frame`, n records without faults, and what the pipeline says of them.

    `truth`, shape (n,), where there is a target: of a classifier indices into `classes`. `notes` are worth knowing.
    """

    pipeline: Any
    kind: ModelKind
    classes: tuple[str, ...]
    scores: Scores
    takes: InputForm
    features: tuple[Feature, ...]
    frame: pd.DataFrame
    predictions: Predictions
    truth: NDArray[Any]
    notes: list[str] = field(default_factory=list)

    def truth_of(self, table: Table, target: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The target's values as `truth` has them, and which are known."""
        return _truth(table.column(target), self.pipeline, self.kind)


def read_table(path: Path) -> Table:
    """Read a CSV file, gzip or not, as texts; raises RefusedModel where it is none."""
    try:
        delimiter = max(DELIMITERS, key=_first_line(path).count)
        cells = pd.read_csv(path, sep=delimiter.decode(), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise RefusedModel(f"{path} cannot be read as a CSV file: {error}") from error
    if cells.empty:
        raise RefusedModel(f"{path} has no rows")
    cells.columns = [str(name).strip() for name in cells.columns]
    return Table(path, cells)


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        plain: Any = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        return bytes(plain.readline())


def inspect(pipeline: Any, table: Table, target: str | None, schema: SchemaFile | None) -> Brought:
    """Find out what a pipeline is and takes; raises RefusedModel where it fails on its own training data."""
    kind, classes = _kind(pipeline)
    names, texts, takes = _inputs(pipeline, table, target)
    features = (
        _checked(schema, names)
        if schema
        else tuple(infer_feature(name, table.column(name), name in texts) for name in names)
    )
    rows = features_of(table, features)
    truth, known = _truth(table.column(target), pipeline, kind) if target else (np.empty(0), np.ones_like(rows.good))
    good = rows.good & known
    if not good.any():
        raise RefusedModel(
            f"no row of {table.path} fits the schema" + (" and has a target that is known" * bool(target))
        )
    frame = rows.frame[good].reset_index(drop=True)
    features, scorer = _that_works(pipeline, kind, classes, takes, features, frame, truth[good] if target else truth)
    features = _with_missing_values(scorer, features, frame)
    scores, notes = _scores(scorer, frame)
    card = scorer.card.model_copy(update={"features": features, "scores": scores})
    if not good.all():
        notes.append(f"{np.count_nonzero(~good):,} of {len(good):,} rows do not fit the schema and were left out")
    return Brought(
        pipeline=pipeline, kind=kind, classes=classes, scores=scores, takes=takes, features=features, frame=frame,
        predictions=_asked(Scorer(card, pipeline), frame), truth=truth[good] if target else truth, notes=notes,
    )  # fmt: skip


def features_of(table: Table, features: Sequence[Feature]) -> Rows:
    """The features' values of each row, read as those of an upload are."""
    good = np.ones(len(table.cells), np.bool_)
    columns = {}
    for feature in features:
        coded = pa.array(table.column(feature.name), pa.string()).dictionary_encode()
        parsed = parse_distinct(feature, coded.dictionary)
        codes = coded.indices.to_numpy()
        good &= ~np.isin(codes, parsed.at_fault)
        columns[feature.name] = parsed.values[codes]
    return Rows(pd.DataFrame(columns), good)


def _kind(pipeline: Any) -> tuple[ModelKind, tuple[str, ...]]:
    if is_regressor(pipeline):
        return ModelKind.REGRESSOR, ()
    if not is_classifier(pipeline):
        raise RefusedModel(f"a {type(pipeline).__name__} is neither a classifier nor a regressor")
    classes = np.asarray(pipeline.classes_, dtype=object)
    if classes.ndim != 1 or any(isinstance(name, np.ndarray | list) for name in classes):
        raise RefusedModel("the classifier predicts several targets at once; one is needed")
    names = tuple(map(str, classes.tolist()))
    if len(set(names)) != len(names) or len(names) < 2:
        raise RefusedModel(f"the classifier's classes are not two or more different ones: {', '.join(names)}")
    return (ModelKind.BINARY_CLASSIFIER if len(names) == 2 else ModelKind.MULTICLASS_CLASSIFIER), names


def _inputs(pipeline: Any, table: Table, target: str | None) -> tuple[list[str], set[str], InputForm]:
    """The features' names, those among them whose texts the pipeline reads itself, and what it is given."""
    others = [name for name in table.cells.columns if target is None or normalise_name(name) != normalise_name(target)]
    if (named := getattr(pipeline, "feature_names_in_", None)) is not None:
        used, texts = _used_columns(pipeline)
        return [str(name) for name in named if not used or name in used], texts, InputForm.FRAME
    count = getattr(pipeline, "n_features_in_", None)
    if count is None:
        if len(others) != 1:
            detail = f"the pipeline reads one text, and {table.path} has {len(others)} columns beside the target"
            raise RefusedModel(f"{detail}: {', '.join(others[:20])}; leave the one that it reads")
        return others, set(others), InputForm.TEXTS
    if count != len(others):
        detail = f"the pipeline takes {count} columns, whose names it does not know, and {table.path} has"
        raise RefusedModel(f"{detail} {len(others)} beside the target: {', '.join(others[:20])}")
    return others, set(), InputForm.ARRAY


def _used_columns(pipeline: Any) -> tuple[set[str], set[str]]:
    """The columns that a ColumnTransformer in front uses (none: all), and those of which it takes the bare texts."""
    first = pipeline[0] if isinstance(pipeline, Pipeline) else pipeline
    if not isinstance(first, ColumnTransformer):
        return set(), set()
    used: set[str] = set()
    texts: set[str] = set()
    for _, transformer, selected in first.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        if isinstance(selected, str):
            texts.add(selected)
        elif not isinstance(selected, list) or not all(isinstance(name, str) for name in selected):
            return set(), texts
        used |= {selected} if isinstance(selected, str) else set(selected)
    return used, texts


def _checked(schema: SchemaFile, names: Sequence[str]) -> tuple[Feature, ...]:
    """The schema's features in the pipeline's order."""
    given = {feature.name: feature for feature in schema.features}
    if lacking := [name for name in names if name not in given]:
        raise RefusedModel(f"the schema lacks features that the pipeline takes: {', '.join(lacking)}")
    if extra := [name for name in given if name not in names]:
        raise RefusedModel(f"the schema has features that the pipeline does not take: {', '.join(extra)}")
    if len(given) != len(schema.features):
        raise RefusedModel("the schema has two features of the same name")
    return tuple(given[name] for name in names)


def _truth(column: pd.Series, pipeline: Any, kind: ModelKind) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    if kind is ModelKind.REGRESSOR:
        numbers = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(np.float64)
        return numbers, np.isfinite(numbers)
    spelt = {_label(name): place for place, name in enumerate(np.asarray(pipeline.classes_).tolist())}
    places = column.map(lambda text: spelt.get(_label(text), -1)).to_numpy(np.int64)
    if (places < 0).all():
        there = ", ".join(map(repr, column.unique()[:5]))
        raise RefusedModel(f"no value of the target is one of the classes {', '.join(spelt)}; there are: {there}")
    return places, places >= 0


def _label(value: Any) -> str:
    """A class as it may stand in a file: `1`, `1.0` and ` 1` are the same."""
    text = str(value).strip()
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text.casefold()


def _that_works(
    pipeline: Any, kind: ModelKind, classes: tuple[str, ...], takes: InputForm, features: tuple[Feature, ...],
    frame: pd.DataFrame, truth: NDArray[Any],
) -> tuple[tuple[Feature, ...], Scorer]:  # fmt: skip
    """The features in the form in which the pipeline predicts from them, and best where several will do.

    A pipeline may take a column in a form that it was not fitted on and see nothing in it. Raises RefusedModel where
    it predicts from none.
    """
    refusals: list[ScoringFailed] = []
    found: list[tuple[float, int, tuple[Feature, ...], Scorer]] = []
    some, expected = frame.head(_TRIED), truth[:_TRIED]
    for way in ways(features):
        scorer = Scorer(_trial_card(kind, classes, takes, way), pipeline)
        try:
            error = _error(scorer.predict(some), expected)
        except ScoringFailed as failed:
            refusals.append(failed)
        else:
            found.append((error, len(found), way, scorer))
    if not found:
        raise RefusedModel(f"the pipeline fails on its own training data: {refusals[0].__cause__ or refusals[0]}")
    _, _, way, scorer = min(found, key=lambda each: each[:2])
    return way, scorer


def _error(predictions: Predictions, truth: NDArray[Any]) -> float:
    """How far predictions are from the truth; 0 where that is not known."""
    if not len(truth):
        return 0.0
    wrong = predictions.values != truth if predictions.values.dtype.kind == "i" else (predictions.values - truth) ** 2
    return float(np.mean(wrong))


def ways(features: tuple[Feature, ...]) -> Iterator[tuple[Feature, ...]]:
    """The features in the forms to try: each kind's own, then categories as pandas has them, dates as texts, both."""
    yield features
    changes = ({FeatureKind.CATEGORY: AS_CATEGORY}, {FeatureKind.DATE: AS_OBJECT})
    for change in (*changes, changes[0] | changes[1]):
        if any(feature.kind in change for feature in features):
            yield tuple(
                feature.model_copy(update={"pandas_dtype": change[feature.kind]}) if feature.kind in change else feature
                for feature in features
            )


def _trial_card(kind: ModelKind, classes: tuple[str, ...], takes: InputForm, features: tuple[Feature, ...]) -> Card:
    """What a scorer has to know to ask a pipeline for plain predictions."""
    return Card(
        name="trial", version="0", kind=kind, title="", description="", target="", classes=classes,
        positive_class=classes[1] if kind is ModelKind.BINARY_CLASSIFIER else None, scores=Scores.NONE,
        takes=takes, features=features, trained_at="", training_rows=0, libraries={}, artifact_sha256="",
    )  # fmt: skip


def _with_missing_values(scorer: Scorer, features: tuple[Feature, ...], frame: pd.DataFrame) -> tuple[Feature, ...]:
    """The features, those marked of which the pipeline takes missing values."""
    some = frame.head(_TRIED)
    return tuple(
        feature.model_copy(update={"missing_allowed": _predicts(scorer, some.assign(**{feature.name: None}))})
        for feature in features
    )


def _predicts(scorer: Scorer, frame: pd.DataFrame) -> bool:
    try:
        scorer.predict(frame)
    except ScoringFailed:
        return False
    return True


def _scores(scorer: Scorer, frame: pd.DataFrame) -> tuple[Scores, list[str]]:
    """What can stand beside each prediction, if it agrees with the pipeline's own predictions."""
    if scorer.card.kind is ModelKind.REGRESSOR:
        return Scores.NONE, []
    own = _asked(scorer, frame).values
    for scores, method in ((Scores.PROBABILITY, "predict_proba"), (Scores.DECISION, "decision_function")):
        if not hasattr(scorer.pipeline, method):
            continue
        try:
            found = Scorer(scorer.card.model_copy(update={"scores": scores}), scorer.pipeline).predict(frame)
        except ScoringFailed:
            continue
        different = int(np.count_nonzero(found.values != own))
        if scores is Scores.PROBABILITY and scorer.card.kind is ModelKind.BINARY_CLASSIFIER:
            # Here the threshold decides; it may do so otherwise than the pipeline.
            return scores, []
        if not different:
            return scores, []
    return Scores.NONE, [] if not hasattr(scorer.pipeline, "predict_proba") else [
        "its probabilities do not agree with its own predictions, so that only the predictions are shown"
    ]


def _asked(scorer: Scorer, frame: pd.DataFrame) -> Predictions:
    try:
        return scorer.predict(frame)
    except ScoringFailed as error:
        raise RefusedModel(f"the pipeline fails on its own training data: {error.__cause__ or error}") from error
