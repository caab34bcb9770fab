"""What goes over HTTP, as pydantic models: the API's description is made from them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from jobs.csv.decoding import ENCODINGS
from jobs.state import JobState
from model.monitoring.drift import Verdict

# A time and a job's id: whatever looks like this is a place in the list.
CURSOR = r"^([0-9]{1,12}\.[0-9]{1,9}-[0-9a-f]{32})?$"


class Described(BaseModel):
    """A model of the description; what else comes with it counts for nothing."""

    model_config = ConfigDict(extra="ignore")


class UploadQuery(Described):
    """Parameters of an upload; in a multipart body they may be form fields instead."""

    model: str | None = Field(
        None,
        description="model to score with, by default the default model; two with a comma between are compared; "
        "`name@version` is a version",
    )
    version: str | None = Field(None, description="version of the model; by default its current one")
    filename: str | None = Field(None, description="name of the file (raw bodies)")
    threshold: float | None = Field(None, ge=0, le=1, description="probability from which on a row is positive")
    encoding: str | None = Field(
        None,
        description="encoding of the file, if it should not be found out: one of these, by any of its names, "
        "or `utf-16-le` or `utf-16-be` for a file without a byte order mark",
        json_schema_extra={"enum": ["", *ENCODINGS]},
    )
    explain: int | None = Field(None, ge=1, description="so many of each row's strongest features, with their effects")
    warnings: bool = Field(False, description="a column that tells what of a scored row never occurred in training")


class ResultsQuery(Described):
    """What of the results, and how."""

    escape: Literal["formulas"] | None = Field(None, description="make fields harmless that a spreadsheet would run")
    follow: bool = Field(False, description="stream chunks as they are done, and end when the job does")
    partial: bool = Field(False, description="of a canceled job: the finished leading rows")


class RejectsQuery(Described):
    """How."""

    escape: Literal["formulas"] | None = Field(None, description="make fields harmless that a spreadsheet would run")


class JobsQuery(Described):
    """A page of the list of jobs."""

    limit: int = Field(50, ge=1, le=200, description="most jobs on the page")
    cursor: str | None = Field(None, pattern=CURSOR, description="`next_cursor` of the page before")
    state: JobState | None = Field(None, description="only jobs in this state")


class ModelQuery(Described):
    """Which version of a model."""

    version: str | None = Field(None, description="version of the model; by default its current one")


class Fault(Described):
    """One of the things that are wrong."""

    code: str
    column: str | None = None
    row: int | None = None
    value: str | None = None
    detail: str
    did_you_mean: str | None = None


class ProblemDocument(Described):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[Fault] = []


class ModelVersion(Described):
    """A version of a model."""

    name: str
    version: str


class Rows(Described):
    """Counts of a job's rows."""

    total: int | None
    scored: int
    rejected: int
    warned: int = Field(description="of the scored rows, those with a value that never occurred in training")


class JobDocument(Described):
    """A job."""

    id: str
    state: JobState
    model: ModelVersion
    models: list[ModelVersion] | None = Field(None, description="both, where two are compared")
    filename: str
    bytes: int
    encoding: str
    delimiter: str
    threshold: float | None
    explain: int | None
    rows: Rows
    progress: float = Field(ge=0, le=1)
    rows_per_second: float | None
    eta_seconds: float | None
    queue_position: int | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str
    error: ProblemDocument | None
    links: dict[str, str]


class Histogram(Described):
    """Counts of rows by probability; bin n lies between edges n and n + 1."""

    edges: list[float]
    counts: list[int]


class RejectCount(Described):
    """How often one fault occurred in one column (null: the record as a whole)."""

    column: str | None
    code: str
    count: int


class WarningCount(Described):
    """How often values of one column that never occurred in training were scored."""

    column: str
    code: str
    count: int


class DriftBin(Described):
    """A bin of values, with its shares of the training records and of the file's valid ones."""

    label: str
    training: float
    file: float


class FeatureDrift(Described):
    """How one feature's values differ from those in training."""

    psi: float = Field(description="population stability index over the bins")
    verdict: Verdict = Field(description="by its size: from 0.1 `some`, from 0.25 `far`; `unclear`: too few rows")
    words: str
    rows: int = Field(description="rows whose record could be read")
    missing: float = Field(description="share of rows without a value")
    training_missing: float = Field(description="the same in training")
    rejected: float = Field(description="share of rows whose value was rejected")
    outside: float = Field(description="share of rows whose number is out of the range allowed or seen in training")
    unseen: int = Field(description="rows with a value that is no category of the training data")
    bins: list[DriftBin]
    absent: list[str] = Field(description="categories of the training data that do not occur, chance aside")
    rare: list[str] = Field(description="categories with less than a fifth of their share in training, chance aside")


