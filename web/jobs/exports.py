"""Results as Parquet, Excel or JSON lines: made by a process of their own, so that the web stays quick and small."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Self

from werkzeug.datastructures import MIMEAccept

from jobs.csv.dialect import Dialect
from jobs.csv.records import as_field, index_records, unquote
from jobs.export_request import CELL_TOO_LONG, INCOMPLETE, MEDIA_TYPES, ExportFormat, ExportRequest
from jobs.fork_server.client import ForkedProcess, Program, fork_server
from jobs.settings import Settings
from jobs.state import Job
from jobs.store.job_store import JobStore
from web.jobs.downloads import CsvForm, TransferBroken, finished_results
from web.jobs.formula_escaping import formula_escaper
from web.problems import Problem
from web.server.limits import ConcurrencyLimit

# The 2**20 rows of a sheet, without the header.
MAX_SHEET_ROWS = 1_048_575
_PIECE_BYTES = 64 * 1024
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()


def chosen_format(asked: ExportFormat | None, accepted: MIMEAccept) -> ExportFormat:
    """Return the format that a client asks for, by parameter or by ``Accept``; CSV if it takes anything.

    Raises:
        Problem: ``not_acceptable``.
    """
    if asked or not accepted:
        return asked or ExportFormat.CSV
    by_type = {kind: export for export, kind in MEDIA_TYPES.items()}
    best = accepted.best_match(list(by_type))
    if best is None:
        detail = f"results are available as {', '.join(by_type)}"
        raise Problem(HTTPStatus.NOT_ACCEPTABLE, "not_acceptable", detail)
    return by_type[best]


def check_rows(job: Job, kind: ExportFormat) -> None:
    """Raise Problem ``too_many_rows`` if a sheet of Excel cannot hold the results."""
    rows = job.scored + job.rejected
    if kind is ExportFormat.XLSX and rows > MAX_SHEET_ROWS:
        detail = f"an Excel sheet holds {MAX_SHEET_ROWS:,} rows, and the results have {rows:,}; download CSV or Parquet"
        raise Problem(HTTPStatus.NOT_ACCEPTABLE, "too_many_rows", detail)


class Export:
    """The bytes of an export for the client with this address; the process ends with it.

    Raises:
        Busy: too many exports are running.
        Problem: ``text_too_long`` for a cell of Excel.
        TransferBroken: while iterating, if the process fails.
    """

    def __init__(
        self,
        job: Job,
        kind: ExportFormat,
        settings: Settings,
        places: ConcurrencyLimit,
        address: str,
        follow: bool = False,
    ) -> None:
        places.acquire(address)
        self._places: ConcurrencyLimit | None = places
        self._address = address
        self._process: ForkedProcess | None = None
        try:
            request = ExportRequest.of(job.id, kind, follow, settings)
            self._process = fork_server.run(Program.EXPORT, request.model_dump_json().encode())
            # An answer with an error needs to know before the first byte; who follows a job gets an answer at once.
            self._first = b"" if follow else self._read()
            if not self._first and not follow:
                self._raise_failure()
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        block, self._first = self._first or self._read(), b""
        if not block:
            # The end of its output may be that of a process which was killed.
            if code := self._exit_code():
                raise TransferBroken(f"the export ended with code {code}")
            raise StopIteration
        return block

    def _read(self) -> bytes:
        # Whatever is there: ``read`` would wait for a whole piece.
        return self._process.stdout.read1(_PIECE_BYTES) if self._process else b""

    def _exit_code(self) -> int:
        code = self._process.wait() if self._process else None
        return INCOMPLETE if code is None else code

    def _raise_failure(self) -> None:
        code = self._exit_code()
        if code == CELL_TOO_LONG:
            detail = "a text is longer than the 32,767 characters that a cell of Excel holds; download CSV or Parquet"
            raise Problem(HTTPStatus.NOT_ACCEPTABLE, "text_too_long", detail)
        if code:
            raise TransferBroken(f"the export ended with code {code}")

    def close(self) -> None:
        """End the process."""
        if self._places:
            self._places.release(self._address)
            self._places = None
            if self._process:
                self._process.close()


def for_excel(store: JobStore, job: Job) -> Iterator[bytes]:
    """Yield the results as Excel opens them with a double click: marked as UTF-8, in CRLF lines, formulas escaped.

    What Excel does not read, such as apostrophes as quotes, is written in its own way.
    """
    delimiter = job.delimiter if job.dialect.is_plain else ";" if job.dialect.decimal == "," else ","
    escape = formula_escaper(delimiter, Dialect(delimiter=delimiter, decimal=job.dialect.decimal))
    yield _BYTE_ORDER_MARK
    for block in finished_results(store, CsvForm(job, is_translated=True)):
        plain = block if job.dialect.is_plain else _rewritten(block, job, delimiter)
        yield _with_crlf(escape(plain), ord(delimiter))


def _rewritten(block: bytes, job: Job, delimiter: str) -> bytes:
    """Return whole translated records with the values of the file, written in the usual way."""
    index, separator = index_records(block, ord(job.delimiter), final=True), delimiter.encode()
    return b"".join(
        separator.join(
            as_field(job.dialect.value_of(unquote(field).decode("utf-8", "replace")), delimiter)
            for field in index.fields(number)
        )
        + b"\n"
        for number in range(len(index))
    )


def _with_crlf(block: bytes, delimiter: int) -> bytes:
    """Return whole records with CRLF as their line ends; line ends within quotes stay."""
    # Without quotes, every line feed ends a record.
    if b'"' not in block:
        return block.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    index = index_records(block, delimiter, final=True)
    records = b"\r\n".join(index.record(number) for number in range(len(index)))
    return records + b"\r\n" if block.endswith(b"\n") else records
