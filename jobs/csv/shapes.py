"""The shapes of the lines of a CSV buffer: how quotes and delimiters stand in them, without the texts between. Pure.

How the quotes of a line read depends on its shape alone, and a file in which every row has a stray quote has few
different ones. So each distinct shape is read once, and what was found in it is then looked up for each line.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jobs.csv.quotes import BACKSLASH, CR, LF, QUOTE, Bits, Offsets, has_escapes

# Stands for a run of other bytes. No delimiter is a NUL.
_OTHERS = b"\0"
_BLOCK_BYTES = 128 * 1024


@dataclass(frozen=True)
class Shapes:
    """The lines of a buffer, n, and their distinct shapes, k.

    A shape keeps the quotes, delimiters and line ends of a line, backslashes if any escapes a quote, and the first byte
    of each run of other bytes, as a NUL. ``text`` holds the shapes one after the other, each with a line end, and
    ``codes``, shape (n,), the number of each line's shape. ``kept`` are the offsets in the buffer of the bytes that the
    lines' shapes keep.
    """

    text: bytes
    codes: NDArray[np.int64]
    kept: NDArray[np.int32]

    @classmethod
    def of(cls, data: bytes, delimiter: int, final: bool, of_quotes: bool = False) -> "Shapes":
        """Find the shapes; what follows the last line end is a line only with ``final``.

        With ``of_quotes``, delimiters and other bytes are kept only beside quotes, which tells how these read.
        """
        marks = [QUOTE, LF, delimiter]
        marks += [CR] if b"\r" in data else []
        marks += [BACKSLASH] if has_escapes(data) else []
        kept, text = _keep(np.frombuffer(data, np.uint8), marks, of_quotes)
        *lines, rest = text.split(b"\n")
        if final and data[-1:] not in (b"", b"\n"):
            # A carriage return at the very end is no part of a line end, as it would be before the one of the shape.
            padding = _OTHERS if rest.endswith(b"\r") else b""
            lines.append(rest + padding)
            kept = np.append(kept, np.full(len(padding) + 1, len(data), np.int32))
        # Each new shape gets the number of those before it.
        codes: defaultdict[bytes, int] = defaultdict()
        codes.default_factory = codes.__len__
        numbers = np.fromiter(map(codes.__getitem__, lines), np.int64, len(lines))
        return cls(b"".join(line + b"\n" for line in codes), numbers, kept)

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def bounds(self) -> Offsets:
        """The offsets of the shapes in ``text`` and, last, its length, shape (k + 1,)."""
        return np.append(0, np.flatnonzero(np.frombuffer(self.text, np.uint8) == LF) + 1)

    @cached_property
    def _shifts(self) -> Offsets:
        """How far each line's kept bytes are from those of its shape, shape (n,)."""
        lengths = np.diff(self.bounds)[self.codes]
        shifts: Offsets = np.cumsum(lengths) - lengths - self.bounds[self.codes]
        return shifts

    @property
    def ends(self) -> Offsets:
        """The offsets in the buffer of the line ends, shape (n,)."""
        return self.at(self.bounds[1:] - 1)

    @property
    def starts(self) -> Offsets:
        """The offsets in the buffer at which the lines begin, shape (n,)."""
        return np.append(0, self.ends + 1)[:-1]

    def at(self, offsets: Offsets, lines: Offsets | slice = slice(None)) -> Offsets:
        """Return the offsets in the buffer, in each of the lines, of an offset in each of the shapes, shape (k,)."""
        kept: NDArray[np.int32] = self.kept[self._shifts[lines] + offsets[self.codes[lines]]]
        return kept.astype(np.int64)

    def marks_of(self, marks: Offsets, lines: Offsets | slice = slice(None)) -> "LineMarks":
        """Return the marks of the lines, if those of the shapes are at the ascending offsets ``marks``."""
        bounds = np.searchsorted(marks, self.bounds)
        codes = self.codes[lines]
        counts = np.diff(bounds)[codes]
        steps = np.repeat(bounds[codes] - np.cumsum(counts) + counts, counts)
        return LineMarks(np.arange(len(steps)) + steps, counts, np.repeat(self._shifts[lines], counts), self.kept)


@dataclass(frozen=True, slots=True)
class LineMarks:
    """Marks in lines, in order: which of those in the shapes each is, shape (m,), and how many each line has."""

    which: Offsets
    counts: Offsets
    _shifts: Offsets
    _kept: NDArray[np.int32]

    def at(self, offsets: Offsets) -> Offsets:
        """Return the offsets in the buffer of an offset near each of the marks in the shapes."""
        kept: NDArray[np.int32] = self._kept[self._shifts + offsets[self.which]]
        return kept.astype(np.int64)


def _keep(raw: NDArray[np.uint8], marks: list[int], of_quotes: bool) -> tuple[NDArray[np.int32], bytes]:
    """Return the offsets of the bytes that shapes keep, and these bytes, those that are no marks as NULs."""
    others = bytes(set(range(256)) - set(marks))
    as_shape = bytes.maketrans(others, _OTHERS * len(others))
    offsets, texts = [np.empty(0, np.int32)], []
    # In blocks that fit into the processor's cache, each with a byte more at either side, on which its edges depend.
    for start in range(0, len(raw), _BLOCK_BYTES):
        low = max(start - 1, 0)
        block = raw[low : start + _BLOCK_BYTES + 1]
        kept = _beside_quotes(block) if of_quotes else _marks(block, marks)
        places = np.flatnonzero(kept[start - low :][:_BLOCK_BYTES]).astype(np.int32) + np.int32(start)
        offsets.append(places)
        texts.append(raw.take(places).tobytes().translate(as_shape))
    return np.concatenate(offsets), b"".join(texts)


def _marks(raw: NDArray[np.uint8], marks: list[int]) -> Bits:
    """Return which bytes are marks, or the first after one."""
    are_marks = raw == QUOTE
    for mark in marks:
        are_marks |= raw == mark
    kept: Bits = are_marks.copy()
    kept[1:] |= are_marks[:-1]
    kept[:1] = True
    return kept


def _beside_quotes(raw: NDArray[np.uint8]) -> Bits:
    """Return which bytes are quotes, beside one, line ends, or the first after a carriage return."""
    quotes, returns = raw == QUOTE, raw == CR
    kept: Bits = quotes | returns | (raw == LF)
    kept[1:] |= quotes[:-1] | returns[:-1]
    kept[:-1] |= quotes[1:]
    return kept
