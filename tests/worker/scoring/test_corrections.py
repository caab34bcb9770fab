"""Corrected rows come into their chunk as if the file had been right from the beginning."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.rejected import RejectedRecords, ResultsLayout
from jobs.messages import InputChunk, Rejects
from jobs.store.chunks import ReplacedChunk, ScoredChunk
from model.scorer import Scorer
from tests.properties import examples
from tests.web.uploads.test_input_recovery import WIDTH, files
from worker.scoring.corrections import merge
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import reject_chunk, score_chunk

COLUMNS = ["age", "workclass", "education", "marital_status", "race", "sex", "hours_per_week"]
LAYOUT = Layout(",", 7, {name: at for at, name in enumerate(COLUMNS)})
GOOD = "39,State-gov,Bachelors,Never-married,White,Male,40"
FAULTY = [
    GOOD.replace("Male", "M"),
    GOOD.replace("39", "abc"),
    GOOD.replace("39", "").replace("Male", "M"),
    f"{GOOD},surplus",
    "39,State-gov",
    f'"39"x{GOOD[2:]}',
    GOOD.replace("40", '"4,0"'),
]
RIGHT = [GOOD, GOOD.replace("39", "57"), GOOD.replace("Male", "Female").replace("40", "60")]
FIRST_ROW = 100


def replaced(chunk: ScoredChunk, rows: Sequence[int]) -> ReplacedChunk:
    return ReplacedChunk(tuple(rows), chunk.output, Rejects(chunk.rejects, chunk.originals))


def score(lines: Sequence[str], scorer: Scorer, first_row: int = FIRST_ROW, end: str = "\n") -> ScoredChunk:
    data = "".join(f"{line}{end}" for line in lines).encode()
    return score_chunk(InputChunk(first_row, len(lines), data), LAYOUT, [scorer], 0.5)


@given(st.data())
@examples(25, long=60)
def test_a_corrected_chunk_is_the_one_of_a_file_that_was_right(scorer: Scorer, data: st.DataObject) -> None:
    lines = data.draw(st.lists(st.sampled_from([*RIGHT, *FAULTY]), min_size=1, max_size=12))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    before = score(lines, scorer, end=end)
    numbers = [n for n, line in enumerate(lines) if line in FAULTY]
    chosen = data.draw(st.lists(st.sampled_from(numbers), unique=True).map(sorted)) if numbers else []
    new = [data.draw(st.sampled_from([*RIGHT, *FAULTY[:3]])) for _ in chosen]
    rows = [FIRST_ROW + n for n in chosen]
    merged = merge(replaced(before, rows), score(new, scorer, 1, end), LAYOUT, [scorer])
    right = list(lines)
    for n, line in zip(chosen, new, strict=True):
        right[n] = line
    whole = score(right, scorer, end=end)
    assert merged.output == whole.output
    assert merged.rejects == whole.rejects
    assert merged.originals == whole.originals
    assert merged.scored - len(rows) + merged.rejected == whole.scored - before.scored - len(rows) + whole.rejected - (
        before.rejected - len(rows)
    )
    summary = dict(before.summary)
    for name, count in merged.summary.items():
        summary[name] = summary.get(name, 0) + count
    assert {name: count for name, count in summary.items() if count} == whole.summary


def test_the_last_record_keeps_having_no_line_end(scorer: Scorer) -> None:
    before = score_chunk(InputChunk(1, 2, f"{GOOD}\n{FAULTY[0]}".encode()), LAYOUT, [scorer], 0.5)
    merged = merge(replaced(before, [2]), score([GOOD], scorer, 1), LAYOUT, [scorer])
    assert merged.output == score([GOOD, GOOD], scorer).output.removesuffix(b"\n")
    assert merged.rejects == b""


def test_rows_that_used_up_their_attempts_were_not_counted(scorer: Scorer) -> None:
    """Nothing of them is in the summary but the fault."""
    before = reject_chunk(InputChunk(1, 1, f"{GOOD}\n".encode()), LAYOUT)
    whole = score([GOOD], scorer)
    merged = merge(replaced(before, [1]), whole, LAYOUT, [scorer])
    assert merged.summary == {**whole.summary, "fault:scoring_failed:": -1}
    again = merge(replaced(before, [1]), before, LAYOUT)
    assert (again.output, again.rejects, again.summary) == (before.output, before.rejects, {})


def test_a_corrected_row_whose_quote_is_repaired_is_listed_under_its_own_number(scorer: Scorer) -> None:
    """The record as it came is kept under its own place in the chunk."""
    layout = Layout(",", 8, {name: at for at, name in enumerate(["note", *COLUMNS]) if name != "note"})

    def scored(lines: Sequence[str], first_row: int = FIRST_ROW) -> ScoredChunk:
        return score_chunk(InputChunk(first_row, len(lines), "\n".join(lines).encode()), layout, [scorer], 0.5)

    good = f"5 cm,{GOOD}"
    repaired = good.replace("5 cm", '5"cm').replace("State-gov", 'State-gov"')
    before = scored([good, repaired.replace("39", "abc"), good])
    assert (before.repaired, before.rejected) == (0, 1)
    merged = merge(replaced(before, [FIRST_ROW + 1]), scored([repaired], 1), layout, [scorer])
    whole = scored([good, repaired, good])
    assert merged.output == whole.output
    assert merged.originals == whole.originals == {1: repaired.encode()}
    assert merged.repaired == whole.repaired == 1
    assert merged.summary["repaired:101"] == whole.summary["repaired:101"] == 1


@pytest.mark.parametrize("explained", [0, 2])
@given(files())
@examples(25, long=60)
def test_rejected_records_are_found_whatever_the_file(explained: int, file: tuple[bytes, bytes]) -> None:
    delimiter, text = file
    layout = Layout(delimiter.decode(), WIDTH, {"age": 0}, 3, explained, bool(explained))
    chunk = reject_chunk(InputChunk(FIRST_ROW, 1, text), layout)
    found = RejectedRecords.read(
        chunk.output, chunk.rejects, ResultsLayout(delimiter.decode(), WIDTH, WIDTH + layout.added - 1)
    )
    assert found.rows == list(range(FIRST_ROW, FIRST_ROW + chunk.rejected))
    faults = list(found.faults(delimiter.decode()))
    assert [{line.row for line in of_row} for of_row in faults] == [{row} for row in found.rows]
    for number, of_row in enumerate(faults):
        assert found.error(number).startswith(b'"' + of_row[0].code.encode() + b": ")
        assert re.search(re.escape(found.record(number)) + rb"\r?\n?$", chunk.rejects[: of_row[0].end])
