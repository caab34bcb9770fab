"""What the contract's table 'Reading an uploaded CSV' makes of a file: slow and obvious, written from its words alone.

``open_file`` reads a file as a whole, or says with what it may be refused; ``rows`` judges its records: what each must
become, with its fields and its faults.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from model.schema import Feature, FeatureKind, Value
from tests.fuzz.notation import PLAIN, Notation, is_totals_line, notation_of
from tests.jobs.csv.reference_reader import Record, read, read_one, read_robustly, size

DELIMITERS = ",;\t|^~"
MAX_SKIPPED_LINES = 20
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

    ``broken`` is the code that it is rejected with as a whole, if any. A repaired record is the one that is scored.
    """

    record: Record
    fields: list[str]
    values: dict[str, Value]
    faults: list[Fault]
    broken: str = ""
    repaired: bool = False


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
    notation: Notation = PLAIN


def rows(opened: Opened, features: Sequence[Feature]) -> list[Row]:
    """What each record of a file must become."""
    named = list(enumerate(features_of(opened.columns, features)))
    places = {name: at for at, name in reversed(named) if name}
    width, records = len(opened.columns), opened.records
    found = [judged(record, width, places, features, opened.notation) for record in records]
    last = records[-1]
    one_line = "\n" not in last.text and last.text.count('"') % 2 == 0
    if one_line and is_totals_line([unquoted(field) for field in last.fields], sorted(places.values())):
        fields = shown_fields(last, width, broken_code(last, width))
        found[-1] = Row(last, fields, {}, [], "totals_line")
    return found


def open_file(data: bytes, features: Sequence[Feature], limits: Limits | None = None) -> Refused | Opened:
    """A file read as a whole: its header and records, or why it is refused."""
    limits = limits or Limits()
    text, encoding = decode(data)
    text = text.lstrip("\r\n")
    if not text:
        return refused("empty_file")
    delimiters, text = separator_line(text)
    if not text:
        return refused("empty_file")
    delimiter, header, end = find_header(text, delimiters, features, limits)
    columns = [unquoted(field) for field in header.fields]
    if wrong := wrong_header(header, columns, features, limits):
        return wrong
    records = read_robustly(text[end:], delimiter, len(columns), limits.record)
    if wrong := wrong_body(text[end:], records, limits):
        return wrong
    if not records:
        return refused("no_rows")
    return Opened(encoding, delimiter, header, columns, records, find_notation(records, columns, delimiter, features))


def find_notation(records: list[Record], columns: list[str], delimiter: str, features: Sequence[Feature]) -> Notation:
    """How the numbers in the records that fit under the header are written."""
    kinds = {feature.name: feature.kind for feature in features}
    named = features_of(columns, features)
    numbers = [named.index(name) for name in kinds if kinds[name] is FeatureKind.NUMBER]
    fit = [one for one in records if len(one.fields) == len(columns) and not one.malformed]
    return notation_of([unquoted(one.fields[at]).strip() for one in fit for at in numbers], delimiter)


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


def find_header(text: str, delimiters: str, features: Sequence[Feature], limits: Limits) -> tuple[str, Record, int]:
    """The delimiter under which the header holds most of the model's columns, that header, and where the rows begin.

    The header is the first record or, where that holds fewer of the columns, the best of the lines after it.
    """
    found, begin, at = best_header(text, delimiters, features, limits), 0, 0
    for _ in range(MAX_SKIPPED_LINES):
        at = text.find("\n", at) + 1
        if not at or found[0] == len(features):
            break
        if text.startswith(("\n", "\r\n"), at):
            continue
        later = best_header(text[at:], delimiters, features, limits, by_width=False)
        if later[0] > found[0]:
            found, begin = later, at
    _, delimiter, record, end = found
    return delimiter, record, begin + end


def best_header(
    text: str, delimiters: str, features: Sequence[Feature], limits: Limits, by_width: bool = True
) -> tuple[int, str, Record, int]:
    """How many columns the first record holds at most, by which delimiter; the record, and its end."""
    found = []
    for place, delimiter in enumerate(delimiters):
        record, end = header_record(text, delimiter, features, limits)
        known = matched([unquoted(field) for field in record.fields], features)
        found.append((known, len(record.fields) * by_width, -place, delimiter, record, end))
    known, _, _, delimiter, record, end = max(found, key=lambda item: item[:3])
    return known, delimiter, record, end


def header_record(text: str, delimiter: str, features: Sequence[Feature], limits: Limits) -> tuple[Record, int]:
    """The header under a delimiter, and where the records begin."""
    line = text[: text.find("\n") + 1] or text
    alone, _, is_open, _ = read_one(line, 0, delimiter)
    sound = not alone.bad and not is_open
    repaired = [one for one in repairs(alone.text, delimiter) if not one.bad and has_all(one, features)]
    readings = {tuple(map(unquoted, one.fields)): one for one in repaired}
    best = next(iter(readings.values())) if len(readings) == 1 else alone
    if sound:
        return (alone if has_all(alone, features) else best), len(line)
    strict, end, still_open, _ = read_one(text, 0, delimiter)
    if not is_open or (not still_open and strict.bad):
        return best, len(line)
    if still_open or size(text[:end]) > limits.record:
        return best, len(line)
    row = read_one(text[len(line) : text.find("\n", len(line)) % (len(text) + 1)], 0, delimiter)[0]
    if len(row.fields) == len(best.fields) > 1 and has_all(best, features):
        return best, len(line)
    return strict, end


