"""Preflight: check the first bytes of a file before it is uploaded."""

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from jobs.csv.decoding import Utf8Decoder
from jobs.csv.detection import FileStart
from jobs.csv.dialect import Translator
from jobs.csv.earlier_results import ResultsDropper, result_columns
from jobs.csv.reader import Chunk, Cutter, Header
from jobs.csv.totals import TotalsFinder
from jobs.formats.detection import Format
from jobs.formats.process import ReaderKilled
from jobs.messages import InputChunk
from model.card import Card
from model.schema import ColumnMatch, FaultCode
from web.problems import Problem
from web.request_limits import MAX_CHECKED_BYTES, PREFLIGHT_BYTES
from web.services import Services
from web.uploads.bodies import Body
from web.uploads.file_start import StatedDialect, preview_start, read_source_start, without_results
from web.uploads.options import ScoringOptions, parse_flag
from web.uploads.preflight_notes import preflight_notes
from web.uploads.source_file import checking, header_of, read_options

_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Sample:
    """The first bytes of a file. ``is_cut``: it goes on after them; ``is_whole``: it does not.

    With neither, the last line may be incomplete.
    """

    data: bytes
    is_cut: bool
    is_whole: bool

    @classmethod
    def of(cls, body: Body, is_whole: bool) -> "_Sample":
        """Read the sample; ``is_whole``: the client says that the body is the whole file."""
        data = b""
        for block in body.blocks:
            data += block
            if len(data) > PREFLIGHT_BYTES:
                break
        is_cut = len(data) > PREFLIGHT_BYTES or (len(data) == PREFLIGHT_BYTES and not is_whole)
        return cls(data[:PREFLIGHT_BYTES], is_cut, is_whole and not is_cut)


def preflight(body: Body, services: Services, whole: str | None = None) -> dict[str, Any]:
    """Return how an upload that begins like this body would be read, the members of ``PreflightDocument``.

    ``whole`` is the flag with which a client says that the body is the whole file.

    Raises:
        UploadRefused: no header can be read; ``bad_parameter``.
        Problem: no worker answers in time.
    """
    is_whole = parse_flag("whole", whole)
    kind = body.detect_format()
    if kind is not Format.CSV:
        return _preflight_source(body, kind, services)
    sample = _Sample.of(body, is_whole)
    options = ScoringOptions.of(body.form, services.catalog)
    stated = StatedDialect.of(body.form)
    text = Utf8Decoder(body.form.encoding)
    data = text.feed(sample.data)
    # The decoder holds back the end of the text, which may be all there is of a short file.
    if sample.is_whole or b"\n" not in data:
        data += text.finish()
    start, match = preview_start(data, stated, options, text.has_byte_order_mark)
    return _report(services, options, stated, start, match, replace(sample, data=data), text)


def _preflight_source(body: Body, kind: Format, services: Services) -> dict[str, Any]:
    """Return the report of a file that is not CSV, if it is small enough to be read at once."""
    options = ScoringOptions.of(body.form, services.catalog)
    with tempfile.TemporaryFile() as file:
        for block in body.blocks:
            file.write(block)
            if file.tell() > MAX_CHECKED_BYTES:
                return _unchecked(kind)
        try:
            with checking(file, read_options(services.settings, kind, body.form.sheet, options)) as reader:
                if reader is None:
                    return _unchecked(kind)
                found, header = reader.header, header_of(reader)
                rows = b""
                for part in reader.rows:
                    rows += part.text
                    if len(rows) > PREFLIGHT_BYTES:
                        break
        except ReaderKilled:
            return _unchecked(kind)
    start, match = read_source_start(header, options)
    is_cut = len(rows) > PREFLIGHT_BYTES
    sample = _Sample(header.raw + header.line_end + rows[:PREFLIGHT_BYTES], is_cut, not is_cut)
    # Of what it says, this alone is about a file that is not CSV.
    stated = StatedDialect(drop_results=StatedDialect.of(body.form).drop_results)
    report = _report(services, options, stated, start, match, sample, Utf8Decoder("utf-8"), kind)
    return report | {"sheets": found.sheets, "sheet": found.sheet}


def _unchecked(kind: Format) -> dict[str, Any]:
    """Return the report of a file that is too large to be read before it is uploaded."""
    return {
        "format": kind,
        "sheets": [],
        "sheet": None,
        "checked": False,
        "complete": False,
        "encoding": "utf-8",
        "byte_order_mark": False,
        "delimiter": ",",
        "quote": '"',
        "decimal": ".",
        "skipped_lines": 0,
        "dropped_names": 0,
        "result_columns": [],
        "notes": [],
        "columns": [],
        "missing_columns": [],
        "extra_columns": [],
        "rows_seen": 0,
        "faults": [],
        "warnings": [],
        "examples": [],
    }


