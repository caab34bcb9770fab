"""What the service has found out about how a file is written, and what it will do about it, in sentences. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.csv.detection import FileStart, delimiter_name
from model.schema import FaultCode

_OF_FAULTS = {
    FaultCode.AMBIGUOUS_NUMBER: "Some numbers could have a decimal point or a decimal comma. Their rows are rejected, "
    "unless you say which mark the file has.",
    FaultCode.REPEATED_HEADER: "The header is repeated among the rows. These lines are rejected.",
    FaultCode.TOTALS_LINE: "The last line holds totals. It is rejected; all other rows are scored.",
}


def preflight_notes(encoding: str, start: FileStart, faults: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the notes for people; none for an ordinary file."""
    return [*_of_dialect(encoding, start), *(_OF_FAULTS[code] for code in _OF_FAULTS if code in _codes(faults))]


def _codes(faults: Sequence[Mapping[str, Any]]) -> set[str]:
    return {fault["code"] for fault in faults}


def _of_dialect(encoding: str, start: FileStart) -> Iterator[str]:
    dialect = start.dialect
    if encoding != "utf-8":
        yield f"The file is encoded in {encoding}, and the results will be too."
    if count := dialect.skipped_lines:
        lines, appear = ("line", "appears") if count == 1 else (f"{count} lines", "appear")
        yield f"The first {lines} before the header {appear} in the results as in the file."
    if dialect.delimiter not in (",", ";", "\t"):
        yield f"Fields are separated by {delimiter_name(dialect.delimiter)}."
    if dialect.decimal == ",":
        yield "Numbers have decimal commas, and so will the probabilities in the results."
    if dialect.quote == "'":
        yield "Fields are quoted with apostrophes, and so are the added ones."
    if dialect.escape:
        yield "Quotes within fields are escaped with backslashes."
    if dialect.line_end == "\r":
        yield "Lines end in carriage returns, and so will those of the results."
    if count := start.dropped_names:
        names = "empty name" if count == 1 else f"{count} empty names"
        yield f"The {names} at the end of the header will be dropped, because no row has a value there."
    if count := start.dropped_results:
        columns = "column" if count == 1 else f"{count} columns"
        yield f"The {columns} that earlier results added will be dropped."
