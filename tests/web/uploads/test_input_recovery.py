"""The input of a job is recovered from its results."""

import csv
import io
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.messages import InputChunk, Rejects
from jobs.store.chunks import ScoredChunk
from model.scorer import Scorer
from tests.jobs.csv.reference_reader import read_robustly
from tests.properties import examples
from web.uploads.input_recovery import InputRecovery
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import reject_chunk, score_chunk

WIDTH = 3
PIECES = st.sampled_from([*"a7;é,,,|\t\\ ", '"', '"', '""', '\\"', ", ", "\n", "\n", "\r\n", "\r", "\udcff", "x" * 60])
SOUND_FIELDS = [
    b"",
    b"1",
    b"a b",
    b'6" nail',
    b'"1"',
    b'"a,\nb"',
    b'"q ""w"" |"',
    b'"x\r\ny\t"',
    b"\xc3\xa9",
    b'"p, q"',
    b"z;",
]
BROKEN_FIELDS = [
    b'x\\"',
    b'"x"y',
    b"a\rb",
    b'"so \\""',
    b"\xff",
    b'"\xff,"',
    b'""""',
    b"k" * 150,
    b'"' + b'""' * 150 + b'"',
]
FIELD = st.sampled_from([*SOUND_FIELDS, *BROKEN_FIELDS])
DELIMITERS = st.sampled_from([b",", b";", b"\t", b"|"])
TEXTS = st.lists(PIECES, max_size=60).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogateescape"))


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A delimiter and records, most of about the right width."""
    delimiter = draw(DELIMITERS)
    records = draw(
        st.lists(st.lists(FIELD, min_size=1, max_size=WIDTH + 4) | st.lists(FIELD, min_size=WIDTH, max_size=WIDTH))
    )
    line_ends = draw(st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=len(records), max_size=len(records)))
    text = b"".join(delimiter.join(r) + end for r, end in zip(records, line_ends, strict=True))
    return delimiter, text if draw(st.booleans()) else text.removesuffix(b"\n").removesuffix(b"\r")


def scored(delimiter: bytes, text: bytes, first_row: int = 1) -> ScoredChunk:
    """A file's results, in which the records that could be scored stand as failed: a row each, and a reject."""
    layout = Layout(delimiter.decode(), WIDTH, {"a": 0, "b": 1, "c": 2})
    return reject_chunk(InputChunk(first_row, 0, text), layout)


def recovered(delimiter: bytes, *chunks: ScoredChunk, width: int = WIDTH) -> bytes:
    unscorer = InputRecovery(delimiter.decode(), width)
    return b"".join([unscorer.feed(chunk.output, as_stored(chunk)) for chunk in chunks])


def as_stored(chunk: ScoredChunk) -> Rejects:
    return Rejects.decode(Rejects(chunk.rejects, chunk.originals).encode())


@examples(100, long=300)
@given(files() | st.tuples(DELIMITERS, TEXTS))
@example((b",", b'1,2,3,x\\",y\n'))
@example((b",", b'1,2,3,"p, q",x\\",y\n'))
@example((b",", b"1,2,3," + b"p" * 96 + b'\\",y\n'))
@example((b",", b"1,2,3," + b"p" * 97 + b",y\n1,2,3," + b"p" * 98 + b",y\n"))
@example((b",", b"1,2,3," + b"p" * 100 + b"\n1,2,3," + b"p" * 101 + b"\n1,2,3" + b"," * 300 + b"\n"))
@example((b",", b"1,2,3," + b"p" * 99 + "…\n".encode() + b'1,2,3,"' + b"\xc3\xa9" * 150 + b'"\n'))
@example((b";", b"1;2;3" + b";x" * 2500 + b"\n1;2\n"))
@example((b",", b'1,2,"\xff"\n1,"\xff\n"x,3\n"a"b,2,3,4\n1\n'))
def test_what_is_scored_again_has_the_same_results_and_the_same_rejects(file: tuple[bytes, bytes]) -> None:
    delimiter, text = file
    first = scored(delimiter, text)
    again = scored(delimiter, recovered(delimiter, first))
    assert again.output == first.output
    assert again.rejects == first.rejects
    assert again.summary == first.summary


