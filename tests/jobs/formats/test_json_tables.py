"""Blocks of JSON lines that Arrow reads become the same CSV as the same lines one by one."""

import json
import tempfile
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.records import MAX_RECORD_BYTES
from jobs.formats.json_lines import open_json_lines
from jobs.formats.json_tables import read_table, table_text
from tests.properties import examples

ODD_LINES = [
    b'{"a": 1}{"a": 2}', b'{"a": 1},{"a": 2}', b'{"a": NaN, "b": 1}', b'{"a": Infinity, "b": 1}', b'{"a": 1, "a": 2}',
    b'{"a": 1, "\\u0061": 2}', b'{"a": "\\ud800"}', b'{"a": "\\udc00"}', b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}',
    b'{"a": 01}', b'{"a": 1.}', b'{"a": 1e400}', b'{"a": 1e-400}', b'{"a": -0}', b'{"a": "\\u0000"}', b'{"a": 1,}',
    b'{"a": "x\x01"}', b'{"a": {}', b'{"b": 1}}', b'{"a":[{}', b'{}]}', b'{}', b"", b" ", b' {"a": 1} ', b"[1]",
    b"null", b'{"a": 1}/**/', b'{"a": 9007199254740993, "b": 1}', b'{"a": 1234567890123456789012}',
    b'{"a": 1000000000000000.0}',
    b'{"a": 9007199254740993.5}', b'{"a": "\\/"}', b"{'a': 1}", b'{"a": 0.1e1}', b'{"a": true}', b'{"c": 1}',
    b"}", b"{",
    b'{"a": 1}\r', b'{"a": "2024-01-01", "b": "2024-01-01T10:00:00Z"}',
]  # fmt: skip
TEXTS = st.sampled_from(
    ["", "x", "1", "007", "a,b", 'say "hi"', "two\nlines", "2024-01-01", "10:30", "é", "[1]", "true"]
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.integers(-99, 99), st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.just([1]), st.just({"x": None}))
# Most files have the same names on each line, and values of one type.
COLUMNS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "", "é"]),
    st.sampled_from([st.none() | TEXTS, st.integers(-99, 99), st.none() | NUMBERS, st.floats(-9, 9), st.booleans(),
                     VALUES]),
    min_size=1,
)  # fmt: skip
RECORDS = COLUMNS.flatmap(lambda columns: st.lists(st.fixed_dictionaries(columns), max_size=60))


def opened(data: bytes) -> Any:
    """What is read of a file: its columns, its text, and the kinds of its values."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        source = open_json_lines(file.name)
        parts = list(source.rows)
        text = b"".join(bytes(part.text) for part in parts)
        return source.names, text, sum(part.rows for part in parts), [sorted(kinds) for kinds in source.kinds]


def one_by_one(data: bytes) -> Any:
    with patch("jobs.formats.json_lines.read_table", return_value=None):
        return opened(data)


@examples(200)
@given(RECORDS, st.lists(st.tuples(st.integers(0, 60), st.sampled_from(ODD_LINES)), max_size=2), st.booleans())
def test_files_become_the_same_whether_read_by_block_or_by_line(
    records: list[dict[str, Any]], odd: list[tuple[int, bytes]], ends: bool
) -> None:
    lines = [json.dumps(record, ensure_ascii=False).encode() for record in [{"a": 1, "b": None}, *records]]
    for at, line in odd:
        lines.insert(at, line)
    data = b"\n".join(lines) + b"\n" * ends
    assert opened(data) == one_by_one(data)


@examples(50)
@given(RECORDS, st.integers(1, 60))
def test_blocks_without_a_value_become_the_same(records: list[dict[str, Any]], empty: int) -> None:
    lines = [*empty * [{"a": None, "b": None}], *records, *empty * [{"b": None}]]
    data = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    with patch("jobs.formats.json_lines._blocks", lambda file: iter(file.readline, b"")):  # blocks of a line
        assert opened(data) == one_by_one(data)


def test_a_block_without_a_value_has_rows_of_empty_fields() -> None:
    table = read_table(b'{"a":null,"b":null}\n' * 2, 2)
    assert table is not None
    assert table_text(table, ["a", "b"], [set(), set()]) == b",\n,\n"


def test_a_block_for_which_there_is_too_little_memory_is_not_read_otherwise() -> None:
    error = pa.ArrowMemoryError("malloc of size 4096 failed")
    with patch("jobs.formats.json_tables._read", side_effect=error), pytest.raises(MemoryError):
        read_table(b'{"a": 1, "b": 2}\n')


@pytest.mark.parametrize("line", ODD_LINES, ids=repr)
@pytest.mark.parametrize("other", [b'{"a": 1, "b": 2}', b'{"a": 1.5}', b'{"a": "x"}', b'{"a":1},{"a":2}'])
def test_an_odd_line_is_read_as_it_is_alone(line: bytes, other: bytes) -> None:
    data = b"\n".join([b'{"b": 1, "a": null}', other, other, line, other, line, line])
    assert opened(data) == one_by_one(data)


def test_ordinary_files_are_read_by_block() -> None:
    lines = [{"age": at % 70 or None, "name": f"n{at}", "hours": at / 2, "day": "2024-01-01", "is": at % 2 == 0}
             for at in range(1000)]  # fmt: skip
    data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    table = read_table(data)
    assert table is not None
    assert table.num_rows == 1000
    several_blocks = data * 75 + b'{"age": oops\n' + data
    assert len(several_blocks) > MAX_RECORD_BYTES
    assert opened(several_blocks) == one_by_one(several_blocks)
