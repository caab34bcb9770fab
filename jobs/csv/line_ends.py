"""Line ends of a CSV buffer: records between them, blank lines, carriage returns that belong to none. Pure."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jobs.csv.quotes import CR, Offsets

_NO_OFFSETS = np.empty(0, np.int64)
# Where lines are shorter on average, many of them may be blank.
_MIN_BYTES_PER_LINE = 4
_BLOCK_BYTES = 64 * 1024


def ends_of_lines(data: bytes, ends: Offsets) -> Offsets:
    """Return the offsets after the line ends of records that end at the given offsets."""
    # With line ends added, there is a byte to look at after each record, also at the end of the data.
    raw = np.frombuffer(data + b"\n\n", np.uint8)
    after: Offsets = np.minimum(ends + 1 + (raw[ends] == CR), len(data))
    return after


def spans(data: bytes, line_ends: NDArray[np.bool_], final: bool) -> tuple[Offsets, Offsets, int, bool]:
    """Return starts and ends of the records, the offset after the last line end, and whether lines were blank."""
    lines = int(np.count_nonzero(line_ends))
    if _MIN_BYTES_PER_LINE * lines < len(data):
        first_ends = last_ends = np.flatnonzero(line_ends)
    else:
        first_ends, last_ends = _runs_of_line_ends(data, line_ends)
    consumed = int(last_ends[-1]) + 1 if len(last_ends) else 0
    if final and consumed < len(data):
        first_ends = np.append(first_ends, len(data))
        consumed, lines = len(data), lines + 1
    starts = np.zeros_like(first_ends)
    starts[1:] = last_ends[: max(len(first_ends) - 1, 0)] + 1
    ends = first_ends - _ended_by_crlf(data, first_ends)
    filled = ends > starts
    if filled.all():
        return starts, ends, consumed, lines > len(starts)
    return starts[filled], ends[filled], consumed, True


def _runs_of_line_ends(data: bytes, line_ends: NDArray[np.bool_]) -> tuple[Offsets, Offsets]:
    """Return the offsets of the first and the last line end of each run of line ends with nothing between them.

    A few bytes of a compressed upload may be a million blank lines, which cost far less as bits than as offsets.
    """
    raw = np.frombuffer(data, np.uint8)
    firsts, lasts = [_NO_OFFSETS], [_NO_OFFSETS]
    # In blocks that fit into the processor's cache, each with two bytes more at either side, on which its edges depend.
    for start in range(0, len(raw), _BLOCK_BYTES):
        low = max(start - 2, 0)
        block, own = slice(low, start + _BLOCK_BYTES + 2), slice(start - low, start - low + _BLOCK_BYTES)
        blank = _between_records(raw[block], line_ends[block])
        firsts.append(start + np.flatnonzero((blank > np.concatenate(([False], blank[:-1])))[own]))
        lasts.append(start + np.flatnonzero((blank > np.concatenate((blank[1:], [False])))[own]))
    return np.concatenate(firsts), np.concatenate(lasts)


def _between_records(raw: NDArray[np.uint8], line_ends: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which bytes are line ends, or the carriage return of a CRLF that is a line of its own."""
    begins_line = np.concatenate(([True], line_ends[:-1]))
    before_line_end = np.concatenate((line_ends[1:], [False]))
    between: NDArray[np.bool_] = line_ends | ((raw == CR) & begins_line & before_line_end)
    return between


def _ended_by_crlf(data: bytes, line_ends: Offsets) -> NDArray[np.bool_]:
    before: NDArray[np.bool_] = (
        np.frombuffer(data, np.uint8)[line_ends - 1] == CR
    )  # index -1 wraps around for a line end at offset 0; corrected below
    if len(line_ends):
        before[0] &= line_ends[0] > 0
        before[-1] &= line_ends[-1] < len(data)
    return before


def bare_returns_in(data: bytes, quoted: Callable[[], NDArray[np.bool_] | None]) -> Offsets:
    """Return the offsets of carriage returns that are not ``quoted``; none if all of them belong to a CRLF."""
    if b"\r" not in data or data.count(b"\r") == data.count(b"\r\n"):
        return _NO_OFFSETS
    returns, inside = np.frombuffer(data, np.uint8) == CR, quoted()
    return np.flatnonzero(returns if inside is None else returns & ~inside)