def repairs(text: str, delimiter: str) -> list[Record]:
    """The records that a text becomes with one of its quotes taken away or doubled; none if it has too many."""
    places = [at for at, letter in enumerate(text) if letter == '"']
    texts = [text[:at] + more + text[at + 1 :] for at in places for more in ("", '""')] if len(places) <= 64 else []
    read_again = [read_one(one, 0, delimiter) for one in texts if one]
    return [record for record, _, is_open, _ in read_again if not is_open]


def matched(names: Sequence[str], features: Sequence[Feature]) -> int:
    return len(set(features_of(names, features)) - {None})


def has_all(header: Record, features: Sequence[Feature]) -> bool:
    return matched([unquoted(field) for field in header.fields], features) == len(features)


def features_of(names: Sequence[str], features: Sequence[Feature]) -> list[str | None]:
    """The feature of each column: by name or, where no column has its name, by title."""
    by_name = {normal(feature.name): feature.name for feature in features}
    named = {by_name.get(normal(name)) for name in names}
    by_title = {normal(feature.title): feature.name for feature in features if feature.name not in named}
    return [by_name.get(normal(name)) or by_title.get(normal(name)) for name in names]


def wrong_header(header: Record, columns: list[str], features: Sequence[Feature], limits: Limits) -> Refused | None:
    if "\0" in header.text:
        return refused("undecodable", row=0)
    if (
        len(columns) > limits.columns
        or size(header.text) > limits.record
        or max(map(size, header.fields)) > limits.field
    ):
        return refused("too_wide")
    known = [name for name in features_of(columns, features) if name]
    if not known and any(name.strip().replace(".", "", 1).isdecimal() for name in columns):
        return refused("no_header")
    if len(set(known)) < len(features):
        return refused("missing_columns")
    return refused("duplicate_columns") if len(known) > len(features) else None


def wrong_body(text: str, records: list[Record], limits: Limits) -> Refused | None:
    """All that is reason enough to refuse the records as a whole."""
    reasons: set[tuple[str, int | None]] = set()
    if "\0" in text:
        row = next(row for row, record in enumerate(records, 1) if "\0" in record.text)
        # The row is not known for sure before the quotes that were opened before it are closed.
        begun = [number for number, record in enumerate(records[:row], 1) if '"' in record.text]
        reasons.update(("undecodable", number) for number in (row, *begun))
    for row, record in enumerate(records, 1):
        if size(record.text) > limits.record or max(map(size, record.fields)) > limits.field:
            reasons.add(("too_wide", row))
    return Refused(frozenset(reasons)) if reasons else None


def shown_fields(record: Record, width: int, code: str) -> list[str]:
    """The values of a record's fields in the results, as many as the header has."""
    fields = [value_of(field) for field in record.fields[:width]] + [""] * (width - len(record.fields))
    if code and code != "ragged" and len(record.fields) > width:
        fields[-1] = record.text[len(record.text) - len(record.delimiter.join(record.fields[width - 1 :])) :]
    return fields


def judged(record: Record, width: int, places: dict[str, int], features: Sequence[Feature], notation: Notation) -> Row:
    code = broken_code(record, width)
    if code and code != "undecodable" and (repaired := only_repair(record, width, places, features, notation)):
        return repaired
    fields = shown_fields(record, width, code)
    values: dict[str, Value] = {}
    faults: list[Fault] = []
    for feature in () if code else features:
        text = fields[places[feature.name]]
        meant = meaning(feature, text, notation)
        if isinstance(meant, Fault):
            faults.append(meant)
        else:
            values[feature.name] = meant
    return Row(record, fields, values, faults, code)


def broken_code(record: Record, width: int) -> str:
    """What a record is rejected with as a whole; nothing if its values count."""
    if any("\ud800" <= letter <= "\udfff" for letter in record.text):
        return "undecodable"
    if record.open_quote:
        return "open_quote"
    if record.malformed:
        return "malformed"
    return "ragged" if len(record.fields) != width else ""


def only_repair(
    record: Record, width: int, places: dict[str, int], features: Sequence[Feature], notation: Notation
) -> Row | None:
    """The record with one quote taken away or doubled, if there is one reading with a valid value of every feature.

    Of several changes with that reading, it is the one of the first quote, taken away rather than doubled. A record
    that is only too narrow, whose quotes all enclose fields or are doubled in them, lacks a delimiter, not a quote.
    """
    if any(mark in record.text for mark in ("\n", "\r", '\\"')) or len(record.text) < 2:
        return None
    is_enclosing = all(field.startswith('"') or '"' not in field for field in record.fields)
    if not record.malformed and is_enclosing and len(record.fields) < width:
        return None
    found = {}
    for one in repairs(record.text, record.delimiter):
        one.line_end = record.line_end
        if broken_code(one, width) == "" and not (row := judged(one, width, places, features, notation)).faults:
            found.setdefault(tuple(row.fields), row)
    [row, *others] = [*found.values()] or [None]
    return replace(row, repaired=True) if row and not others else None


def meaning(feature: Feature, text: str, notation: Notation = PLAIN) -> Value | Fault:
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
    if notation.ambiguous(word):
        return fault("ambiguous_number")
    number = number_of(word) if notation.decimal == "." else notation.number(word)
    if number is None or not math.isfinite(number):
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
