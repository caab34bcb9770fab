"""Preflight: check the first bytes of a file before it is uploaded."""

import base64
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from jobs.csv.decoding import Utf8Decoder
from jobs.csv.reader import Cutter, Header, read_header
from jobs.errors import UploadRefused
from jobs.messages import InputChunk
from model.card import Card
from model.schema import ColumnMatch
from web.problems import Problem
from web.request_limits import PREFLIGHT_BYTES
from web.services import Services
from web.uploads.bodies import Body
from web.uploads.options import ScoringOptions, count_matches, match_columns

_WAIT_SECONDS = 10.0


def preflight(body: Body, services: Services) -> dict[str, Any]:
    """Return how an upload that begins like this body would be read, the members of ``PreflightDocument``.

    Raises:
        UploadRefused: no header can be read.
        Problem: no worker answers in time.
    """
    sample = _sample(body)
    options = ScoringOptions.of(body.form, services.catalog)
    cards = options.cards
    text = Utf8Decoder(body.form.encoding)
    data = text.feed(sample)
    header = _header(data if b"\n" in data else data + text.finish(), cards)
    match = match_columns(cards, header.columns)
    rows = _whole_records(data[header.size :], text, header, len(sample) == PREFLIGHT_BYTES)
    preview: dict[str, Any] = {"rows_seen": rows.rows, "faults": [], "examples": []}
    if not match.missing and rows.rows:
        # Of two models, the first previews the rows.
        preview = _preview(services, cards[0], header, match, rows, options.threshold)
    return {
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


def _whole_records(data: bytes, text: Utf8Decoder, header: Header, is_cut: bool) -> InputChunk:
    """Return the records that end within the sample as one chunk; a single one needs no line end.

    A quoted field may go on after a sample that was cut. Otherwise only its last line may be incomplete.

    Raises:
        UploadRefused: as for an upload that begins like this.
    """
    if not is_cut:
        lines = data[: data.rfind(b"\n") + 1]
        data = lines if lines.strip(b"\r\n") else data + text.finish()
    cutter = Cutter(header.delimiter, len(header.columns), chunk_bytes=1)
    chunks = list(cutter.feed(data)) + ([] if is_cut else list(cutter.finish()))
    open_quotes = [chunk.first_row - 1 + number for chunk in chunks for number in chunk.open_quotes]
    return InputChunk(1, cutter.rows, b"".join(chunk.data for chunk in chunks), tuple(open_quotes))


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
    services: Services, card: Card, header: Header, match: ColumnMatch, rows: InputChunk, threshold: float | None
) -> dict[str, Any]:
    request = {
        "kind": "preview",
        "model": card.name,
        "version": card.version,
        "threshold": threshold,
        "sample": base64.b64encode(rows.data).decode(),
        "open_quotes": rows.open_quotes,
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
