"""What the contract's table 'Reading an uploaded CSV' makes of a file: slow and obvious, written from its words alone.

``open_file`` reads a file as a whole, or says with what it may be refused; ``rows`` judges its records: what each must
become, with its fields and its faults.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from model.schema import Feature, FeatureKind, Value
from tests.jobs.csv.reference_reader import Reading, Record, read

DELIMITERS = ",;\t|^~"
MOST_SKIPPED_LINES = 20
MISSING = ("", "?", "na", "n/a", "nan", "null", "none")


@dataclass(frozen=True)
class Limits:
    """Bytes of a field and of a record, and columns of a file, at most."""

    field: int = 1024 * 1024
    record: int = 4 * 1024 * 1024
    columns: int = 2000


@dataclass(frozen=True)
class Fault:
    """A code in a column (None: the record as a whole), and the value that is shown."""

    code: str
    column: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Row:
    """A record: the values of its fields, in the header's columns, and either the model's values or faults.

    ``broken`` holds the codes that it may be rejected with as a whole.
    """

    record: Record
    fields: list[str]
    values: dict[str, Value]
    faults: list[Fault]
    broken: frozenset[str]


@dataclass(frozen=True)
class Refused:
    """The codes with which the file may be refused, each with its row, if it has one."""

    reasons: frozenset[tuple[str, int | None]]


@dataclass(frozen=True)
class Opened:
    """A file that is not refused: its header as it stands, and its records."""

    encoding: str
    delimiter: str
    header: Record
    columns: list[str]
    records: list[Record]


def rows(opened: Opened, features: Sequence[Feature]) -> list[Row]:
    """What each record of a file must become."""
    named = list(enumerate(features_of(opened.columns, features)))
    places = {name: at for at, name in reversed(named) if name}
    return [judged(record, len(opened.columns), places, features) for record in opened.records]


def open_file(data: bytes, features: Sequence[Feature], limits: Limits | None = None) -> Refused | Opened:
    """A file read as a whole: its header and records, or why it is refused."""
    limits = limits or Limits()
    text, encoding = decode(data)
    text = text.lstrip("\r\n")
    if not text:
        return refused("empty_file")
    delimiters, text = separator_line(text)
    delimiter, header, text = find_header(text, delimiters, features)
    if header is None:
        return refused("open_quote", row=0) if text else refused("empty_file")
    columns = [unquoted(field) for field in header.fields]
    if wrong := wrong_header(header, columns, features, limits):
        return wrong
    reading = read(text[len(header.text) + len(header.line_end) :], delimiter)
    if wrong := wrong_body(text[len(header.text) :], reading, delimiter, limits):
        return wrong
    return Opened(encoding, delimiter, header, columns, reading.records) if reading.records else refused("no_rows")


def separator_line(text: str) -> tuple[str, str]:
    """The delimiters that come into request, one if a first line names it, and the text without that line."""
    line, end, after = text.partition("\n")
    named = line.strip('\r"').lower()
    if end and len(line) < 16 and named in [f"sep={mark}" for mark in DELIMITERS]:
        return named[4], after.lstrip("\r\n")
    return DELIMITERS, text


def refused(*codes: str, row: int | None = None) -> Refused:
    return Refused(frozenset((code, row) for code in codes))


def decode(data: bytes) -> tuple[str, str]:
    """The file's text, bytes that do not decode as lone surrogates, and its encoding."""
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode("utf-8", "surrogateescape"), "utf-8"
    for mark, name in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            whole = data[2 : len(data) - len(data) % 2]
            return whole.decode(name, "surrogatepass") + "\udcff" * (len(data) % 2), "utf-16"
    if all(byte < 128 for byte in data):
        return data.decode("ascii"), "utf-8"
    begins = next(at for at, byte in enumerate(data) if byte >= 128)
    ends = next((at for at in range(begins, len(data)) if data[at] < 128), len(data))
    try:
        data[begins:ends].decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "surrogateescape"), "windows-1252"
    return data.decode("utf-8", "surrogateescape"), "utf-8"


def find_header(text: str, delimiters: str, features: Sequence[Feature]) -> tuple[str, Record | None, str]:
    """The delimiter under which the header holds most of the model's columns, that header, and the text from there on.

    The header is the first record or, where that holds fewer of the columns, the best of the lines after it.
    """
    best = best_record(text, delimiters, features)
    at = 0
    found = best
    for _ in range(MOST_SKIPPED_LINES):
        at = text.find("\n", at) + 1
        if not at or found[0] == len(features):
            break
        if text.startswith(("\n", "\r\n"), at):
            continue
        later = best_record(text[at:], delimiters, features, by_width=False)
        found = later if later[0] > found[0] else found
    return found[1:]


def best_record(
    text: str, delimiters: str, features: Sequence[Feature], by_width: bool = True
) -> tuple[int, str, Record | None, str]:
    """How many columns the first record holds at most, by which delimiter; the record, and the text."""
    found: list[tuple[int, int, int, str, Record | None]] = [(0, 0, 0, delimiters[0], None)]
    for place, delimiter in enumerate(delimiters):
        reading = read(text, delimiter, most=1)
        if reading.records:
            record = reading.records[0]
            names = [unquoted(field) for field in record.fields]
            width = len(names) * by_width
            matched = len(set(features_of(names, features)) - {None})
            found.append((matched, width + 1, -place, delimiter, record))
    matched, _, _, delimiter, record = max(found, key=lambda item: item[:3])
    return matched, delimiter, record, text


