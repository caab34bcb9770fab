"""Read a sheet of a workbook (xlsx, xls, ods). It is in memory as a whole: this belongs in a process of its own.

Empty rows are passed over, like blank lines of CSV. A merged cell has its value in its first cell; hidden rows and
columns are read like others. A formula counts as its result, and an error (``#DIV/0!``) as a missing value.
"""

import datetime
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
)

from jobs.csv.reader import MAX_COLUMNS, MAX_SKIPPED_LINES, SAMPLE_BYTES
from jobs.errors import UploadRefused
from jobs.formats.archives import PASSWORD, check_archive
from jobs.formats.cells import csv_column
from jobs.formats.detection import Format
from jobs.formats.source import Kind, Rows, Source, unreadable

_BATCH_CELLS = 65_536
# Rows among which the header is looked for: titles and remarks may precede it.
_MAX_TITLE_ROWS = MAX_SKIPPED_LINES
# Without the line ends of empty rows.
_MAX_TITLE_BYTES = SAMPLE_BYTES - MAX_SKIPPED_LINES
# The name of a stream, as compound files write it.
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_MAX_LISTED_SHEETS = 1000
_MAX_SHEET_NAME = 1000
# What stands for a date that a sheet cannot show: before 1900.
_NO_DATE = "#NUM!"


def open_sheet(path: str, kind: Format, sheet: str | None, wanted: Sequence[str], max_bytes: int) -> Source:
    """Open a sheet by its name or its number from 1, by default the first one.

    The header is the one of the first rows that holds most of the ``wanted`` names, or else the first.

    Raises:
        UploadRefused: ``unreadable_file``, ``unsupported_media_type``, ``too_large``, ``unknown_sheet``, ``too_wide``,
            ``empty_file``.
    """
    if kind is Format.XLS:
        _check_compound(path)
    else:
        check_archive(path, max_bytes)
    try:
        workbook = CalamineWorkbook.from_path(path)
        names = [found.name for found in workbook.sheets_metadata if found.typ == SheetTypeEnum.WorkSheet]
        if any(len(name) > _MAX_SHEET_NAME for name in names):
            raise UploadRefused("unreadable_file", f"a sheet has a name of more than {_MAX_SHEET_NAME} characters")
        name = _chosen(names, sheet)
        opened = workbook.get_sheet_by_name(name)
    except PasswordError as error:
        raise UploadRefused("unreadable_file", PASSWORD) from error
    except CalamineError as error:
        raise unreadable("workbook", error) from error
    if opened.width > MAX_COLUMNS:
        raise UploadRefused("too_wide", f"the sheet {name!r} has {opened.width} columns; the limit is {MAX_COLUMNS}")
    return _read(opened, names, name, wanted)


def _check_compound(path: str) -> None:
    """Refuse an encrypted .xlsx, which lies in a compound file like an .xls."""
    with open(path, "rb") as file:  # noqa: PTH123 - a file descriptor's path
        last = b""
        while block := file.read(1024 * 1024):
            if _ENCRYPTED in last + block:
                raise UploadRefused("unreadable_file", PASSWORD)
            # The name may begin in one block and end in the next.
            last = block[-len(_ENCRYPTED) :]


def _chosen(names: Sequence[str], sheet: str | None) -> str:
    if not names:
        raise UploadRefused("empty_file", "the workbook has no sheet with cells")
    if not sheet:
        return names[0]
    if sheet in names:
        return sheet
    if sheet.isascii() and sheet.isdecimal() and 1 <= int(sheet[:9]) <= len(names):
        return names[int(sheet) - 1]
    by_case = [name for name in names if name.casefold() == sheet.strip().casefold()]
    if by_case:
        return by_case[0]
    listed = ", ".join(repr(name) for name in names[:20]) + (", …" if len(names) > 20 else "")
    raise UploadRefused("unknown_sheet", f"there is no sheet {sheet[:40]!r}; the workbook has {listed}")


