"""Broken records keep the fields that fit, in place, and harm none of their neighbours."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.messages import InputChunk
from tests.jobs.csv.reference_reader import Record, read, read_robustly
from tests.properties import examples
from worker.scoring.parse import Layout, parse_chunk
from worker.scoring.render import records_with_line_ends

WIDTH = 3
LAYOUT = Layout(",", WIDTH, {"a": 0, "c": 2})
PIECES = st.sampled_from(["a", "7", ",", ",", ",", '"', '"', '""', "\n", "\n", "\r\n", "\r", "\\", '\\"', " ", "é"])
BYTES = [b"\xff", b"\xe9", b"\xed\xa0\x80", b"\xe2\x82", b"\xc3"]
RECORDS = ["1,2,3\n", "1,2\r\n", '"1"x,2,3,"4, ""5"""\n', '1,6" nail,3\n', '1,"2\n2",3,4,,5\r\n', "a\rb,2\n", ",,\n"]
TEXTS = st.lists(st.sampled_from(RECORDS), max_size=12).map("".join) | st.lists(PIECES, max_size=40).map("".join)


def is_broken(record: Record) -> bool:
    return record.malformed or len(record.fields) != WIDTH


def readable(field: str) -> str:
    again = read(field, ",")
    sound = field.startswith('"') and len(again.records) == 1 and not again.records[0].malformed
    plain = not field.startswith('"') and "\r" not in field
    return field if sound or plain else '"' + field.replace('"', '""') + '"'


def rewritten(record: Record) -> str:
    fields = record.fields[:WIDTH] + [""] * (WIDTH - len(record.fields))
    if record.malformed and len(record.fields) > WIDTH:  # nothing is lost: the last field is all that is left
        rest = ",".join(record.fields[WIDTH - 1 :])
        return ",".join([*map(readable, fields[:-1]), '"' + rest.replace('"', '""') + '"'])
    return ",".join(map(readable, fields)) if is_broken(record) else record.text


@examples(250, long=800)
@given(TEXTS)
@example('"\\"",2,"x\\"",4\n1,2,3')
def test_fields_that_fit_are_kept_and_can_be_read_again(text: str) -> None:
    records = read_robustly(text, ",", WIDTH)
    parsed = parse_chunk(InputChunk(1, len(records), text.encode()), LAYOUT)
    numbers = [number for number, record in enumerate(records) if is_broken(record)]
    assert (parsed.broken.rewritten.rows.tolist() if parsed.broken else []) == numbers
    rewritten_records = parsed.broken.rewritten if parsed.broken else None
    rows = np.arange(len(records))
    lines = records_with_line_ends(parsed.index, rewritten_records, rows, b"\n").to_pylist()
    assert [line.decode().removesuffix("\n").removesuffix("\r") for line in lines] == [
        rewritten(record).removesuffix("\r") for record in records
    ]
    assert [len(record.fields) for record in read(b"".join(lines).decode(), ",").records] == [WIDTH] * len(lines)
    good = [record for record in records if not is_broken(record)]
    assert len(parsed.columns["a"][1]) == len(good)


@examples(80, long=200)
@given(st.lists(st.sampled_from(RECORDS).map(str.encode) | st.sampled_from(BYTES), min_size=1, max_size=12))
def test_records_that_do_not_decode_are_found(pieces: list[bytes]) -> None:
    parsed = parse_chunk(InputChunk(1, 0, b"".join(pieces)), LAYOUT)
    for number in range(len(parsed)):
        try:
            parsed.index.record(number).decode()
            decodes = True
        except UnicodeDecodeError:
            decodes = False
        found = parsed.broken.faults if parsed.broken else None
        place = found.rows.tolist().index(number) if found is not None and number in found.rows.tolist() else None
        code = found.faults.codes[found.codes[place]].as_py() if found is not None and place is not None else None
        assert (code == "undecodable") == (not decodes)
