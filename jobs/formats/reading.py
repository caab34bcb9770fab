"""Read a file and write it as CSV, in frames, to standard output: a program of the fork server."""

import base64
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import BinaryIO

import jobs.formats.no_pandas  # noqa: F401 - before pyarrow is imported
from jobs.errors import UploadRefused
from jobs.formats.detection import Format
from jobs.formats.frames import (
    END_FRAME,
    ERROR_FRAME,
    FRAME,
    HEADER_FRAME,
    REFUSAL_FRAME,
    ROWS,
    ROWS_FRAME,
    TYPED_FRAME,
    ReadOptions,
)
from jobs.formats.json_lines import open_json_lines
from jobs.formats.sheets import open_sheet
from jobs.formats.source import Source, check_names
from jobs.formats.tables import open_arrow, open_parquet
from jobs.memory import limit_memory


def main(request: bytes, files: Sequence[int]) -> int:
    """Read the open file, as the request, ``ReadOptions``, says; what is wrong with it is reported as a frame, too."""
    options = ReadOptions.decode(request.decode())
    # What libraries write there may hold values of the file.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    limit_memory(options.memory_mib)
    out = sys.stdout.buffer
    try:
        # By its descriptor: a temporary file has no name.
        _write(out, _open(f"/dev/fd/{files[0]}", options))
    except UploadRefused as refused:
        _frame(out, REFUSAL_FRAME, _json((refused.code, refused.detail, refused.errors[0].row)))
    except MemoryError:
        detail = f"the file needs more than {options.memory_mib} MiB of memory to be read; split it, or send CSV"
        _frame(out, REFUSAL_FRAME, _json(("too_large", detail, None)))
    except Exception as error:  # noqa: BLE001 - the parent logs it, without the text, which may hold values of the file
        place = traceback.extract_tb(error.__traceback__)[-1]
        _frame(out, ERROR_FRAME, f"{type(error).__name__} at {place.filename}:{place.lineno}".encode())
    return 0


def _open(path: str, options: ReadOptions) -> Source:
    if options.format is Format.PARQUET:
        return open_parquet(path, options.max_bytes, options.typed_bytes)
    if options.format is Format.ARROW:
        return open_arrow(path, options.typed_bytes)
    if options.format is Format.JSONL:
        return open_json_lines(path)
    return open_sheet(path, options.format, options.sheet, options.wanted, options.max_bytes)


def _write(out: BinaryIO, source: Source) -> None:
    check_names(source.names)
    schema = None if source.schema is None else base64.b64encode(source.schema.serialize()).decode()
    header = {
        "names": list(source.names),
        "sheets": list(source.sheets),
        "sheet": source.sheet,
        "schema": schema,
        "preamble": source.preamble,
    }
    _frame(out, HEADER_FRAME, _json(header))
    for part in source.rows:
        kind = TYPED_FRAME if part.is_typed else ROWS_FRAME
        _frame(out, kind, ROWS.pack(part.rows, part.progress, part.size or len(part.text)), part.text)
    kinds = None if source.schema is not None else [sorted(seen) for seen in source.kinds]
    _frame(out, END_FRAME, _json(kinds))


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _frame(out: BinaryIO, kind: bytes, *payload: bytes | memoryview) -> None:
    out.write(FRAME.pack(kind, sum(map(len, payload))))
    for part in payload:
        out.write(part)
    out.flush()