def _read(sheet: CalamineSheet, names: Sequence[str], name: str, wanted: Sequence[str]) -> Source:
    all_rows = sheet.iter_rows()
    top = list(islice(all_rows, _MAX_TITLE_ROWS + 1))
    rows = (row for row in chain(top, all_rows) if not _is_empty(row))
    first = list(islice(rows, _MAX_TITLE_ROWS + 1))
    if not first:
        others = f"; the workbook also has {', '.join(map(repr, names[:20]))}" if len(names) > 1 else ""
        raise UploadRefused("empty_file", f"the sheet {name!r} is empty{others}")
    header_at = _header_at(first, wanted)
    header = [_name(value) for value in first[header_at]]
    used = {at for at, value in enumerate(header) if value} | _filled(sheet, header, header_at)
    columns = slice(min(used), max(used) + 1)
    body = (row[columns] for row in chain(first[header_at + 1 :], rows))
    kinds: list[set[Kind]] = [set() for _ in header[columns]]
    listed = names[:_MAX_LISTED_SHEETS]
    # As in a CSV file, empty rows count; where there are so many that the header is not in the top rows, they do not.
    above = top[: top.index(first[header_at])] if first[header_at] in top else first[:header_at]
    return Source(header[columns], _rows(body, kinds, sheet.height), listed, name, _preamble(above), kinds=kinds)


def _header_at(rows: Sequence[Sequence[Any]], wanted: Sequence[str]) -> int:
    """Return the place of the row with most of the names; the first of several."""
    normal = {_normal(name) for name in wanted}
    matches = [len(normal & {_normal(value) for value in row if isinstance(value, str)}) for row in rows]
    return matches.index(max(matches))


def _is_empty(row: Sequence[Any]) -> bool:
    return all(value == "" for value in row)


def _preamble(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as lines of CSV, without the empty cells at their ends; raise ``too_wide`` if they are too long.

    They are no longer than what is searched for the header of a CSV file, as which the results may be scored again.
    """
    text, size = "", 0
    for row in rows:
        for value in row:
            line = re.sub(r"[\r\n]+", " ", value) if isinstance(value, str) else value
            [field] = csv_column([None if line == "" else line], set())
            text += f"{field},"
            size += len(field.encode("utf-8", "replace")) + 1
            if size > _MAX_TITLE_BYTES:
                raise UploadRefused("too_wide", f"the rows above the header hold more than {_MAX_TITLE_BYTES} bytes")
        text = text.rstrip(",") + "\n"
    return text


def _normal(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _filled(sheet: CalamineSheet, header: Sequence[str], header_at: int) -> set[int]:
    """Return the columns without a name that hold anything below the header."""
    unnamed, found = {at for at, name in enumerate(header) if not name}, set[int]()
    rows = (row for row in sheet.iter_rows() if not _is_empty(row))
    for row in islice(rows, header_at + 1, None) if unnamed else ():
        found |= {at for at in unnamed if row[at] != ""}
        unnamed -= found
        if not unnamed:
            break
    return found


def _name(value: Any) -> str:
    [field] = csv_column([None if value == "" else value], set())
    return value if isinstance(value, str) else field


def _rows(rows: Iterator[Sequence[Any]], kinds: list[set[Kind]], height: int) -> Iterator[Rows]:
    size = max(1, _BATCH_CELLS // len(kinds))
    done, alone = 0, len(kinds) == 1
    while batch := list(islice(rows, size)):
        columns = [
            csv_column(_values(values), seen) for values, seen in zip(zip(*batch, strict=True), kinds, strict=True)
        ]
        done += len(batch)
        lines = [",".join(record) for record in zip(*columns, strict=True)]
        # Only a row that is empty in the columns read is an empty line; it is a record, though.
        text = "\n".join(line or '""' for line in lines) if alone else "\n".join(lines)
        yield Rows(f"{text}\n".encode("utf-8", "replace"), len(batch), min(1.0, done / max(1, height)))


def _values(values: Sequence[Any]) -> Sequence[Any]:
    """Return a column's values, None for empty cells, and a date before 1900, which comes as midnight, as ``#NUM!``."""
    if "" in values:
        values = [None if value == "" else value for value in values]
    types = set(map(type, values))
    if datetime.time in types and types & {datetime.date, datetime.datetime}:
        return [_NO_DATE if value == datetime.time() else value for value in values]
    return values