class ModelSummary(ModelVersion):
    """Counts of what one of two models predicted."""

    predictions: dict[str, int]
    probability: Histogram
    values: Histogram | None = None


class Agreement(Described):
    """How far two models agree; null where that makes no sense for the two."""

    rows: int = Field(description="rows scored")
    equal: int | None = Field(description="rows with the same prediction, of classifiers of the same classes")
    share: float | None = Field(description="their share of the rows")
    mean_difference: float | None = Field(
        description="mean absolute difference of the probabilities (of more than two classes, half the sum over the "
        "classes) or of a regressor's predictions"
    )


class SummaryDocument(Described):
    """Counts of a job's results."""

    rows: Rows
    predictions: dict[str, int]
    probability: Histogram
    values: Histogram | None = Field(None, description="a regressor's predictions by their bins, the outer ones open")
    models: list[ModelSummary] | None = Field(None, description="each of two models that are compared")
    agreement: Agreement | None = Field(None, description="how far these agree")
    rejects: list[RejectCount]
    warnings: list[WarningCount] = Field(description="values that never occurred in training and were scored")
    drift: dict[str, FeatureDrift] | None = Field(
        None, description="how the values differ from the training data, by feature; null where it is not known"
    )


class JobList(Described):
    """A page of jobs, newest first."""

    jobs: list[JobDocument]
    next_cursor: str | None


class Contribution(Described):
    """What one feature adds to the model's raw output, relative to the average training record."""

    feature: str
    value: bool | str | float | None
    effect: float


class PredictionDocument(Described):
    """A prediction of one record."""

    id: str
    model: ModelVersion
    prediction: str | float | dict[str, str | float] = Field(description="of several targets, one for each by name")
    probability: float | None = Field(None, description="of the positive class (binary classifiers)")
    decision: float | None = Field(None, description="decision value (binary classifiers without probabilities)")
    probabilities: dict[str, float] | None = Field(None, description="of each class, where there are more than two")
    decisions: dict[str, float] | None = None
    score: float | None = Field(None, description="how normal the record is (outlier detectors)")
    distance: float | None = Field(None, description="from the centre of its cluster (clusterers)")
    threshold: float | None = Field(None, description="null where the model decides without one")
    warnings: list[Fault] | None = Field(None, description="values that never occurred in training")
    baseline: float | None = Field(None, description="with the effects, sums to the model's raw output")
    effects_in: str | None = Field(
        None, description="unit of baseline and effects: `log_odds`, `uncalibrated_score`, …"
    )
    contributions: list[Contribution] | None = None
    links: dict[str, str]


class PredictionList(Described):
    """Predictions of several records, in order: each a prediction or an error."""

    id: str
    predictions: list[dict[str, Any]]
    links: dict[str, str]


class Prediction(RootModel[PredictionDocument | PredictionList]):
    """The answer for one record or for several."""


class PendingDocument(Described):
    """A prediction that is not there yet."""

    id: str
    state: Literal["queued"]
    links: dict[str, str]


class PredictionRequest(Described):
    """One record, or up to 1,000: values by the names of the model's features."""

    model: str | None = None
    version: str | None = Field(None, description="version of the model; by default its current one")
    threshold: float | None = Field(None, ge=0, le=1, strict=True)
    record: dict[str, Any] | None = None
    records: list[dict[str, Any]] | None = Field(None, min_length=1, max_length=1000)


class PreflightDocument(Described):
    """What an upload that begins like this would meet."""

    encoding: str
    delimiter: str
    columns: list[dict[str, Any]]
    missing_columns: list[dict[str, Any]]
    extra_columns: list[str]
    rows_seen: int
    faults: list[dict[str, Any]]
    examples: list[dict[str, Any]]


class ModelDocument(BaseModel):
    """A model."""

    model_config = ConfigDict(extra="allow")

    name: str
    version: str
    kind: str
    title: str
    target: str
    classes: list[str]
    positive_class: str | None
    features: list[dict[str, Any]]
    metrics: dict[str, Any] | None
    trained_at: str
    training_rows: int
    default: bool


class BrokenModelDocument(Described):
    """A model that cannot be used, and why."""

    name: str
    broken: str
    default: bool


class ModelList(Described):
    """All models."""

    models: list[ModelDocument | BrokenModelDocument]