def _report(
    services: Services,
    options: ScoringOptions,
    stated: StatedDialect,
    start: FileStart,
    match: ColumnMatch,
    sample: _Sample,
    text: Utf8Decoder,
    kind: Format = Format.CSV,
) -> dict[str, Any]:
    """Return the report of a file that begins with a sample, in UTF-8; ``text`` has decoded it."""
    own = result_columns(start.header.columns, match.columns.values())
    records = _whole_records(sample, text, start)
    if stated.drop_results:
        start, match = without_results(start, match)
        records = list(ResultsDropper.of(start.header, len(own)).feed(iter(records))) if own else records
    header, dialect = start.header, start.dialect
    totals = TotalsFinder(dialect, match.columns.values())
    chunks = list(totals.feed(iter(records)))
    # Totals stand in the last line of a file, which a sample that was cut does not show.
    totals_lines = 0 if sample.is_cut else sum(chunk.rows for chunk in totals.finish())
    rows = _joined(chunks if totals_lines else records)
    count = sum(chunk.rows for chunk in records)
    preview: dict[str, Any] = {"rows_seen": count, "faults": [], "warnings": [], "examples": []}
    if not match.missing and rows.rows:
        # Of two models, the first previews the rows.
        preview = _preview(services, options.cards[0], start, match, rows, options.threshold, kind)
    if totals_lines:
        preview["rows_seen"] = count
        preview["faults"] = [*preview["faults"], {"code": FaultCode.TOTALS_LINE, "column": None, "count": totals_lines}]
    return {
        "format": kind,
        "sheets": [],
        "sheet": None,
        "checked": True,
        "complete": sample.is_whole,
        "encoding": text.encoding,
        "byte_order_mark": dialect.has_byte_order_mark,
        "delimiter": dialect.delimiter,
        "quote": dialect.quote,
        "decimal": dialect.decimal,
        "skipped_lines": dialect.skipped_lines,
        "dropped_names": start.dropped_names,
        "result_columns": list(own),
        "notes": preflight_notes(text.encoding, start, preview["faults"]),
        "columns": _columns(header, match),
        "missing_columns": [{"name": column.name, "did_you_mean": column.did_you_mean} for column in match.missing],
        "extra_columns": list(match.extra),
        **preview,
    }


def _whole_records(sample: _Sample, text: Utf8Decoder, start: FileStart) -> list[Chunk]:
    """Return the records that end within the sample; a single one needs no line end.

    A quoted field may go on after a sample that was cut.

    Raises:
        UploadRefused: as for an upload that begins like this.
    """

    def translated(data: bytes) -> bytes:
        translator = Translator(start.dialect)
        rows = translator.feed(data) + (b"" if sample.is_cut else translator.finish())
        return rows[start.header.size :]

    rows = translated(sample.data)
    if not sample.is_cut and not sample.is_whole:
        lines = rows[: rows.rfind(b"\n") + 1]
        rows = lines if lines.strip(b"\r\n") else translated(sample.data + text.finish())
    # Chunks of one byte: every record that is complete comes out at once.
    cutter = Cutter(start.header.delimiter, len(start.header.columns), chunk_bytes=1)
    return [*cutter.feed(rows), *([] if sample.is_cut else cutter.finish())]


def _joined(chunks: Sequence[Chunk]) -> InputChunk:
    open_quotes = [chunk.first_row - 1 + number for chunk in chunks for number in chunk.open_quotes]
    data = b"".join(chunk.data for chunk in chunks)
    return InputChunk(1, sum(chunk.rows for chunk in chunks), data, tuple(open_quotes))


def _columns(header: Header, match: ColumnMatch) -> list[dict[str, Any]]:
    features = {at: name for name, at in match.columns.items()}
    return [
        {
            "header": name,
            "feature": features.get(at),
            "note": "duplicate column" if name in match.duplicates and at not in features else None,
        }
        for at, name in enumerate(header.columns)
    ]


def _preview(
    services: Services,
    card: Card,
    start: FileStart,
    match: ColumnMatch,
    rows: InputChunk,
    threshold: float | None,
    kind: Format,
) -> dict[str, Any]:
    request = {
        "kind": "preview",
        "model": card.name,
        "version": card.version,
        "threshold": threshold,
        "sample": base64.b64encode(rows.data).decode(),
        "open_quotes": rows.open_quotes,
        "delimiter": start.header.delimiter,
        "dialect": start.dialect.encode(),
        "header": base64.b64encode(start.header.raw).decode(),
        "columns": match.columns,
        "width": len(start.header.columns),
        "of_json": kind is Format.JSONL,
    }
    prediction_id, answer = services.predictions.ask(request, _WAIT_SECONDS)
    # Nobody will ask for it again, and it holds rows.
    services.stored_predictions.forget([prediction_id])
    if answer and "error" in answer:
        error = answer["error"]
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, error["code"], error["detail"], retry_after=60)
    if answer is None:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no_worker", "no worker answers", retry_after=5)
    return answer
