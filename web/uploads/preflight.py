"""Preflight: check the first bytes of a file before it is uploaded."""

import base64
import tempfile
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from jobs.csv.decoding import Utf8Decoder
from jobs.csv.reader import Chunk, Cutter, Header, read_header
from jobs.errors import UploadRefused
from jobs.formats.detection import Format
from jobs.formats.process import ReaderKilled
from model.card import Card
from model.joint_schema import match_columns
from model.schema import ColumnMatch
from web.problems import Problem
from web.request_limits import MAX_CHECKED_BYTES, PREFLIGHT_BYTES
from web.services import Services
from web.uploads.bodies import Body
from web.uploads.options import ScoringOptions, count_matches
from web.uploads.source_file import checking, header_of, read_options

_WAIT_SECONDS = 10.0


def preflight(body: Body, services: Services) -> dict[str, Any]:
    """Return how an upload that begins like this body would be read, the members of ``PreflightDocument``.

    Raises:
        UploadRefused: no header can be read.
        Problem: no worker answers in time.
    """
    kind = body.detect_format()
    if kind is not Format.CSV:
        return _preflight_source(body, kind, services)
    sample = _sample(body)
    options = ScoringOptions.of(body.form, services.catalog)
    cards = options.cards
    text = Utf8Decoder(body.form.encoding)
    data = text.feed(sample)
    header = _header(data if b"\n" in data else data + text.finish(), cards)
    return _report(services, options, header, data[header.size :], text)


def _preflight_source(body: Body, kind: Format, services: Services) -> dict[str, Any]:
    """Return the report of a file that is not CSV, if it is small enough to be read at once."""
    options = ScoringOptions.of(body.form, services.catalog)
    unchecked: dict[str, Any] = {
        "format": kind,
        "sheets": [],
        "sheet": None,
        "checked": False,
        "encoding": "utf-8",
        "delimiter": ",",
        "columns": [],
        "missing_columns": [],
        "extra_columns": [],
        "rows_seen": 0,
        "faults": [],
        "examples": [],
    }
    with tempfile.TemporaryFile() as file:
        for block in body.blocks:
            file.write(block)
            if file.tell() > MAX_CHECKED_BYTES:
                return unchecked
        try:
            with checking(file, read_options(services.settings, kind, body.form.sheet, options)) as reader:
                if reader is None:
                    return unchecked
                found, header = reader.header, header_of(reader)
                rows = next(reader.rows, None)
        except ReaderKilled:
            return unchecked
    text = rows.text[:PREFLIGHT_BYTES] if rows else b""
    report = _report(services, options, header, text, Utf8Decoder("utf-8"))
    return report | {"format": kind, "sheets": found.sheets, "sheet": found.sheet}


def _report(
    services: Services, options: ScoringOptions, header: Header, data: bytes, text: Utf8Decoder
) -> dict[str, Any]:
    """Return the report of a file with this header that goes on with ``data``."""
    cards = options.cards
    match = match_columns(cards, header.columns)
    rows, count = _whole_records(data, text, header)
    preview: dict[str, Any] = {"rows_seen": count, "faults": [], "examples": []}
    if not match.missing and rows:
        # Of two models, the first previews the rows.
        preview = _preview(services, cards[0], header, match, rows, options.threshold)
    return {
        "format": Format.CSV,
        "sheets": [],
        "sheet": None,
        "checked": True,
        "encoding": text.encoding,
        "delimiter": header.delimiter,
        "columns": _columns(header, match),
        "missing_columns": [{"name": column.name, "did_you_mean": column.did_you_mean} for column in match.missing],
        "extra_columns": list(match.extra),
        **preview,
    }


def _sample(body: Body) -> bytes:
    data = b""
    for block in body.blocks:
        data += block
        if len(data) > PREFLIGHT_BYTES:
            break
    return data[:PREFLIGHT_BYTES]


def _whole_records(data: bytes, text: Utf8Decoder, header: Header) -> tuple[bytes, int]:
    """Return the records that end within the sample, and their number; a single one needs no line end.

    Raises:
        UploadRefused: as for an upload that begins like this.
    """
    chunks = list(Cutter(header.delimiter, chunk_bytes=1).feed(data))
    if not chunks:
        data += text.finish()
        chunks = _only_record(data, header)
    return b"".join(chunk.data for chunk in chunks), sum(chunk.rows for chunk in chunks)


def _only_record(data: bytes, header: Header) -> list[Chunk]:
    cutter = Cutter(header.delimiter, chunk_bytes=len(data) + 1)
    try:
        return [*cutter.feed(data), *cutter.finish()]
    except UploadRefused as refused:
        if refused.code == "open_quote":  # the closing quote may follow after the sample
            return []
        raise


def _header(data: bytes, cards: Sequence[Card]) -> Header:
    header = read_header(data, count_matches(cards), final=True)
    if header is None:
        raise UploadRefused("no_header", "no header row in the first bytes")
    return header


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
    services: Services, card: Card, header: Header, match: ColumnMatch, rows: bytes, threshold: float | None
) -> dict[str, Any]:
    request = {
        "kind": "preview",
        "model": card.name,
        "version": card.version,
        "threshold": threshold,
        "sample": base64.b64encode(rows).decode(),
        "delimiter": header.delimiter,
        "columns": match.columns,
        "width": len(header.columns),
    }
    prediction_id, answer = services.predictions.ask(request, _WAIT_SECONDS)
    services.stored_predictions.forget([prediction_id])
    if answer and "error" in answer:
        error = answer["error"]
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, error["code"], error["detail"], retry_after=60)
    if answer is None:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no_worker", "no worker answers", retry_after=5)
    return answer
