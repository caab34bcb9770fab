"""Convert an uploaded file to CSV: the chunks that scoring reads are stored, and scored, while conversion goes on.

A worker may be killed at any moment. The next attempt reads the file anew and goes on after the last row that the store
has. It may cut chunks elsewhere, as another version does: rows are compared, not chunks, so that none is lost or
repeated.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO

from jobs.csv.dialect import Dialect
from jobs.csv.earlier_results import ResultsDropper, result_columns
from jobs.csv.header_refusals import duplicate_columns, missing_columns
from jobs.csv.reader import Chunk, Cutter, Header
from jobs.csv.records import as_field, index_records
from jobs.csv.totals import TotalsFinder
from jobs.errors import RateLimited, UploadRefused
from jobs.formats.detection import Format
from jobs.formats.frames import ReadOptions
from jobs.formats.process import SourceHeader, SourceReader, SourceRows, reading, sheets_hint
from jobs.formats.typed import csv_text, first_columns, first_fields, rows_after, unpack
from jobs.messages import InputChunk
from jobs.settings import Settings
from jobs.state import Job
from jobs.store.job_record import Encoded, JobField
from jobs.store.job_store import JobStore
from jobs.store.task_sender import TaskSender
from model.card import Card
from model.joint_schema import joint_schema, match_columns

DELIMITER, LINE_END = ",", b"\n"


class Conversion:
    """Converts the file of one job under the lease of ``owner``; ``job`` is as it was once that held the lease."""

    def __init__(self, store: JobStore, sender: TaskSender, settings: Settings, job: Job, owner: str) -> None:
        self._store, self._sender, self._settings = store, sender, settings
        self._job, self._owner = job, owner
        self._chunks, self._progress = job.chunks, 0.0

    def run(self, blocks: int, cards: Sequence[Card]) -> int:
        """Convert the file, of which the store has so many blocks; return the number of rows.

        Raises:
            UploadRefused: the file cannot be read, or not be scored by these models.
            ConversionLost: another worker converts it, or the job has ended.
            StoreFull: there is no room for the rows.
            ReaderKilled: the process that read the file was killed.
            RuntimeError: an earlier attempt has found more rows.
        """
        names = [feature.name for feature in joint_schema(cards).features]
        settings = self._settings
        options = ReadOptions(
            Format(self._job.format),
            self._job.sheet,
            names,
            settings.max_upload_bytes,
            settings.worker_memory_mib,
            settings.chunk_bytes,
        )
        with tempfile.TemporaryFile() as file:
            self._fetch(file, blocks)
            with reading(file, options) as reader:
                columns = _Columns.of(reader.header, cards, self._job.drop_results)
                self._begin(reader.header, columns)
                rows = self._convert(reader, columns)
                found = reader.kinds and reader.kinds[: len(columns.names)]
                kinds: dict[JobField, Encoded] = {JobField.KINDS: json.dumps(found)} if found else {}
        self._reserve(rows)
        sent = self._store.end_conversion(
            self._job.id, self._owner, blocks, self._chunks, {JobField.TOTAL: rows} | kinds
        )
        self._sender.score_chunks(self._job.id, sent)
        return rows

    def _fetch(self, file: IO[bytes], blocks: int) -> None:
        for number in range(blocks):
            file.write(self._store.source_block(self._job.id, number))

    def _begin(self, found: SourceHeader, columns: "_Columns") -> None:
        """Store the header."""
        raw = DELIMITER.encode().join(as_field(name, DELIMITER) for name in columns.names)
        preamble = found.preamble.encode("utf-8", "replace")
        header = Header(tuple(columns.names), raw, DELIMITER, LINE_END, len(raw) + len(LINE_END), preamble=preamble)
        dialect = self._job.dialect.with_(skipped_lines=preamble.count(LINE_END))
        fields: dict[JobField, Encoded] = {
            JobField.HEADER: header.with_columns([name for name, _ in self._job.added_columns]),
            JobField.INPUT_HEADER: raw,
            JobField.DIALECT: json.dumps(dialect.encode()),
            JobField.COLUMNS: json.dumps(columns.features),
            JobField.WIDTH: len(columns.names),
            JobField.SHEET: found.sheet or "",
            JobField.SCHEMA: first_fields(found.schema, len(columns.names)) if found.schema else "",
        }
        self._store.begin_conversion(self._job.id, self._owner, fields)

    def _convert(self, reader: SourceReader, columns: "_Columns") -> int:
        cutter = Cutter(DELIMITER, columns.width, self._settings.chunk_bytes)
        totals = TotalsFinder(Dialect(), columns.features.values())
        size, limit = 0, self._settings.max_upload_bytes
        for part in reader.rows:
            size += part.size
            if size > limit:
                raise UploadRefused("too_large", f"the file holds more than {limit} bytes as CSV")
            self._progress = max(self._progress, part.progress)
            self._append(totals.feed(columns.kept(_cut(part, cutter, columns))), columns)
        self._append(totals.feed(columns.kept(cutter.finish())), columns)
        self._append(totals.finish(), columns)
        if not cutter.rows:
            raise UploadRefused("no_rows", "the file has a header but no rows")
        if cutter.rows < self._job.converted:
            raise RuntimeError(f"{self._job.converted} rows of the file are stored, but only {cutter.rows} were read")
        return cutter.rows

    def _reserve(self, rows: int) -> None:
        try:
            self._store.user_limits.reserve_rows(self._job.owner.id, rows)
        except RateLimited as error:
            raise UploadRefused("rate_limited", str(error)) from error

    def _append(self, chunks: Iterable[Chunk], columns: "_Columns") -> None:
        for chunk in _rows_after(self._job.converted, chunks, len(columns.names)):
            if self._chunks:
                self._store.check_memory()
            stored = InputChunk(
                chunk.first_row, chunk.rows, chunk.data, chunk.open_quotes, chunk.is_totals, chunk.is_typed
            )
            sent = self._store.append_converted(self._job.id, self._owner, self._chunks, stored, self._progress)
            self._chunks += 1
            self._sender.score_chunks(self._job.id, sent)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a file: the names of those that are kept, their features, and the ``width`` of its rows."""

    names: Sequence[str]
    features: Mapping[str, int]
    width: int

    @classmethod
    def of(cls, found: SourceHeader, cards: Sequence[Card], drop_results: bool) -> "_Columns":
        """Match the header; raise as ``matched`` does."""
        features, width = matched(found.names, cards, sheets_hint(found)), len(found.names)
        dropped = len(result_columns(found.names, features.values())) if drop_results else 0
        return cls(found.names[: width - dropped], features, width)

    def kept(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Yield the chunks without the columns that are not kept; those of packed batches have none."""
        kept = len(self.names)
        return chunks if kept == self.width else ResultsDropper(DELIMITER, self.width, kept).feed(chunks)


def _cut(part: SourceRows, cutter: Cutter, columns: _Columns) -> Iterator[Chunk]:
    """Yield the chunks that some rows complete; packed batches with the columns that are kept."""
    kept = len(columns.names)
    if not part.is_typed:
        return cutter.feed(part.text)
    if kept == columns.width:
        return cutter.take(part.text, part.rows)
    if kept > 1:
        return cutter.take(first_columns(part.text, kept), part.rows)
    # A missing value that is alone in its row is written in CSV only.
    return cutter.feed(bytes(csv_text(unpack(part.text))))


def _rows_after(last: int, chunks: Iterable[Chunk], width: int) -> Iterator[Chunk]:
    """Yield what comes after the row number ``last``, of chunks with so many columns."""
    for chunk in chunks:
        passed = last + 1 - chunk.first_row
        if passed <= 0:
            yield chunk
        elif passed < chunk.rows:
            yield _without_first(chunk, passed, width)


def _without_first(chunk: Chunk, count: int, width: int) -> Chunk:
    if chunk.is_typed:
        data = rows_after(chunk.data, count)
    else:
        index = index_records(chunk.data, ord(DELIMITER), final=True, width=width, count=chunk.rows)
        data = chunk.data[index.starts[count] :]
    open_quotes = tuple(at - count for at in chunk.open_quotes if at >= count)
    return replace(
        chunk, data=data, rows=chunk.rows - count, first_row=chunk.first_row + count, open_quotes=open_quotes
    )


def matched(columns: Sequence[str], cards: Sequence[Card], hint: str = "") -> dict[str, int]:
    """Return the number of each feature's column; ``hint`` ends the refusal of a file that lacks some.

    Raises:
        UploadRefused: ``missing_columns``, ``duplicate_columns``.
    """
    match = match_columns(cards, columns)
    if match.missing:
        missing = [(column.name, column.did_you_mean) for column in match.missing]
        raise missing_columns(missing, [card.name for card in cards], hint)
    if match.duplicates:
        raise duplicate_columns(match.duplicates)
    return dict(match.columns)


def problem_of(refused: UploadRefused) -> str:
    """Return the code and the errors of a refusal, as the job keeps them."""
    return json.dumps({"code": refused.code, "errors": [detail.as_dict() for detail in refused.errors]})
