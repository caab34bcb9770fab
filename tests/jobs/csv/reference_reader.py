"""A slow reference reader of CSV, one character at a time, to compare the fast one with."""

import math
from dataclasses import dataclass, field


@dataclass
class Record:
    text: str = ""
    line_end: str = ""
    fields: list[str] = field(default_factory=list)
    malformed: bool = False


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


def _closes(text: str, at: int, delimiter: str) -> bool:
    """Whether the quote at this place, inside a quoted field, ends the field's quoted part."""
    if not text.startswith('""', at):
        return True
    after = at + 2
    ends_here = after >= len(text) or text[after] == delimiter or _line_end(text, after) > 0
    return text[at - 1] == "\\" and ends_here


def read(text: str, delimiter: str, most: float = math.inf) -> Reading:
    """The records of a text, at most so many."""
    reading = Reading()
    at = 0
    while at < len(text) and len(reading.records) < most:
        record, start = Record(), at
        while True:
            field_start, unquoted_start = at, at
            if text.startswith('"', at):
                at += 1
                while at < len(text) and not (text[at] == '"' and _closes(text, at, delimiter)):
                    at += 2 if text[at] == '"' else 1
                if at >= len(text):
                    reading.open_quote_row, reading.open_record = len(reading.records) + 1, text[start:]
                    return reading
                at += 1
                unquoted_start = at
            while at < len(text) and text[at] != delimiter and not _line_end(text, at):
                at += 1
            unquoted = text[unquoted_start:at]
            if "\r" in unquoted or (unquoted_start > field_start and unquoted):
                record.malformed = True
            record.fields.append(text[field_start:at])
            if at >= len(text) or _line_end(text, at):
                break
            at += 1
        record.text = text[start:at]
        record.line_end = text[at : at + _line_end(text, at)]
        at += len(record.line_end)
        if record.text:
            reading.records.append(record)
    return reading
