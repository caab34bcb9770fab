"""Query parameters, requests and documents of the API as pydantic models, which the OpenAPI description shows."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, WithJsonSchema

from jobs.export_request import ExportFormat
from jobs.formats.detection import Format
from jobs.state import JobState
from web.request_limits import MAX_PAGE_SIZE, MAX_RECORDS, MAX_REJECTS
from web.schemas import Described, Fault, ModelVersion

CURSOR = r"^([0-9]{1,12}\.[0-9]{1,9}-[0-9a-f]{32})?$"
"""Pattern of a list cursor: a creation time and a job id."""

# In place, since a parameter is no reason for a schema of its own.
_EXPORT_FORMAT = {"anyOf": [{"type": "string", "enum": list(ExportFormat)}, {"type": "null"}]}


REJECTS_CURSOR = r"^([0-9]{1,9}-[0-9]{1,9})?$"
"""Pattern of a cursor of rejected records: a chunk, and a record in it."""


class DownloadQuery(Described):
    """In which form."""

    escape: Literal["formulas"] | None = Field(
        None, description="prefix fields that a spreadsheet would run as formulas with an apostrophe"
    )
    output_encoding: Literal["utf-8"] | None = Field(
        None, description="encoding of the file; by default that of the input, with its byte order mark"
    )


class RejectsQuery(DownloadQuery):
    """Which rejects, and in which form."""

    shape: Literal["faults", "records"] = Field(
        "faults", description="`faults`: a line per fault; `records`: a line per record, to be edited and sent back"
    )


class RejectedRecordsQuery(Described):
    """A page of rejected records."""

    limit: int = Field(100, ge=1, le=MAX_REJECTS, description="maximum number of records on the page")
    cursor: str | None = Field(None, pattern=REJECTS_CURSOR, description="`next_cursor` of the page before")
    column: str | None = Field(None, description="only records with `value` in this column of the input")
    value: str = Field("", description="the value that `column` holds")


class ResultsQuery(DownloadQuery):
    """Which results, and in which form."""

    format: Annotated[ExportFormat | None, WithJsonSchema(_EXPORT_FORMAT)] = Field(
        None,
        description="format of the results, by default as `Accept` says, or CSV; `excel-csv` is CSV that Excel opens "
        "as it is: with a byte order mark, CRLF and escaped formulas",
    )
    follow: bool = Field(
        False, description="of CSV and JSON lines: stream chunks as they are scored, until the job ends"
    )
    partial: bool = Field(False, description="of a canceled job: the leading rows that were scored")


class JobsQuery(Described):
    """A page of the list of jobs."""

    limit: int = Field(50, ge=1, le=MAX_PAGE_SIZE, description="maximum number of jobs on the page")
    cursor: str | None = Field(None, pattern=CURSOR, description="`next_cursor` of the page before")
    state: JobState | None = Field(None, description="only jobs in this state")


class ModelQuery(Described):
    """Which version of a model."""

    version: str | None = Field(None, description="version of the model; by default its current one")


class Contribution(Described):
    """What a feature adds to the model's raw output, compared with the average training record."""

    feature: str
    value: bool | str | float | None
    effect: float


class PredictionDocument(Described):
    """A prediction of one record."""

    id: str
    model: ModelVersion
    prediction: str | float | dict[str, str | float] = Field(description="of several targets, one per target")
    probability: float | None = Field(None, description="of the positive class (binary classifiers)")
    decision: float | None = Field(None, description="decision value (binary classifiers without probabilities)")
    probabilities: dict[str, float] | None = Field(
        None, description="by class, of classifiers of more than two classes"
    )
    decisions: dict[str, float] | None = None
    score: float | None = Field(None, description="higher is more normal (outlier detectors)")
    distance: float | None = Field(None, description="from the center of its cluster (clusterers)")
    threshold: float | None = Field(None, description="null for models that decide without one")
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
    """A prediction that has not been answered yet."""

    id: str
    state: Literal["queued"]
    links: dict[str, str]


class PredictionRequest(Described):
    """One record, or up to 1,000: values by the names of the model's features."""

    model: str | None = None
    version: str | None = Field(None, description="version of the model; by default its current one")
    threshold: float | None = Field(None, ge=0, le=1, strict=True)
    record: dict[str, Any] | None = None
    records: list[dict[str, Any]] | None = Field(None, min_length=1, max_length=MAX_RECORDS)


class PreflightDocument(Described):
    """How an upload that begins like this would be read."""

    format: Format
    sheets: list[str] = Field(description="of a workbook")
    sheet: str | None = Field(description="the one that would be read")
    checked: bool = Field(description="false for a file too large to be read before it is uploaded")
    complete: bool = Field(description="the report covers all rows of the file, not only the first ones")
    encoding: str
    byte_order_mark: bool
    delimiter: str
    quote: str
    decimal: str = Field(description="decimal mark of the numbers: `.` or `,`")
    skipped_lines: int = Field(description="lines before the header, which appear in the results as they are")
    dropped_names: int = Field(description="empty names at the end of the header, which are dropped")
    result_columns: list[str] = Field(description="columns that earlier results added; `drop_results=true` drops them")
    notes: list[str] = Field(description="what was found out about the file and will be done about it, for people")
    columns: list[dict[str, Any]]
    missing_columns: list[dict[str, Any]]
    extra_columns: list[str]
    rows_seen: int
    faults: list[dict[str, Any]] = Field(
        description="faults of rows that would be rejected, counted by code and column"
    )
    warnings: list[dict[str, Any]] = Field(
        description="warnings of rows that would be scored, counted by code and column"
    )
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
