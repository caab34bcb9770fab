"""What is fuzzed: functions of any bytes that fail if the product crashes, or if it differs from what it promises."""

import io
from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa
from pydantic import ValidationError
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as PlainRequest

from jobs.csv.decoding import known_encoding
from jobs.errors import UploadRefused
from model.census.income_features import FEATURES
from model.schema import Fault, Feature, FeatureKind, Schema
from model.scorer import Scorer
from model.validate import parse_distinct
from tests.fuzz import contract
from tests.fuzz.compare import check_cuts, check_file
from tests.fuzz.contract import DELIMITERS
from tests.fuzz.dialects import SECTION, Spelling, check_spelling
from web.api.predictions import invalid_record
from web.api.schemas import PredictionRequest
from web.server.limits import ConcurrencyLimit
from web.uploads.bodies import open_body
from web.uploads.json_bodies import parse_object

Target = Callable[[bytes, Scorer], None]

ANY_NUMBER = Feature(name="any", title="Any", kind=FeatureKind.NUMBER, missing_allowed=True, minimum=-1.5)
SCHEMA = Schema(features=FEATURES)
_HEADER = ",".join(feature.name for feature in FEATURES) + ",note\n"
_OF_DIALECTS = frozenset(f"'\\\r\0\x1f{SECTION}")
_MAX_BODY_BYTES = 4096
_BOUNDARY = "b"


def cutting(data: bytes, scorer: Scorer) -> None:
    """A file, cut at edges that its first three bytes say: the records in its chunks are the contract's."""
    check_cuts(*_file(data, scorer))


def scoring(data: bytes, scorer: Scorer) -> None:
    """A file, cut and scored: every record, prediction and fault is the contract's."""
    check_file(*_file(data, scorer))


def dialects(data: bytes, scorer: Scorer) -> None:
    """A file that is cut and scored as it is and in a dialect that its first byte says: both mean the same."""
    how, block, chunk = data[:3].ljust(3, b"\0")
    # Characters that have a meaning in one of the two only; private ones stand for what a dialect escapes.
    text = "".join(one for one in data[3:].decode("utf-8", "ignore") if one not in _OF_DIALECTS and one < "\U0010ffc0")
    spelling = Spelling(*(bool(how >> place & 1) for place in range(4)))
    blocks = (1 << 16,) if block > 200 else (block + 1, 2 * block + 1)
    check_spelling(
        _HEADER.replace(",", ";") + text, spelling, scorer, blocks, 1 << 20 if chunk > 200 else 8 * chunk + 1
    )


def _file(data: bytes, scorer: Scorer) -> tuple[bytes, Scorer, tuple[int, ...], int]:
    """The file in an input, with a good header in front if it says so, and how to cut it."""
    how, block, chunk = data[:3].ljust(3, b"\0")
    lead = b"" if how & 4 else _HEADER.replace(",", DELIMITERS[how & 3]).encode()
    return lead + data[3:], scorer, *_cuts(block, chunk)


def _cuts(block: int, chunk: int) -> tuple[tuple[int, ...], int]:
    """The sizes of blocks and chunks that two bytes say."""
    return (1 << 16,) if block > 200 else (block + 1, 2 * block + 1), 1 << 20 if chunk > 200 else 8 * chunk + 1


def values(data: bytes, scorer: Scorer) -> None:
    """Up to eight texts of a column, between zero bytes: alone, all at once and by the contract they mean the same."""
    del scorer
    texts = list(dict.fromkeys(data.decode("utf-8", "ignore").split("\0")))[:8]
    for feature in (*FEATURES, ANY_NUMBER):
        parsed = parse_distinct(feature, pa.array(texts, pa.string()))
        wrong = dict(zip(parsed.at_fault.tolist(), parsed.faults.codes.to_pylist(), strict=True))
        for place, (text, value) in enumerate(zip(texts, parsed.values.tolist(), strict=True)):
            alone, meant = feature.parse(text, suggest=False), contract.meaning(feature, text)
            assert wrong.get(place) == (alone.code if isinstance(alone, Fault) else None), (feature.name, text)
            assert wrong.get(place) == (meant.code if isinstance(meant, contract.Fault) else None), (feature.name, text)
            if place not in wrong:
                assert alone == meant == (None if value != value else value), (feature.name, text)


def record(data: bytes, scorer: Scorer) -> None:
    """The body of a request for predictions, up to the answer: a prediction, or a problem that can be written."""
    try:
        asked = PredictionRequest.model_validate(parse_object(data))
    except UploadRefused:
        return
    except ValidationError as error:
        error.errors(include_url=False, include_context=False)
        return
    for given in [asked.record] if asked.record is not None else asked.records or ():
        found, faults, _ = SCHEMA.validate_record(given)
        names = [fault.column for fault in faults]
        assert sorted([*found, *map(str, names)]) == sorted(feature.name for feature in FEATURES)
        orjson.dumps(invalid_record(faults).as_dict())
        if not faults:
            again = orjson.loads(orjson.dumps(found))
            assert 0 <= float(scorer.predict_records([again]).positive[0]) <= 1


def body(data: bytes, scorer: Scorer) -> None:
    """A request's body, raw, compressed or as a form: blocks of CSV or a refusal, and never more than is allowed."""
    del scorer
    if not data:
        return
    how, data = data[0], data[1:]
    kind = "text/csv" if how & 1 else f"multipart/form-data; boundary={_BOUNDARY}"
    headers = {"Content-Type": kind, **({"Content-Encoding": "gzip"} if how & 2 else {})}
    if how & 4 and not how & 1:
        disposition = f'form-data; name="file"; filename="a.csv{".gz" if how & 8 else ""}"'
        head = f"--{_BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n"
        data = head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    found = [_received(data, headers, size) for size in (1 << 16, 1 + how // 16)]
    assert found[0] == found[1], found


class _Slowly(io.BytesIO):
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def _received(data: bytes, headers: dict[str, str], block: int) -> tuple[str, Any]:
    builder = EnvironBuilder(method="POST", headers=headers, input_stream=_Slowly(data, block))
    builder.content_length = len(data)
    request: Any = PlainRequest(builder.get_environ())
    try:
        taken = open_body(request, _MAX_BODY_BYTES, ConcurrencyLimit(1, "uploads"))
        text = b"".join(taken.blocks)
    except UploadRefused as refused:
        return "refused", refused.code
    assert len(text) <= _MAX_BODY_BYTES
    return "taken", (text, taken.form)


def encoding(data: bytes, scorer: Scorer) -> None:
    """The name of an encoding, as a client may write it: one that CSV can be read with, or a refusal."""
    del scorer
    try:
        known_encoding(data.decode("utf-8", "replace"))
    except UploadRefused as refused:
        assert refused.code == "unknown_encoding"


TARGETS: dict[str, Target] = {
    "cutting": cutting,
    "scoring": scoring,
    "dialects": dialects,
    "values": values,
    "record": record,
    "body": body,
    "encoding": encoding,
}
