"""A file gives the same predictions in every dialect, and comes back as it was, wherever its blocks and chunks end."""

import csv
import io
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.decoding import Utf8Decoder
from jobs.csv.detection import FileStart, detect
from jobs.csv.dialect import Translator
from jobs.csv.encoding import byte_order_mark, encoder
from jobs.csv.reader import Chunk, Cutter
from jobs.messages import InputChunk
from model.scorer import Scorer
from tests.properties import examples
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import score_chunk

NAMES = ["age", "workclass", "education", "marital_status", "race", "sex", "hours_per_week", "note"]
NOTES = st.sampled_from(
    ["", "x", "a b", "a, b; c", 'say "hi"', "it's", "two\nlines", "Zoë", "-1.234,56", "|^~", "  x  "]
)
ROWS = st.tuples(
    st.sampled_from(["39", "28", "51", "abc", "17", ""]),
    st.sampled_from(["State-gov", "Private", "?", "Nobody"]),
    st.sampled_from(["Bachelors", "Masters", "11th"]),
    st.just("Divorced"),
    st.just("White"),
    st.sampled_from(["Male", "female"]),
    st.sampled_from(["40", "20", "99"]),
    NOTES,
)
DIALECTS = st.fixed_dictionaries({
    "delimiter": st.sampled_from([",", ";", "\t", "|", "^", "~", " ", "§"]),
    "line_end": st.sampled_from(["\n", "\r\n", "\r"]),
    "quote": st.sampled_from(['"', "'"]),
    "spaced": st.booleans(),
    "codec": st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le", "cp1252"]),
})  # fmt: skip


def written(rows: list[tuple[str, ...]], how: dict[str, str]) -> str:
    """The rows in a dialect; where quotes are apostrophes or stand between spaces, every text is quoted."""
    text = io.StringIO()
    odd = how["quote"] == "'" or how["spaced"] or how["delimiter"] == " "
    csv.writer(
        text,
        delimiter=how["delimiter"],
        lineterminator="\n",
        quotechar=how["quote"],
        quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL,
    ).writerows([NAMES, *rows])
    lines = text.getvalue()
    if how["spaced"]:
        mark, quote = how["delimiter"], how["quote"]
        lines = lines.replace(
            f"{quote}{mark}{quote}", f"{quote}{mark}  {quote}" if mark != " " else f"{quote}   {quote}"
        )
    return lines.replace("\n", how["line_end"])


def scored(
    data: bytes, how: dict[str, str], scorer: Scorer, block: int, chunk_bytes: int
) -> tuple[bytes, list[list[str]]]:
    """The results of a file as they are downloaded, and the columns that were added."""
    decoder = Utf8Decoder(None if how["codec"] == "utf-8-sig" else how["codec"])
    text = b"".join(decoder.feed(data[at : at + block]) for at in range(0, len(data), block)) + decoder.finish()
    delimiter = how["delimiter"] if how["delimiter"] in "§ " else None
    schema = scorer.card.record_schema
    start = detect(text, lambda names: (schema.count_columns(names), 7), final=True, delimiter=delimiter)
    assert start is not None
    columns = schema.match_columns(start.header.columns).columns
    layout = Layout(start.header.delimiter, len(NAMES), columns, dialect=start.dialect, header=start.header.raw)
    outputs = [
        score_chunk(
            InputChunk(chunk.first_row, chunk.rows, chunk.data, chunk.open_quotes), layout, [scorer], None
        ).output
        for chunk in chunks(text, start, block, chunk_bytes)
    ]
    core = start.header.raw + start.header.line_end + b"".join(outputs)
    encode = encoder(decoder.codec) or bytes
    mark = byte_order_mark(decoder.codec) if decoder.has_byte_order_mark else b""
    rows = csv.reader(io.StringIO(core.decode(), newline=""), delimiter=start.header.delimiter)
    return mark + encode(start.dialect.restore(core)), [row[-3:] for row in rows][1:]


def chunks(text: bytes, start: FileStart, block: int, chunk_bytes: int) -> Iterator[Chunk]:
    translator, cutter = Translator(start.dialect), Cutter(start.header.delimiter, len(NAMES), chunk_bytes)
    blocks = [translator.feed(text[at : at + block]) for at in range(0, len(text), block)]
    core = b"".join([*blocks, translator.finish()])[start.header.size :]
    for at in range(0, len(core), block):
        yield from cutter.feed(core[at : at + block])
    yield from cutter.finish()


@examples(50, long=150)
@given(st.lists(ROWS, min_size=2, max_size=8), DIALECTS, st.integers(1, 300), st.sampled_from([1, 60, 1000]))
def test_every_dialect_gives_the_same_predictions(
    scorer: Scorer, rows: list[tuple[str, ...]], how: dict[str, str], block: int, chunk_bytes: int
) -> None:
    plain = {"delimiter": ",", "line_end": "\n", "quote": '"', "spaced": False, "codec": "utf-8"}
    _, wanted = scored(written(rows, plain).encode(), plain, scorer, 1000, 1000)
    text = written(rows, how)
    results, added = scored(text.encode(how["codec"]), how, scorer, block, chunk_bytes)
    assert [row[:2] for row in added] == [row[:2] for row in wanted]
    assert [bool(row[2]) for row in added] == [bool(row[2]) for row in wanted]
    # Without what was added, the file is left byte for byte.
    read = results.decode(how["codec"])
    for record in text.split(how["line_end"]):
        assert read.startswith(record), (record, read[:200])
        read = read[len(record) :]
        at = read.find(how["line_end"])
        read = read[at + len(how["line_end"]) :] if at >= 0 else ""
