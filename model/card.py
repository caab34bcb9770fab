"""A model's card: what it predicts, from what, how well, and what it was trained on.

Imports the standard library and pydantic only, since the web process loads it.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from model.errors import BrokenModel
from model.files import place_of, write_atomically
from model.schema import Feature, Scalar, Schema

_EXPLAIN_EXTRA, _BOOSTERS_EXTRA = "requirements-explain.txt", "requirements-boosters.txt"
_EXTRAS = {"shap": _EXPLAIN_EXTRA, "xgboost": _BOOSTERS_EXTRA, "lightgbm": _BOOSTERS_EXTRA, "catboost": _BOOSTERS_EXTRA}


class ModelKind(StrEnum):
    """What a model's predictions are."""

    BINARY_CLASSIFIER = "binary_classifier"
    MULTICLASS_CLASSIFIER = "multiclass_classifier"
    REGRESSOR = "regressor"
    MULTIOUTPUT_CLASSIFIER = "multioutput_classifier"
    """Several targets, each with its own classes; includes multilabel classifiers."""
    MULTIOUTPUT_REGRESSOR = "multioutput_regressor"
    OUTLIER_DETECTOR = "outlier_detector"
    CLUSTERER = "clusterer"

    @property
    def has_several_targets(self) -> bool:
        """Whether each record gets a prediction for each of several targets."""
        return self in (ModelKind.MULTIOUTPUT_CLASSIFIER, ModelKind.MULTIOUTPUT_REGRESSOR)

    @property
    def predicts_classes(self) -> bool:
        """Whether predictions are among the card's classes."""
        return not self.has_several_targets and self is not ModelKind.REGRESSOR


class Scores(StrEnum):
    """What accompanies a prediction."""

    PROBABILITY = "probability"
    DECISION = "decision"
    SCORE = "score"
    """How normal a record is; below 0 it is an outlier."""
    DISTANCE = "distance"
    """The distance of a record to the centre of its cluster."""
    NONE = "none"


class LabelRule(StrEnum):
    """How a classifier's label is decided where a request names no threshold; each rule agrees with ``predict``."""

    THRESHOLD = "threshold"
    """The positive class where its probability is at least the card's threshold."""
    LIKELIEST = "likeliest"
    """The class with the highest probability, the first of equal ones."""
    PREDICT = "predict"
    """What the pipeline's ``predict`` returns."""


class InputForm(StrEnum):
    """What a pipeline takes: a frame with named columns, an array without names, or the texts of its one feature."""

    FRAME = "frame"
    ARRAY = "array"
    TEXTS = "texts"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Metrics(_Part):
    """A model's metrics on ``rows`` held-out records, as far as its kind has them.

    ``accuracy`` of a binary classifier is at the card's threshold; ``mae`` and ``rmse`` are in the target's unit.
    ``intervals`` holds 95 % confidence intervals by metric. ``measured_on`` describes the records.
    """

    rows: int
    measured_on: str = "records that it was not trained on"
    roc_auc: float | None = None
    brier: float | None = None
    log_loss: float | None = None
    accuracy: float | None = None
    r2: float | None = None
    mae: float | None = None
    rmse: float | None = None
    intervals: dict[str, tuple[float, float]] = {}


class RocPoint(_Part):
    """The shares of negative and of positive records with at least some score."""

    false_positive_rate: float
    true_positive_rate: float


class CalibrationBin(_Part):
    """Held-out records with similar predictions: their mean prediction and mean actual value.

    For a binary classifier, ``predicted`` is a probability and ``observed`` the share of positive records; for a
    regressor, both are in the target's unit.
    """

    rows: int
    predicted: float
    observed: float


class ThresholdFigures(_Part):
    """Metrics of the held-out records at a threshold; None where undefined."""

    threshold: float
    predicted_positive: float
    precision: float | None
    recall: float | None
    accuracy: float


