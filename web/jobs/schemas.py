"""Jobs and their summaries as the API returns them, as pydantic models: the OpenAPI description is made from them."""

from pydantic import Field

from jobs.formats.detection import Format
from jobs.state import JobState, Visibility
from model.monitoring.drift import Verdict
from web.schemas import Described, ModelVersion, ProblemDocument


class Rows(Described):
    """Row counts of a job."""

    total: int | None
    scored: int
    rejected: int
    warned: int = Field(description="scored rows with a value that did not occur in training")
    repaired: int = Field(description="scored rows in which one quote was taken away or doubled to read them")


_NOTES = "counts of what was done to rows so that they could be read, by kind: `repaired_quote`"


class Converting(Described):
    """How much of a file that is not CSV has been converted."""

    progress: float = Field(ge=0, le=1)
    rows: int


class JobDocument(Described):
    """A job."""

    id: str
    state: JobState
    model: ModelVersion
    models: list[ModelVersion] | None = Field(None, description="both, where two are compared")
    owner: str | None = Field(None, description="e-mail address of the owner; left out where signing in is off")
    visibility: Visibility | None = Field(None, description="`team`: all who are signed in see the job")
    filename: str
    bytes: int
    format: Format
    sheet: str | None = Field(description="the workbook's sheet that is read")
    converting: Converting | None = Field(description="null for CSV, and once the whole file is converted")
    encoding: str
    delimiter: str
    decimal: str = Field(description="decimal mark of the numbers: `.` or `,`")
    skipped_lines: int = Field(description="lines before the header, which appear in the results as they are")
    threshold: float | None
    explain: int | None
    rows: Rows
    notes: dict[str, int] = Field(description=_NOTES)
    progress: float = Field(ge=0, le=1)
    rows_per_second: float | None
    eta_seconds: float | None
    queue_position: int | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str
    error: ProblemDocument | None
    corrects: str | None = Field(description="id of the job whose rejected rows this one corrects")
    links: dict[str, str]


class Histogram(Described):
    """Counts of rows by probability; bin n lies between edges n and n + 1."""

    edges: list[float]
    counts: list[int]


class RejectCount(Described):
    """Number of faults of one kind in one column (null: the record as a whole)."""

    column: str | None
    code: str
    count: int


class WarningCount(Described):
    """Number of scored values of one column that did not occur in training."""

    column: str
    code: str
    count: int


class DriftBin(Described):
    """A bin of values: its shares of the training records and of the file's valid records."""

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
    """Prediction counts of one of two models."""

    predictions: dict[str, int]
    probability: Histogram
    values: Histogram | None = None


class Agreement(Described):
    """Agreement of two models; members that make no sense for the two are null."""

    rows: int = Field(description="rows scored")
    equal: int | None = Field(description="rows with the same prediction, of classifiers of the same classes")
    share: float | None = Field(description="their share of the rows")
    mean_difference: float | None = Field(
        description="mean absolute difference of the probabilities (of more than two classes, half the sum over the "
        "classes) or of a regressor's predictions"
    )


class RepairedRow(Described):
    """A row that was repaired."""

    row: int
    code: str = Field(description="`repaired_quote`: one quote was taken away or doubled")


class SummaryDocument(Described):
    """A job's results in counts."""

    rows: Rows
    predictions: dict[str, int]
    probability: Histogram
    values: Histogram | None = Field(None, description="a regressor's predictions by their bins, the outer ones open")
    models: list[ModelSummary] | None = Field(None, description="each of two models that are compared")
    agreement: Agreement | None = Field(None, description="agreement of the two")
    rejects: list[RejectCount]
    warnings: list[WarningCount] = Field(description="values that never occurred in training and were scored")
    notes: dict[str, int] = Field(description=_NOTES)
    repaired: list[RepairedRow] = Field(
        description="the repaired rows, in order: all of up to 1,000, and of more, the first 1,000 of each chunk of "
        "the file until about 10,000 rows have been repaired; `rows.repaired` counts all",
        max_length=10_000,
    )
    drift: dict[str, FeatureDrift] | None = Field(
        None, description="how the values differ from the training data, by feature; null where it is not known"
    )


class RejectedColumn(Described):
    """A column of the input: the features of the models that it holds, and the values that it may have."""

    name: str
    features: list[str]
    choices: list[str] | None = Field(description="of a category or a boolean; null for others and unknown columns")


class RecordFault(Described):
    """A fault of a rejected record."""

    column: str | None = Field(description="feature, or null: the record as a whole")
    code: str
    value: str
    detail: str


class RejectedRecord(Described):
    """A rejected record: its row, the fields of the input in order, and its faults."""

    row: int = Field(alias="_row")
    values: list[str]
    errors: list[RecordFault]


class RejectedRecordsDocument(Described):
    """A page of rejected records, in the order of the file."""

    columns: list[RejectedColumn]
    records: list[RejectedRecord]
    next_cursor: str | None
    total: int = Field(description="rejected rows of the job")


class JobList(Described):
    """A page of jobs, newest first."""

    jobs: list[JobDocument]
    next_cursor: str | None
