"""What the process that reads a file is told, and the frames that it answers with: a header, rows, then the end."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.formats.detection import Format

FRAME = struct.Struct("<cQ")
ROWS = struct.Struct("<QdQ")
HEADER_FRAME, ROWS_FRAME, TYPED_FRAME, END_FRAME, REFUSAL_FRAME, ERROR_FRAME = b"H", b"R", b"T", b"E", b"X", b"!"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file: its format, the sheet asked for, the names that its header should have, and limits.

    ``max_bytes`` limits what the file holds when it is unpacked; ``memory_mib`` the memory of the process.
    ``typed_bytes``: rows of Parquet and Arrow files come as packed batches of about so many bytes at most, where they
    can; 0: all come as CSV.
    """

    format: Format
    sheet: str | None
    wanted: Sequence[str]
    max_bytes: int
    memory_mib: int
    typed_bytes: int = 0

    def encode(self) -> str:
        """Return the options as JSON."""
        limits = (self.max_bytes, self.memory_mib, self.typed_bytes)
        values = (self.format.value, self.sheet, list(self.wanted), *limits)
        return json.dumps(values)

    @classmethod
    def decode(cls, text: str) -> "ReadOptions":
        """Return what ``encode`` encoded."""
        kind, *others = json.loads(text)
        return cls(Format(kind), *others)
