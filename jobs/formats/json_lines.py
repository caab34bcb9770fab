"""Read JSON lines: an object per line. The file is read twice, first for the names of its columns."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import IO, Any

import orjson

from jobs.csv.reader import MAX_COLUMNS
from jobs.csv.records import MAX_RECORD_BYTES
from jobs.errors import UploadRefused
from jobs.formats.cells import csv_column
from jobs.formats.json_tables import read_table, table_text
from jobs.formats.source import Kind, Rows, Source

_BATCH_CELLS = 65_536
_BATCH_BYTES = 8 * 1024 * 1024
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_BOM = b"\xef\xbb\xbf"


def open_json_lines(path: str) -> Source:
    """Open a file of JSON lines. Its columns are the names of all objects, in the order of their first appearance.

    A line that is no JSON object becomes a malformed record, which scoring rejects.

    Raises:
        UploadRefused: ``too_wide``, ``no_header``, ``empty_file``; while reading, too.
    """
    file = open(path, "rb")  # noqa: PTH123, SIM115 - a file descriptor's path, read until the process ends
    names: dict[str, None] = {}
    lines = 0
    for block in _blocks(file):
        table = read_table(block)
        if table is not None and len(names | dict.fromkeys(table.column_names)) <= MAX_COLUMNS:
            names |= dict.fromkeys(table.column_names)
            lines += table.num_rows
        else:
            lines = _add_names(block, names, lines)
    if not lines:
        raise UploadRefused("empty_file", "the file is empty: JSON lines, an object on each, are needed")
    if not names:
        detail = 'no line is a JSON object; JSON lines have one on each, such as {"age": 39}'
        raise UploadRefused("no_header", detail)
    size = max(1, file.tell())
    file.seek(0)
    kinds: list[set[Kind]] = [set() for _ in names]
    return Source(list(names), _rows(file, list(names), kinds, size), kinds=kinds)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the file in blocks of whole lines; the last line of the file gets a line end."""
    while block := file.read(MAX_RECORD_BYTES):
        # With two bytes more for the line end, so that only a line that is too long is cut.
        block += b"" if block.endswith(b"\n") else file.readline(MAX_RECORD_BYTES + 2)
        yield block if block.endswith(b"\n") else block + b"\n"


def _add_names(block: bytes, names: dict[str, None], lines: int) -> int:
    """Add the names of the objects in a block after so many lines; return how many lines there are with it."""
    for number, line in _lines(block, lines):
        lines = number
        record = _parse(line)
        if record is not None and not record.keys() <= names.keys():
            # A dictionary, for its order.
            names |= dict.fromkeys(record)
            if len(names) > MAX_COLUMNS:
                detail = f"up to line {number}, the objects have more than {MAX_COLUMNS} different names"
                raise UploadRefused("too_wide", detail, row=number)
    return lines


def _lines(block: bytes, number: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, numbered after ``number``.

    Raises:
        UploadRefused: ``too_wide`` for a line that is too long.
    """
    for whole in io.BytesIO(block):
        line = whole if number else whole.removeprefix(_BOM)
        if not line.isspace() and line:
            number += 1
            if len(line.rstrip(b"\r\n")) > MAX_RECORD_BYTES:
                detail = f"row {number} is longer than {MAX_RECORD_BYTES} bytes"
                raise UploadRefused("too_wide", detail, row=number)
            yield number, line


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the object on a line, or None if it is none."""
    try:
        # orjson would turn whole numbers of more than 64 bits into floats.
        value = json.loads(line) if _LONG_NUMBER.search(line) else orjson.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _rows(file: IO[bytes], names: list[str], kinds: list[set[Kind]], size: int) -> Iterator[Rows]:
    count = 0
    for block in _blocks(file):
        progress = min(1.0, file.tell() / size)
        # An empty line would be no record.
        table = read_table(block, len(names)) if len(names) > 1 else None
        if table is not None:
            count += table.num_rows
            yield Rows(table_text(table, names, kinds), table.num_rows, progress)
            continue
        for rows in _one_by_one(_lines(block, count), names, kinds):
            count += rows.rows
            yield replace(rows, progress=progress)


def _one_by_one(lines: Iterator[tuple[int, bytes]], names: list[str], kinds: list[set[Kind]]) -> Iterator[Rows]:
    while batch := _batch(lines, max(1, _BATCH_CELLS // len(names))):
        records = [_parse(line) for line in batch]
        columns = [
            csv_column([record.get(name) if record else None for record in records], seen)
            for name, seen in zip(names, kinds, strict=True)
        ]
        fields = zip(*columns, strict=True)
        texts = [
            # An empty line would be no record.
            _malformed(line) if record is None else ",".join(row) or '""'
            for line, record, row in zip(batch, records, fields, strict=True)
        ]
        text = "\n".join(texts)
        yield Rows(f"{text}\n".encode("utf-8", "replace"), len(batch), 0.0)


def _batch(lines: Iterator[tuple[int, bytes]], most: int) -> list[bytes]:
    batch, size = [], 0
    for _, line in islice(lines, most):
        batch.append(line)
        size += len(line)
        if size > _BATCH_BYTES:
            break
    return batch


def _malformed(line: bytes) -> str:
    """Return a record that is rejected as malformed, with the whole line in its only field."""
    text = re.sub(r"[\r\n\0]", " ", line.rstrip(b"\r\n").decode("utf-8", "replace"))
    # Text after a closing quote is what no CSV record may have.
    return '"' + text.replace('"', '""') + '"?'
