"""Holding what became of a file against what the contract makes of it, record by record and fault by fault."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

from jobs.csv.records import index_records
from model.scorer import Scorer
from tests.fuzz.contract import Limits, Opened, Refused, Row, open_file, rows, unquoted
from tests.fuzz.pipeline import Outcome, cut_all, run
from tests.jobs.csv.reference_reader import Record, read

_UNKNOWN = re.compile("[\ufffd\ud800-\udfff]+")


def check_file(
    data: bytes, scorer: Scorer, blocks: Sequence[int], chunk_bytes: int, limits: Limits | None = None
) -> None:
    """Send a file through the product, and compare every record with the contract's."""
    outcome = run(data, scorer, blocks, chunk_bytes)
    wanted = check_opened(data, outcome, scorer, limits)
    if wanted:
        judged = rows(wanted, scorer.card.features)
        check_rows(outcome, wanted, judged, scorer)
        check_rejects(outcome, wanted, judged)
        check_counts(outcome, judged)


def check_cuts(data: bytes, scorer: Scorer, blocks: Sequence[int], chunk_bytes: int) -> None:
    """Cut a file into chunks, and compare the records in them with the contract's."""
    outcome = Outcome()
    chunks = cut_all(data, scorer.card, blocks, chunk_bytes, outcome)
    wanted = check_opened(data, outcome, scorer)
    if wanted is None:
        return
    assert [chunk.first_row for chunk in chunks] == [1 + sum(c.rows for c in chunks[:n]) for n in range(len(chunks))]
    records = []
    for chunk in chunks:
        index, known = (
            index_records(chunk.data, ord(wanted.delimiter), final=True, width=len(wanted.columns), count=count)
            for count in (None, chunk.rows)
        )
        assert len(index) == chunk.rows
        # How many records there are may spare work, but changes nothing.
        assert (known.starts.tolist(), known.ends.tolist()) == (index.starts.tolist(), index.ends.tolist())
        assert known.malformed.tolist() == index.malformed.tolist()
        malformed = set(index.malformed.tolist())
        counts = index.field_counts.tolist()
        texts = [_known(index.record(number).decode("utf-8", "surrogateescape")) for number in range(len(index))]
        records += [(text, counts[number], number in malformed) for number, text in enumerate(texts)]
    assert records == [(_known(record.text), len(record.fields), record.malformed) for record in wanted.records]


def check_opened(data: bytes, outcome: Outcome, scorer: Scorer, limits: Limits | None = None) -> Opened | None:
    """Whether a file is refused as it must be (None), or its dialect and header are read as they must be."""
    wanted = open_file(data, scorer.card.features, limits)
    if isinstance(wanted, Refused):
        assert outcome.refused in wanted.reasons, (outcome.refused, wanted.reasons, data)
        return None
    assert outcome.refused is None, outcome.refused
    assert outcome.header is not None
    assert (outcome.encoding, outcome.header.delimiter) == (wanted.encoding, wanted.delimiter)
    assert list(map(_known, outcome.header.columns)) == list(map(_known, wanted.columns))
    return wanted


def check_rows(outcome: Outcome, wanted: Opened, judged: list[Row], scorer: Scorer) -> None:
    """Every record once, in order, kept as it came, with its prediction or its faults."""
    fine = [row for row in judged if not row.faults and not row.broken]
    predictions = scorer.predict_records([row.values for row in fine]) if fine else None
    answers = iter(zip(predictions.values.tolist(), predictions.positive.tolist(), strict=True) if predictions else ())
    written = read(outcome.output.decode("utf-8", "surrogateescape"), wanted.delimiter)
    assert written.open_quote_row is None
    assert len(written.records) == len(judged)
    others = csv.reader(
        io.StringIO(outcome.output.decode("utf-8", "surrogateescape"), newline=""), delimiter=wanted.delimiter
    )
    assert list(others) == [[unquoted(field) for field in record.fields] for record in written.records]
    for row, record in zip(judged, written.records, strict=True):
        # Only a text that is quoted across unquoted fields stays as it came: all readers find the same fields in it.
        assert not record.malformed or row.broken == "malformed"
        assert record.line_end == row.record.line_end
        prediction, probability, error = _appended(row, record, wanted)
        if row.faults or row.broken:
            assert (prediction, probability) == ("", "")
            _check_error(row, error)
        else:
            label, positive = next(answers)
            assert (prediction, probability, error) == (
                scorer.card.classes[label],
                f"{positive:.6f}".replace(".", wanted.notation.decimal),
                "",
            )


def _appended(row: Row, record: Record, wanted: Opened) -> list[str]:
    """The three fields that follow the record's own, which are as they came."""
    width = len(wanted.columns)
    assert len(record.fields) == width + 3, record
    if not row.broken:
        assert record.text.startswith(row.record.text + wanted.delimiter)
    assert [_known(unquoted(field)) for field in record.fields[:width]] == list(map(_known, row.fields))
    return [unquoted(field) for field in record.fields[width:]]


def _check_error(row: Row, error: str) -> None:
    if row.broken:
        assert error.partition(":")[0] == row.broken, (error, row)
        return
    begins = 0
    for fault in row.faults:  # in the order of the model's features
        found = error.find(f"{fault.code} in {fault.column}: ", begins)
        assert found >= 0, (error, row)
        begins = found + 1


def check_rejects(outcome: Outcome, wanted: Opened, judged: list[Row]) -> None:
    """A line per fault: row, column, value, code, reason, then the record as it stands in the results."""
    lines = read(outcome.rejects.decode("utf-8", "surrogateescape"), wanted.delimiter)
    assert lines.open_quote_row is None
    found = [[unquoted(field) for field in line.fields] for line in lines.records]
    assert len(found) == sum(len(row.faults) or bool(row.broken) for row in judged)
    for number, row in enumerate(judged, 1):
        for fault in row.faults:
            line = found.pop(0)
            assert line[:2] + line[3:4] == [str(number), fault.column, fault.code]
            assert _known(line[2]) == _known(fault.value or "")
            assert list(map(_known, line[5:])) == list(map(_known, row.fields))
        if row.broken:
            line = found.pop(0)
            assert line[:2] == [str(number), ""]
            assert line[3] == row.broken
            assert list(map(_known, line[5:])) == list(map(_known, row.fields))
    assert not found


def check_counts(outcome: Outcome, judged: list[Row]) -> None:
    """The counters and the summary say what the rows say."""
    rejected = sum(bool(row.faults or row.broken) for row in judged)
    assert sum(chunk.rejected for chunk in outcome.chunks) == rejected
    assert sum(chunk.scored for chunk in outcome.chunks) == len(judged) - rejected
    assert sum(chunk.repaired for chunk in outcome.chunks) == sum(row.repaired for row in judged)
    counted: Counter[str] = Counter()
    for chunk in outcome.chunks:
        counted.update({name: n for name, n in chunk.summary.items() if name.startswith("fault:")})
    by_column = Counter(f"fault:{fault.code}:{fault.column}" for row in judged for fault in row.faults)
    assert {name: n for name, n in counted.items() if not name.endswith(":")} == by_column
    assert sum(n for name, n in counted.items() if name.endswith(":")) == sum(bool(row.broken) for row in judged)


def _known(text: str) -> str:
    """A text in which each run of what does not decode is one sign: how many it becomes is nobody's promise."""
    return _UNKNOWN.sub("\ufffd", text)
