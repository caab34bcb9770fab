"""The Redis hash of a job: its field names, and the only code that encodes and decodes it.

The Lua scripts name the fields that they read and move. ``tests/jobs/store/test_job_record.py`` checks that each name
in a script is a ``JobField``.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from jobs.csv.dialect import Dialect
from jobs.messages import InputChunk
from jobs.state import Job, JobState, Owner, Visibility
from jobs.store.chunks import ClaimedChunk, NewJob, ReplacedChunk
from jobs.tracing import traceparent
from jobs.version import PROTOCOL

Encoded = str | bytes | int | float
Fields = dict["JobField", Encoded]


class JobField(StrEnum):
    """Fields of the hash. Missing optional values are empty strings or absent."""

    STATE = "state"
    TRACEPARENT = "traceparent"  # trace of the upload; absent: none
    PROTOCOL = "protocol"  # of the version that began the job; absent: the first
    MODEL = "model"
    VERSION = "version"
    COMPARED = "compared"  # a second model, as ``name@version``
    FILENAME = "filename"
    ENCODING = "encoding"
    CODEC = "codec"  # Python's name of the encoding
    DIALECT = "dialect"  # JSON: how the file is written
    DELIMITER = "delimiter"  # of the translated file
    LINE_END = "line_end"
    THRESHOLD = "threshold"
    EXPLAIN = "explain"
    WARNINGS = "warnings"
    HEADER = "header"  # of the results
    INPUT_HEADER = "input_header"
    COLUMNS = "columns"  # JSON: feature -> column number
    WIDTH = "width"
    ADDED = "added"
    SIZE = "size"
    TOTAL = "total"  # absent until the upload is complete
    SCORED = "scored"
    REJECTED = "rejected"
    SCORING_FAILED = "scoring_failed"
    WARNED = "warned"
    REPAIRED = "repaired"
    NEXT = "next"  # number of the first chunk that has not been handed out
    CHUNKS = "chunks"
    DONE = "done"  # chunks recorded
    REVISION = "revision"
    CREATED = "created"
    STARTED = "started"
    FINISHED = "finished"
    EXPIRES = "expires"
    CHANGED = "changed"
    RETENTION = "retention"
    SEALED = "sealed"
    SHOWN = "shown"  # visible before it is sealed: results are streamed while the upload runs
    ERROR = "error"
    CORRECTS = "corrects"  # id of the job whose rejected rows this one corrects
    BLOBS = "blobs"  # ids of other jobs to whose objects the hashes of this one may refer, separated by spaces
    CORRECTED_BY = "corrected_by"  # ids of the jobs that correct this one, separated by spaces
    ADDED_COLUMNS = "added_columns"  # JSON: names of the result columns, each with whether it holds numbers
    FORMAT = "format"  # of the upload; the fields below are those of a file that is converted to CSV
    SHEET = "sheet"  # asked for, then the one that is read
    DROP_RESULTS = "drop_results"  # 1 if columns of earlier results are dropped
    CONVERTING = "converting"  # 1 until the conversion has ended
    CONVERSION = "conversion"  # part of the file that is converted, 0..1
    CONVERTED = "converted"  # rows converted so far
    SCHEMA = "schema"  # Arrow schema of the file's columns, as base64
    KINDS = "kinds"  # JSON: kinds of values found in each column of a file without a schema
    PROBLEM = "problem"  # JSON: code and errors of a file that was refused when it was converted
    OWNER = "owner"  # id of the user; empty: nobody
    OWNER_NAME = "owner_name"
    VISIBILITY = "visibility"
    CONFIRMED = "confirmed"  # how often replicas were asked to confirm the job before it was acknowledged
    FINGERPRINT = "fingerprint"  # of the body and parameters, for the idempotency key


_COUNTERS = (
    JobField.NEXT,
    JobField.CHUNKS,
    JobField.DONE,
    JobField.SCORED,
    JobField.REJECTED,
    JobField.SCORING_FAILED,
    JobField.WARNED,
    JobField.REPAIRED,
    JobField.REVISION,
    JobField.SEALED,
    JobField.SIZE,
)


class JobRecord:
    """The hash of one job as it came from Redis.

    Fields that earlier versions did not write have defaults, so that their jobs survive an upgrade.
    """

    def __init__(self, raw: Mapping[bytes, bytes]) -> None:
        self._raw = raw

    @staticmethod
    def encode_new(new: NewJob, now: float, retention_seconds: int) -> Fields:
        """Return all fields of a job whose upload begins."""
        return {
            **JobRecord.encode_options(new),
            JobField.STATE: JobState.QUEUED.value,
            JobField.PROTOCOL: PROTOCOL,
            **({JobField.TRACEPARENT: parent} if (parent := traceparent()) else {}),
            JobField.ENCODING: new.encoding,
            JobField.CODEC: new.codec,
            JobField.DIALECT: json.dumps(new.dialect.encode()),
            JobField.DELIMITER: new.delimiter,
            JobField.LINE_END: new.line_end,
            JobField.INPUT_HEADER: new.input_header,
            JobField.WIDTH: new.width,
            JobField.SHOWN: int(new.shown),
            JobField.FORMAT: new.format,
            **({JobField.CONVERTING: 1} if new.format != "csv" else {}),
            JobField.OWNER: new.owner.id,
            JobField.OWNER_NAME: new.owner.name,
            JobField.CREATED: now,
            JobField.CHANGED: now,
            JobField.EXPIRES: now + retention_seconds,
            JobField.RETENTION: retention_seconds,
            **dict.fromkeys(_COUNTERS, 0),
        }

    @staticmethod
    def encode_options(new: NewJob) -> Fields:
        """Return the fields that form fields after the file may still change."""
        return {
            JobField.MODEL: new.model,
            JobField.VERSION: new.version,
            JobField.COMPARED: "@".join(new.compared) if new.compared else "",
            JobField.FILENAME: new.filename,
            JobField.THRESHOLD: "" if new.threshold is None else repr(new.threshold),
            JobField.EXPLAIN: new.explain or 0,
            JobField.WARNINGS: int(new.warnings),
            JobField.HEADER: new.header,
            JobField.COLUMNS: json.dumps(dict(new.columns)),
            JobField.ADDED: new.added,
            JobField.ADDED_COLUMNS: json.dumps(new.added_columns),
            JobField.SHEET: new.sheet or "",
            JobField.DROP_RESULTS: int(new.drop_results),
            JobField.VISIBILITY: new.visibility.value,
        }

    @property
    def visible(self) -> bool:
        """Whether clients may see the job: its upload is complete, or its results are streamed meanwhile."""
        return self._flag(JobField.SEALED) or self._flag(JobField.SHOWN)

    def job(self, job_id: str) -> Job:
        """Decode the job with this id."""
        return Job(
            id=job_id,
            state=JobState(self._text(JobField.STATE)),
            model=self._text(JobField.MODEL),
            version=self._text(JobField.VERSION),
            filename=self._text(JobField.FILENAME),
            encoding=self._text(JobField.ENCODING),
            delimiter=self._text(JobField.DELIMITER),
            line_end=self._text(JobField.LINE_END),
            threshold=self._optional_float(JobField.THRESHOLD),
            explain=self._int(JobField.EXPLAIN, 0) or None,
            warnings=self._flag(JobField.WARNINGS),
            header=self._bytes(JobField.HEADER),
            input_header=self._bytes(JobField.INPUT_HEADER),
            size=self._int(JobField.SIZE),
            total=self._int(JobField.TOTAL) if JobField.TOTAL.encode() in self._raw else None,
            scored=self._int(JobField.SCORED),
            rejected=self._int(JobField.REJECTED),
            warned=self._int(JobField.WARNED, 0),
            repaired=self._int(JobField.REPAIRED, 0),
            chunks=self._int(JobField.CHUNKS),
            done=self._int(JobField.DONE),
            revision=self._int(JobField.REVISION),
            created=float(self._bytes(JobField.CREATED)),
            started=self._optional_float(JobField.STARTED),
            finished=self._optional_float(JobField.FINISHED),
            expires=float(self._bytes(JobField.EXPIRES)),
            changed=float(self._bytes(JobField.CHANGED)),
            sealed=self._flag(JobField.SEALED),
            error=self._text(JobField.ERROR) if JobField.ERROR.encode() in self._raw else None,
            compared=self._compared(),
            corrects=self._optional_text(JobField.CORRECTS),
            corrected_by=tuple((self._optional_text(JobField.CORRECTED_BY) or "").split()),
            dialect=self._dialect(),
            codec=self._raw.get(JobField.CODEC.encode(), b"utf-8").decode(),
            added_columns=tuple((name, bool(number)) for name, number in self._json(JobField.ADDED_COLUMNS) or ()),
            format=self._optional_text(JobField.FORMAT) or "csv",
            sheet=self._optional_text(JobField.SHEET),
            drop_results=self._flag(JobField.DROP_RESULTS),
            converting=self._flag(JobField.CONVERTING),
            conversion=self._optional_float(JobField.CONVERSION) or 0.0,
            converted=self._int(JobField.CONVERTED, 0),
            schema=self._optional_text(JobField.SCHEMA),
            kinds=self._json(JobField.KINDS),
            problem=self._json(JobField.PROBLEM),
            owner=Owner(self._text(JobField.OWNER, ""), self._text(JobField.OWNER_NAME, "")),
            visibility=Visibility(self._text(JobField.VISIBILITY, Visibility.PRIVATE)),
        )

    def claimed_chunk(
        self, owner: str, attempt: int, lost: int, chunk: InputChunk, replaced: ReplacedChunk | None = None
    ) -> ClaimedChunk:
        """Decode what a worker needs of the job to score the chunk that it holds."""
        return ClaimedChunk(
            owner=owner,
            attempt=attempt,
            lost=lost,
            chunk=chunk,
            model=self._text(JobField.MODEL),
            version=self._text(JobField.VERSION),
            delimiter=self._text(JobField.DELIMITER),
            threshold=self._optional_float(JobField.THRESHOLD),
            columns=json.loads(self._bytes(JobField.COLUMNS)),
            width=self._int(JobField.WIDTH),
            added=self._int(JobField.ADDED, 3),
            explain=self._int(JobField.EXPLAIN, 0) or None,
            warnings=self._flag(JobField.WARNINGS),
            compared=self._compared(),
            replaced=replaced,
            dialect=self._dialect(),
            input_header=self._bytes(JobField.INPUT_HEADER),
            of_json=self._optional_text(JobField.FORMAT) == "jsonl",
            traceparent=self._optional_text(JobField.TRACEPARENT) or "",
        )

    def _bytes(self, name: JobField) -> bytes:
        return self._raw[name.encode()]

    def _text(self, name: JobField, default: str | None = None) -> str:
        if default is None:
            return self._raw[name.encode()].decode()
        return self._raw.get(name.encode(), default.encode()).decode()

    def _optional_text(self, name: JobField) -> str | None:
        raw = self._raw.get(name.encode())
        return raw.decode() if raw else None

    def _int(self, name: JobField, default: int | None = None) -> int:
        if default is None:
            return int(self._raw[name.encode()])
        return int(self._raw.get(name.encode(), default))

    def _json(self, name: JobField) -> Any:
        raw = self._raw.get(name.encode())
        return json.loads(raw) if raw else None

    def _flag(self, name: JobField) -> bool:
        return self._raw.get(name.encode()) == b"1"

    def _optional_float(self, name: JobField) -> float | None:
        raw = self._raw.get(name.encode())
        return float(raw) if raw else None

    def _dialect(self) -> Dialect:
        # Jobs of earlier versions have the dialects that need no translation.
        own = {"delimiter": self._text(JobField.DELIMITER), "line_end": self._text(JobField.LINE_END)}
        return Dialect.decode(own | json.loads(self._raw.get(JobField.DIALECT.encode(), b"{}")))

    def _compared(self) -> tuple[str, str] | None:
        raw = self._raw.get(JobField.COMPARED.encode())
        if not raw:
            return None
        name, _, version = raw.decode().partition("@")
        return name, version