def features_of(names: Sequence[str], features: Sequence[Feature]) -> list[str | None]:
    """The feature of each column: by name or, where no column has its name, by title."""
    by_name = {normal(feature.name): feature.name for feature in features}
    named = {by_name.get(normal(name)) for name in names}
    by_title = {normal(feature.title): feature.name for feature in features if feature.name not in named}
    return [by_name.get(normal(name)) or by_title.get(normal(name)) for name in names]


def wrong_header(header: Record, columns: list[str], features: Sequence[Feature], limits: Limits) -> Refused | None:
    if "\0" in header.text:
        return refused("undecodable", row=0)
    if len(columns) > limits.columns:
        return refused("too_wide")
    known = [name for name in features_of(columns, features) if name]
    if not known and any(name.strip().replace(".", "", 1).isdecimal() for name in columns):
        return refused("no_header")
    if len(set(known)) < len(features):
        return refused("missing_columns")
    return refused("duplicate_columns") if len(known) > len(features) else None


def wrong_body(text: str, reading: Reading, delimiter: str, limits: Limits) -> Refused | None:
    """All that is reason enough to refuse the records as a whole."""
    reasons: set[tuple[str, int | None]] = set()
    if "\0" in text:
        holding = [row for row, record in enumerate(reading.records, 1) if "\0" in record.text]
        reasons.add(("undecodable", holding[0] if holding else len(reading.records) + 1))
    for row, record in enumerate(reading.records, 1):
        raw = in_bytes(record.text)
        if len(raw) <= limits.field:
            continue
        start = read(raw[: limits.record + 1].decode("latin-1"), delimiter)
        if start.open_quote_row:
            reasons.add(("open_quote", row))
        elif len(raw) > limits.record or max(len(in_bytes(field)) for field in record.fields) > limits.field:
            reasons.add(("too_wide", row))
    if reading.open_quote_row:
        reasons.add(("open_quote", reading.open_quote_row))
        raw = in_bytes(reading.open_record)
        if len(raw) > limits.record and not read(raw[: limits.record].decode("latin-1"), delimiter).open_quote_row:
            reasons.add(("too_wide", reading.open_quote_row))
    return Refused(frozenset(reasons)) if reasons else None


def judged(record: Record, width: int, places: dict[str, int], features: Sequence[Feature]) -> Row:
    broken = set()
    if len(record.fields) != width:
        broken.add("ragged")
    if record.malformed:
        broken.add("malformed")
    if any("\ud800" <= letter <= "\udfff" for letter in record.text):
        broken.add("undecodable")
    fields = [value_of(field) for field in record.fields[:width]] + [""] * (width - len(record.fields))
    values: dict[str, Value] = {}
    faults: list[Fault] = []
    for feature in () if broken else features:
        text = fields[places[feature.name]]
        meant = meaning(feature, text)
        if isinstance(meant, Fault):
            faults.append(meant)
        else:
            values[feature.name] = meant
    return Row(record, fields, values, faults, frozenset(broken))


def meaning(feature: Feature, text: str) -> Value | Fault:
    """What a field's text means: a value, None where it is missing and may be, or a fault."""
    word = text.strip()

    def fault(code: str) -> Fault:
        return Fault(code, feature.name, word if len(word) <= 100 else word[:99] + "…")

    for category in feature.categories:
        if category.casefold() == word.casefold():
            return category
    if word.casefold() in MISSING:
        return None if feature.missing_allowed else fault("missing")
    if feature.kind is FeatureKind.CATEGORY:
        return fault("unknown_category")
    number = number_of(word)
    if number is None:
        return fault("not_a_number")
    if feature.integer and number != math.floor(number):
        return fault("not_an_integer")
    low = -math.inf if feature.minimum is None else feature.minimum
    high = math.inf if feature.maximum is None else feature.maximum
    return number if low <= number <= high else fault("out_of_range")


def number_of(word: str) -> float | None:
    """A finite number in ASCII digits, or None."""
    if not word.isascii() or "_" in word:
        return None
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def normal(header: str) -> str:
    """The name of a column, however it is spelt: words between spaces, dots, hyphens and underscores, in any case."""
    spaced = "".join(" " if letter in "._-" else letter for letter in header.strip().casefold())
    begins, ends = spaced[:1] == " ", spaced[-1:] == " "
    return "_" * begins + "_".join(spaced.split()) + "_" * ends if spaced.split() else "_" * bool(spaced)


def unquoted(field: str) -> str:
    """A field's value, its bytes that do not decode shown as request marks."""
    if len(field) > 1 and field[0] == field[-1] == '"':
        field = field[1:-1].replace('""', '"')
    return field


def value_of(field: str) -> str:
    """What any reader finds in the results for this field: a sound field's value, a malformed one as it stands."""
    again = read(field, "\0")
    sound = field.startswith('"') and len(again.records) == 1 and not again.records[0].malformed
    return unquoted(field) if sound and again.open_quote_row is None else field


def in_bytes(text: str) -> bytes:
    """UTF-8 of a text, in which bytes that did not decode count as three each."""
    return text.encode("utf-8", "surrogatepass")