@examples(50, long=150)
@given(files())
def test_every_record_is_that_of_the_file(file: tuple[bytes, bytes]) -> None:
    delimiter, text = file
    back = recovered(delimiter, scored(delimiter, text))
    records, found = (
        read_robustly(t.decode("utf-8", "surrogateescape"), delimiter.decode(), WIDTH) for t in (text, back)
    )
    assert found == records


SOUND = st.sampled_from(["", "1", "a b", 'q "w"', "a,b", "c;d\te|f", "x\ny", "x\r\ny", "é", '"', "\\", "7, 8"])


@examples(40, long=100)
@given(
    st.lists(st.lists(SOUND, min_size=WIDTH, max_size=WIDTH).filter(lambda row: row != ["", "", ""]), min_size=1),
    DELIMITERS,
    st.sampled_from(["\n", "\r\n"]),
)
def test_it_is_what_the_csv_module_gives_without_the_last_columns(
    rows: list[list[str]], delimiter: bytes, line_end: str
) -> None:
    target = io.StringIO(newline="")
    csv.writer(target, delimiter=delimiter.decode(), lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    text = target.getvalue()
    results = scored(delimiter, text.encode())
    read_again = csv.reader(io.StringIO(results.output.decode(), newline=""), delimiter=delimiter.decode())
    assert [row[:-3] for row in read_again] == rows
    assert recovered(delimiter, results) == text.encode()


RECORD = "State-gov,Bachelors,Never-married,White,Male,40"
NAMES = ["age", "workclass", "education", "marital_status", "race", "sex", "hours_per_week"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_scored_rows_and_rejects_chunk_by_chunk(scorer: Scorer, line_end: str) -> None:
    layout = Layout(",", 7, {name: at for at, name in enumerate(NAMES)})
    texts = [
        line_end.join([f"{age},{RECORD}" for age in ages] + more + [""]).encode()
        for ages, more in (
            ([20, '"30"', "abc", 200, "", '"a ""b"", c"'], [f"39,{RECORD},x,y", "1,2"]),
            ([31, 32], []),
            ([33], [f'"39"x,{RECORD}', f"39,{RECORD},", "39"]),
        )
    ]
    row, chunks = 1, list[ScoredChunk]()
    for text in texts:
        chunks.append(score_chunk(InputChunk(row, 0, text), layout, [scorer], 0.5))
        row += chunks[-1].scored + chunks[-1].rejected
    back = recovered(b",", *chunks, width=7)
    # Whoever writes the reasons in other words changes nothing of what is scored again.
    assert b"9 fields where the header has 7" in chunks[0].rejects
    reworded = [replace(c, rejects=re.sub(rb"\d+ fields? where the header has", b"not", c.rejects)) for c in chunks]
    assert recovered(b",", *reworded, width=7) == back
    again = score_chunk(InputChunk(1, 0, back), layout, [scorer], 0.5)
    assert again.output == b"".join(chunk.output for chunk in chunks)
    assert again.rejects == b"".join(chunk.rejects for chunk in chunks)
    assert [f"39,{RECORD},x,y", "1,2"] == back.decode().split(line_end)[6:8]


def test_the_widest_header_is_read_as_any_other() -> None:
    layout = Layout(",", 2000, {"a": 0})
    text = b",".join([b"1"] * 2000) + b"\n" + b",".join([b"2"] * 2010) + b"\n" + b'6",3\n'
    first = reject_chunk(InputChunk(1, 0, text), layout)
    again = reject_chunk(InputChunk(1, 0, recovered(b",", first, width=2000)), layout)
    assert (again.output, again.rejects) == (first.output, first.rejects)
