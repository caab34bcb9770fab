"""What the process that reads a file is told, and the frames that it answers with: a header, rows, then the end."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.formats.detection import Format

FRAME = struct.Struct("<cQ")
ROWS = struct.Struct("<Qd")
HEADER_FRAME, ROWS_FRAME, END_FRAME, REFUSAL_FRAME, ERROR_FRAME = b"H", b"R", b"E", b"X", b"!"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file: its format, the sheet asked for, the names that its header should have, and limits.

    ``max_bytes`` limits what the file holds when it is unpacked; ``memory_mib`` the memory of the process.
    """

    format: Format
    sheet: str | None
    wanted: Sequence[str]
    max_bytes: int
    memory_mib: int

    def encode(self) -> str:
        """Return the options as JSON."""
        values = (self.format.value, self.sheet, list(self.wanted), self.max_bytes, self.memory_mib)
        return json.dumps(values)

    @classmethod
    def decode(cls, text: str) -> "ReadOptions":
        """Return what ``encode`` encoded."""
        kind, *others = json.loads(text)
        return cls(Format(kind), *others)
