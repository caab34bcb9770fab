"""The record index reads any CSV as the reference reader does, wherever the upload is cut."""

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.csv.blank_lines import without_blank_lines
from jobs.csv.reader import MAX_CHUNK_ROWS, Cutter
from jobs.csv.records import RecordIndex, index_records
from jobs.errors import UploadRefused
from tests.jobs.csv.reference_reader import Record, read, read_robustly, size
from tests.properties import examples

PIECES = st.sampled_from(["a", "7", ",", ",", ";", '"', '"', '""', "\n", "\n", "\r\n", "\r", "\\", '\\"', " ", "é"])
TEXTS = st.lists(PIECES, max_size=40).map("".join)
RECORD = st.sampled_from(
    [
        "1,2\n",
        '"1",2\n',
        '"a,\nb",2\r\n',
        '6" nail,2\n',
        '"x"y,2\n',
        "\n",
        '"q ""w""",\r\n',
        "3\n",
        "a\rb,1\n",
    ]
)

# How much of a text is looked at to decide how to read it: less than a few lines, or all of it.
SAMPLES = st.sampled_from([30, 1 << 14])


@examples(400, long=1500)
@given(TEXTS, st.sampled_from([",", ";"]))
@example('"hi \\"",39\n38,4\n', ",")
@example('"a\r\n', ",")
@example('a,"b\r"\r\n', ",")
@example('\r\n\n"\n\n\r\n"\n\n\r\n\r\r\n\n\n', ",")
def test_every_text_is_read_as_the_reference_reader_reads_it(text: str, delimiter: str) -> None:
    check_reading(text, delimiter, most=100)


def check_reading(text: str, delimiter: str, most: int) -> None:
    expected = read(text, delimiter)
    index = index_records(text.encode(), ord(delimiter), final=True)
    if expected.open_quote_row is not None:
        assert index.is_open
        assert len(index) == expected.open_quote_row - 1
        return
    assert not index.is_open
    check_records(index, expected.records, most, escapes=False)


def check_records(index: RecordIndex, expected: list[Record], most: int = 100, escapes: bool = True) -> None:
    assert [index.record(n).decode() for n in range(len(index))] == [record.text for record in expected]
    assert index.field_counts.tolist() == [len(record.fields) for record in expected]
    assert index.malformed.tolist() == [n for n, record in enumerate(expected) if record.malformed]
    if escapes:
        fields = [[f.decode() for f in index.fields(n)] for n in range(len(index))]
        assert fields == [record.fields[:most] for record in expected]


@examples(800, long=3000)
@given(TEXTS, st.sampled_from([",", ";"]), st.integers(1, 4), SAMPLES)
@example('a,"b\nc",d\n"e\n",f\ng"\n', ",", 2, 30)
def test_broken_quotes_are_resynchronised_as_the_reference_reader_does(
    monkeypatch: pytest.MonkeyPatch, text: str, delimiter: str, width: int, sample: int
) -> None:
    monkeypatch.setattr("jobs.csv.resync._SAMPLE_BYTES", sample)
    expected = read_robustly(text, delimiter, width)
    index = index_records(text.encode(), ord(delimiter), final=True, width=width)
    check_records(index, expected)
    unclosed = [n for n, record in enumerate(expected) if record.open_quote]
    assert index.owners(index.unclosed_at).tolist() == unclosed
    without_blanks = without_blank_lines(index)
    assert not without_blanks.has_blank_lines
    check_records(without_blanks, expected)


