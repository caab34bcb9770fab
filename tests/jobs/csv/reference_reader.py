"""A slow reference reader of CSV, one character at a time, to compare the fast one with."""

import math
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class Record:
    text: str = ""
    line_end: str = ""
    fields: list[str] = field(default_factory=list)
    bad: bool = False
    crossed: bool = False
    open_quote: bool = False
    delimiter: str = ","

    @property
    def malformed(self) -> bool:
        return self.bad or self.crossed


@dataclass
class Reading:
    records: list[Record] = field(default_factory=list)
    open_quote_row: int | None = None
    open_record: str = ""


def _line_end(text: str, at: int) -> int:
    """Length of the line end at this place: 2, 1, or 0 where there is none."""
    if text.startswith("\r\n", at):
        return 2
    return 1 if text.startswith("\n", at) else 0


def _closes(text: str, at: int, delimiter: str, escapes: bool) -> bool:
    """Whether the quote at this place, inside a quoted field, ends the field's quoted part."""
    if not text.startswith('""', at):
        return True
    after = at + 2
    ends_here = after >= len(text) or text[after] == delimiter or _line_end(text, after) > 0
    return escapes and text[at - 1] == "\\" and ends_here


def is_crossed(fields: list[str]) -> bool:
    """Whether a quote opens inside an unquoted field, and the one that closes it ends another unquoted field."""
    odd = [one for one in fields if not one.startswith('"') and one.count('"') % 2]
    return any(not one.endswith('"') and other.endswith('"') for one, other in pairwise(odd))


def read(text: str, delimiter: str, most: float = math.inf) -> Reading:
    """The records of a text, at most so many, by RFC 4180: a quoted field goes on until a quote closes it."""
    reading = Reading()
    at = 0
    while at < len(text) and len(reading.records) < most:
        record, after, is_open, _ = read_one(text, at, delimiter, escapes=False)
        if is_open:
            reading.open_quote_row, reading.open_record = len(reading.records) + 1, text[at:]
            return reading
        at = after
        if record.text:
            reading.records.append(record)
    return reading


def read_robustly(text: str, delimiter: str, width: int, limit: float = math.inf) -> list[Record]:
    """The records of a text under a header of this width: one with broken quotes ends with its first line."""
    records, at = [], 0
    while at < len(text):
        record, at = _read_robustly(text, at, delimiter, width, limit)
        if record.text:
            records.append(record)
    return records


def _read_robustly(text: str, at: int, delimiter: str, width: int, limit: float) -> tuple[Record, int]:
    first_line = text[at : _after_line(text, at)]
    alone, _, is_open, is_bad = read_one(first_line, 0, delimiter)
    if not is_open:
        return alone, at + len(first_line)
    alone.bad = True
    if is_bad:
        return alone, at + len(first_line)
    stop = at + len(first_line)
    while stop < len(text):  # line by line, until the reading is closed or goes wrong
        stop = _after_line(text, stop)
        record, _, is_open, is_bad = read_one(text[at:stop], 0, delimiter)
        if is_open and not is_bad:
            continue
        if size(text[at:stop].removesuffix("\n")) > limit:
            break
        if not is_bad and len(record.fields) == width:
            return record, stop
        return alone, at + len(first_line)
    alone.open_quote = True
    return alone, at + len(first_line)


def size(text: str) -> int:
    """Bytes of a text in UTF-8; bytes that did not decode count as three each."""
    return len(text.encode("utf-8", "surrogatepass"))


def _after_line(text: str, at: int) -> int:
    return text.find("\n", at) + 1 or len(text)


def read_one(text: str, start: int, delimiter: str, escapes: bool = True) -> tuple[Record, int, bool, bool]:
    """The record at a place, where the next one begins, whether its last field is open, and whether a quote is bad.

    A bad one closes a field and is followed by text. An open field ends where the text does, or before its line end.
    """
    record, at, is_bad = Record(delimiter=delimiter), start, False
    while True:
        field_start, unquoted_start = at, at
        if text.startswith('"', at):
            at += 1
            while at < len(text) and not (text[at] == '"' and _closes(text, at, delimiter, escapes)):
                at += 2 if text[at] == '"' else 1
            if at >= len(text):
                record.text = (
                    text[start:].removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text[start:]
                )
                record.line_end = text[start + len(record.text) :]
                record.fields.append(record.text[field_start - start :])
                return record, len(text), True, is_bad
            at += 1
            unquoted_start = at
        while at < len(text) and text[at] != delimiter and not _line_end(text, at):
            at += 1
        unquoted = text[unquoted_start:at]
        record.bad |= "\r" in unquoted
        is_bad |= unquoted_start > field_start and bool(unquoted)
        record.fields.append(text[field_start:at])
        if at >= len(text) or _line_end(text, at):
            break
        at += 1
    record.text = text[start:at]
    record.line_end = text[at : at + _line_end(text, at)]
    record.crossed = is_crossed(record.fields)
    record.bad |= is_bad
    return record, at + len(record.line_end), False, is_bad
