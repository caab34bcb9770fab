"""Scored chunks as they are stored: CSV in a Zstandard frame, or typed rows with what is appended to each.

What reads results as text calls ``output_text``, which makes the same bytes of both.
"""

import struct
from dataclasses import dataclass

from jobs.messages import compress, decompress

# No Zstandard frame begins with these bytes.
_MARK = b"typed1"
_HEAD = struct.Struct(f"<{len(_MARK)}sQ")


@dataclass(frozen=True, slots=True)
class TypedOutput:
    """Results of typed rows: the rows as they came, and what is appended to each, both packed (``jobs.formats.typed``).

    The suffixes begin with a delimiter, as they do in CSV.
    """

    rows: bytes
    suffixes: bytes

    @property
    def size(self) -> int:
        """The size of the results as CSV, in bytes."""
        from jobs.formats.typed import text_size  # noqa: PLC0415

        return text_size(self.rows) + text_size(self.suffixes)

    def text(self) -> bytes:
        """Return the results as CSV."""
        # The web needs Arrow for such results only.
        from jobs.formats.typed import csv_text_with, unpack, unpack_texts  # noqa: PLC0415

        return csv_text_with(unpack(self.rows), unpack_texts(self.suffixes))


def encode_output(output: bytes | TypedOutput) -> bytes:
    """Encode results for the store."""
    if isinstance(output, TypedOutput):
        return _HEAD.pack(_MARK, len(output.rows)) + output.rows + output.suffixes
    return compress(output)


def decode_output(stored: bytes) -> bytes | TypedOutput:
    """Decode what ``encode_output`` returned."""
    if not stored.startswith(_MARK):
        return decompress(stored)
    _, size = _HEAD.unpack_from(stored)
    end = _HEAD.size + size
    return TypedOutput(stored[_HEAD.size : end], stored[end:])


def output_text(stored: bytes) -> bytes:
    """Return stored results as CSV."""
    output = decode_output(stored)
    return output.text() if isinstance(output, TypedOutput) else output
