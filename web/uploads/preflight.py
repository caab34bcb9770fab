"""A look at the first bytes of a file before it is uploaded: how its columns map, and what its rows would meet."""

import base64
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from jobs.csv.decoding import Utf8Decoder
from jobs.csv.reader import Chunk, Cutter, Header, read_header
from jobs.errors import UploadRefused
from model.card import Card
from model.schema import ColumnMatch
from web.problems import Problem
from web.services import Services
from web.uploads.bodies import Body
from web.uploads.options import ScoringOptions, count_matches, match_columns

SAMPLE_BYTES = 64 * 1024
_WAIT_SECONDS = 10.0


def preflight(body: Body, services: Services) -> dict[str, Any]:
    """What an upload that begins like this body would meet.

    Raises:
        UploadRefused: when no header can be read.
        Problem: when no worker answers in time.
    """
    sample = _sample(body)
    options = ScoringOptions.of(body.form, services.catalog)
    cards = options.cards
    text = Utf8Decoder(body.form.encoding)
    data = text.feed(sample)
    header = _header(data if b"\n" in data else data + text.finish(), cards)
    match = match_columns(cards, header.columns)
    rows, count = _whole_records(data[header.size :], text, header)
    seen: dict[str, Any] = {"rows_seen": count, "faults": [], "examples": []}
    if not match.missing and rows:
        # Of two models, the rows are looked at with the first.
        seen = _ask(services, cards[0], header, match, rows, options.threshold)
    return {
        "encoding": text.encoding,
        "delimiter": header.delimiter,
        "columns": _columns(header, match),
        "missing_columns": [{"name": column.name, "did_you_mean": column.did_you_mean} for column in match.missing],
        "extra_columns": list(match.extra),
        **seen,
    }


def _sample(body: Body) -> bytes:
    data = b""
    for block in body.blocks:
        data += block
        if len(data) > SAMPLE_BYTES:
            break
    return data[:SAMPLE_BYTES]


def _whole_records(data: bytes, text: Utf8Decoder, header: Header) -> tuple[bytes, int]:
    """The records that end within the sample, and how many; one without a line end counts if it is the only one.

    Raises:
        UploadRefused: as an upload that begins like this would be.
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
        if refused.code == "open_quote":  # the sample may just be too short to show the closing one
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
            "note": "a second column for a feature" if name in match.duplicates and at not in features else None,
        }
        for at, name in enumerate(header.columns)
    ]


def _ask(
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