@examples(100, long=300)
@given(text=TEXTS)
def test_fields_beyond_the_widest_header_are_counted_too(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("jobs.csv.records.MAX_FIELDS", 2)
    check_reading(text, ",", most=2)


@examples(400, long=1500)
@given(
    st.lists(RECORD, max_size=30).map("".join) | TEXTS,
    st.integers(1, 60),
    st.integers(1, 90),
    st.sampled_from([10, 30, 100, 1 << 22]),
    SAMPLES,
)
@example('1,2\nabcdef,"x\ny"\n', 60, 1, 10, 30)  # the record is longer than the limit
def test_cutting_an_upload_anywhere_keeps_every_record_whole(
    monkeypatch: pytest.MonkeyPatch, text: str, block: int, chunk: int, limit: int, sample: int
) -> None:
    monkeypatch.setattr("jobs.csv.resync._SAMPLE_BYTES", sample)
    monkeypatch.setattr("jobs.csv.records.MAX_RECORD_BYTES", limit)
    data, expected = text.encode(), read_robustly(text, ",", 2, limit)
    cutter, chunks = Cutter(",", 2, chunk), []
    try:
        for start in range(0, len(data), block):
            chunks += cutter.feed(data[start : start + block])
        chunks += cutter.finish()
    except UploadRefused as refused:
        assert refused.code == "too_wide"
        assert refused.errors[0].row == next(n for n, record in enumerate(expected, 1) if size(record.text) > limit)
        return
    assert [c.first_row for c in chunks] == [1 + sum(c.rows for c in chunks[:n]) for n in range(len(chunks))]
    records = []
    for piece in chunks:
        index = index_records(piece.data, ord(","), final=True, width=2)
        malformed = set(index.malformed.tolist())
        assert malformed.issuperset(piece.open_quotes)
        records += [(index.record(n).decode(), n in malformed, n in piece.open_quotes) for n in range(len(index))]
    assert records == [(record.text, record.malformed, record.open_quote) for record in expected]


@pytest.mark.parametrize(
    ("data", "code", "row"),
    [
        (b"1,2\n3,4\n5,\0\n", "undecodable", 3),
        (b"1,2\n\n\n3,\x004\n", "undecodable", 2),
        (b'1,2\n3,"4\0\n', "undecodable", 2),
        (b'1,2\n3\0,"4\n', "undecodable", 2),
        (b"1,2\n" + b"x" * (1024 * 1024 + 1) + b",2\n", "too_wide", 2),
        (b'1,2\n3,"' + b"x" * (1024 * 1024 + 1) + b"\n", "too_wide", 2),
        (b'1,2\n3,"' + b"x\n" * (1024 * 1024) + b'"\n', "too_wide", 2),
        (b"1,2\n" + b"x,y," * (1024 * 1024 + 1) + b",2\n", "too_wide", 2),
        (b'1,2\n3,"' + b"x,y," * (1024 * 1024 + 1) + b",2\n", "too_wide", 2),
    ],
)
@pytest.mark.parametrize("block", [1 << 16, 1 << 30])
def test_records_beyond_the_limits_are_refused_with_their_row(data: bytes, code: str, row: int, block: int) -> None:
    cutter = Cutter(",", 2, 1 << 20)
    with pytest.raises(UploadRefused) as refused:
        for start in range(0, len(data), block):
            list(cutter.feed(data[start : start + block]))
        list(cutter.finish())
    assert (refused.value.code, refused.value.errors[0].row) == (code, row)


@pytest.mark.parametrize("block", [1 << 16, 1 << 30])
def test_an_open_quote_costs_one_row_however_long_the_file(block: int) -> None:
    data = b'1,2\n3,"4\n' + b"5,6\n" * 3_000_000
    cutter, chunks = Cutter(",", 2, 1 << 22), []
    for start in range(0, len(data), block):
        chunks += cutter.feed(data[start : start + block])
    chunks += cutter.finish()
    assert b"".join(chunk.data for chunk in chunks) == data
    assert sum(chunk.rows for chunk in chunks) == 3_000_002
    assert [chunk.first_row + number for chunk in chunks for number in chunk.open_quotes] == [2]


def test_a_chunk_of_tiny_records_does_not_hold_too_many() -> None:
    cutter = Cutter(",", 1, 1 << 20)
    chunks = [*cutter.feed(b"1\n" * 500_000), *cutter.finish()]
    assert sum(chunk.rows for chunk in chunks) == 500_000 == cutter.rows
    assert max(chunk.rows for chunk in chunks) == MAX_CHUNK_ROWS
    assert [chunk.first_row for chunk in chunks] == list(range(1, 500_001, MAX_CHUNK_ROWS))
    assert b"".join(chunk.data for chunk in chunks) == b"1\n" * 500_000


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"\n\n\r\n"])
@pytest.mark.parametrize("record", [b"", b"a,b\n"])
def test_blank_lines_are_passed_over_without_an_offset_for_each(blank: bytes, record: bytes) -> None:
    """A few kilobytes of gzip hold millions of them."""
    data = record + blank * 1_000_000 + record + blank * 1_000_000
    tracemalloc.start()
    index = index_records(data, ord(","), final=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [index.record(n) for n in range(len(index))] == [b"a,b"] * (2 if record else 0)
    assert (index.consumed, index.has_blank_lines) == (len(data), True)
    assert peak < 5 * len(data)