class GroupFigures(_Part):
    """Metrics of the held-out records with one value of a feature; None where undefined or of another kind of model.

    ``observed`` and ``predicted`` are the share of positive records and their mean probability, or the mean target and
    the mean prediction. ``predicted_positive`` and the rates are at the card's threshold.
    """

    rows: int
    observed: float | None = None
    predicted: float | None = None
    predicted_positive: float | None = None
    accuracy: float | None = None
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None


class Evaluation(_Part):
    """Tables of a model's predictions on held-out records, as far as its kind has them.

    ``groups`` holds figures by feature and value. ``confusion`` has a row for each actual class and a column for each
    predicted one, both in the card's order.
    """

    roc: tuple[RocPoint, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    thresholds: tuple[ThresholdFigures, ...] = ()
    groups: dict[str, dict[str, GroupFigures]] = {}
    confusion: tuple[tuple[int, ...], ...] = ()


class ValueEffect(_Part):
    """What a value of a feature adds to the log-odds, relative to the average training record."""

    value: Scalar
    effect: float


class ExplanationMethod(_Part):
    """How a model's predictions are explained: by which method, in which unit, and relative to what.

    ``method`` is its name on pages, ``unit`` a value of ``model.explanation.explanation.Unit``, ``libraries`` are those
    that it needs. ``average_effects`` holds, by feature, the mean effect over the training records on each output,
    where explanations have to be made relative to it.
    """

    method: str
    unit: str
    libraries: tuple[str, ...] = ()
    average_effects: dict[str, tuple[float, ...]] = {}


class Histogram(_Part):
    """Counts of values between neighbouring ``edges``, one more than counts; the last bin includes both its edges."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class FeatureSummary(_Part):
    """The training values of a feature: counts by category, or a number's distribution; ``missing`` counts rows."""

    missing: int = 0
    counts: dict[str, int] | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    quantiles: dict[str, float] | None = None
    histogram: Histogram | None = None


class DataSource(_Part):
    """Where the training data comes from, and its licence."""

    title: str
    citation: str
    url: str
    licence: str


class Proof(_Part):
    """That the product predicts as the pipeline does: ``rows`` records were scored in both its ways and compared.

    ``rejected`` more were not compared, since the schema that the model's owner wrote rejects them. ``answers`` are the
    pipeline's to the card's ``sample``: the predictions of each record, then its scores. A worker that predicts
    otherwise does not serve the version; ``tolerances`` say how far each part of an answer may differ near 0.
    """

    rows: int
    rejected: int = 0
    answers: tuple[tuple[str | float, ...], ...] = ()
    tolerances: tuple[float, ...] = ()


class Card(_Part):
    """Everything about one version of a model except its fitted pipeline.

    A classifier's ``classes`` are texts in the pipeline's order; ``pipeline_classes`` are the pipeline's own names of
    them, where these differ. A model of several targets has their names in ``targets`` and the classes of each in
    ``target_classes``. ``takes`` is the form of the pipeline's input. ``written_schema``: the features are as the
    model's owner wrote them, not inferred, and a record that they reject is rejected whatever the pipeline says.

    ``scores`` says what accompanies a prediction, ``labels_by`` how a classifier's label is decided, ``threshold`` from
    which probability a record is positive; it is None where no threshold gives the pipeline's own labels. A regressor's
    predictions are counted between the 21 ``prediction_edges``. ``proof`` says how predictions were checked.

    ``explanation`` says how predictions are explained, ``explanation_obstacle`` why they are not. An ``additive`` model
    is scored from a table per feature, and ``effects`` are those of its values. ``importance`` holds, by feature, by
    how much the first of the metrics drops when the feature's values are shuffled. ``caution`` names, in plain words,
    uses that are out of scope. ``sample`` holds a few training records, values in feature order, None for missing.

    ``trusted`` names the types, beyond those always trusted, that the artifact may hold; ``module_sha256`` is the
    checksum of the Python module that it needs, if any. ``trained_at`` is RFC 3339 in UTC.
    """

    name: str
    version: str
    kind: ModelKind
    title: str
    description: str
    caution: str | None = None
    target: str
    classes: tuple[str, ...] = ()
    pipeline_classes: tuple[str, ...] = ()
    positive_class: str | None = None
    targets: tuple[str, ...] = ()
    target_classes: tuple[tuple[str, ...], ...] = ()
    scores: Scores = Scores.PROBABILITY
    takes: InputForm = InputForm.FRAME
    labels_by: LabelRule = LabelRule.THRESHOLD
    threshold: float | None = 0.5
    features: tuple[Feature, ...]
    written_schema: bool = False
    metrics: Metrics | None = None
    evaluation: Evaluation | None = None
    trained_at: str
    training_rows: int
    summary: dict[str, FeatureSummary] = {}
    sample: tuple[tuple[Scalar, ...], ...] = ()
    additive: bool = False
    explanation: ExplanationMethod | None = None
    explanation_obstacle: str | None = None
    effects: dict[str, tuple[ValueEffect, ...]] = {}
    importance: dict[str, float] = {}
    prediction_edges: tuple[float, ...] = ()
    trusted: tuple[str, ...] = ()
    module_sha256: str | None = None
    libraries: dict[str, str]
    artifact_sha256: str
    proof: Proof | None = None
    source: DataSource | None = None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed, without what was cached of the former ones."""
        copied = super().model_copy(update=update, deep=deep)
        # pydantic copies ``__dict__``, in which ``cached_property`` keeps its value.
        copied.__dict__.pop("record_schema", None)
        return copied

    @cached_property
    def record_schema(self) -> Schema:
        """The features as a schema, which matches columns and validates records."""
        return Schema(features=self.features)

    @property
    def prediction_columns(self) -> tuple[str, ...]:
        """Names of the result columns with predictions: ``prediction``, or one for each of several targets."""
        if self.kind.has_several_targets:
            return tuple(f"prediction_{target}" for target in self.targets)
        return ("prediction",)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Names of the result columns after the prediction: ``probability``, or one for each class, or none."""
        if self.scores is Scores.NONE:
            return ()
        if self.kind is ModelKind.MULTICLASS_CLASSIFIER:
            return tuple(f"{self.scores.value}_{name}" for name in self.classes)
        return (self.scores.value,)

    @property
    def result_columns(self) -> tuple[str, ...]:
        """Names of the columns that scoring appends to a file."""
        return (*self.prediction_columns, *self.score_columns, "error")

    @property
    def is_explained(self) -> bool:
        """Whether this installation can explain the model's predictions."""
        return self.obstacle_to_explanation is None

    @property
    def obstacle_to_explanation(self) -> str | None:
        """Why this installation does not explain predictions, a clause without a full stop; None where it does."""
        if self.explanation is None:
            return self.explanation_obstacle or "nothing explains this model exactly"
        return missing_library(self.explanation.libraries)

    @property
    def decides_by_threshold(self) -> bool:
        """Whether a threshold on the model's probability decides its prediction."""
        is_binary = self.kind is ModelKind.BINARY_CLASSIFIER and self.scores is Scores.PROBABILITY
        return is_binary and self.threshold is not None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a card from JSON; raise FileNotFoundError, or BrokenModel where the file is not a card."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise BrokenModel(
                f"the card {place_of(path)} is not a model card: {where or 'JSON'}: {first['msg']}"
            ) from error

    def save(self, path: Path) -> None:
        """Write the card as JSON, atomically."""
        write_atomically(path, (self.model_dump_json(indent=2) + "\n").encode())


def missing_library(libraries: Iterable[str]) -> str | None:
    """Return what to install, a clause without a full stop, if one of these libraries is missing."""
    for library in libraries:
        # Not imported: the web process asks this too, and has no use for the library.
        if find_spec(library) is None:
            extra = f" (pip install -r {_EXTRAS[library]})" if library in _EXTRAS else ""
            return f"explaining it needs the library {library}{extra}"
    return None


def sample_csv(card: Card, rows: int = 20) -> str:
    """Return a small valid CSV: feature names, then up to ``rows`` training records; missing values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(feature.name for feature in card.features)
    writer.writerows([_as_text(value) for value in values] for values in card.sample[:rows])
    return text.getvalue()


def _as_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
