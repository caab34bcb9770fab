"""Write the results of a job in another format to standard output: a program of the fork server.

The web runs it for each download. It is no part of the package ``web``, whose import would take a second.

The web waits for the first bytes, which of a workbook come at its end, so what is wrong before is told by the exit
code.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import jobs.formats.no_pandas  # noqa: F401 - before pyarrow is imported
from jobs.errors import DamagedBlob, StorageUnavailable
from jobs.export_request import CELL_TOO_LONG, INCOMPLETE, ExportFormat, ExportRequest
from jobs.formats.results import ResultReader, Results
from jobs.formats.workbook import CellTooLong, write_xlsx
from jobs.formats.writers import write_json_lines, write_parquet
from jobs.memory import limit_memory
from jobs.state import Job, JobState
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.outputs import decode_output

_POLL_SECONDS = 0.2
# As that of the bulk workers.
_NICENESS = 5


def main(request_line: bytes, _files: Sequence[int]) -> int:
    """Write the results as an ``ExportRequest`` asks for them; return the exit code."""
    request = ExportRequest.model_validate_json(request_line)
    os.nice(_NICENESS)
    limit_memory(request.memory_mib)
    settings = request.settings()
    store = JobStore(connect(settings, patient=True), settings)
    job = _begun(store, request)
    if job is None:
        return INCOMPLETE
    out, chunks = sys.stdout.buffer, _chunks(store, job, request.follow)
    try:
        if request.format is ExportFormat.PARQUET:
            write_parquet(out, ResultReader.of(job), chunks)
        elif request.format is ExportFormat.XLSX:
            return _write_workbook(out, job, chunks)
        else:
            write_json_lines(out, ResultReader.of(job), chunks)
    except (DamagedBlob, StorageUnavailable) as error:
        sys.stderr.write(f"scoreline: job {job.id} cannot be exported: {error}\n")
        return INCOMPLETE
    except _Incomplete:
        return INCOMPLETE
    out.flush()
    return 0


def _write_workbook(out: BinaryIO, job: Job, chunks: Iterator[Results]) -> int:
    try:
        write_xlsx(out, ResultReader.of(job, numbers_in_csv=True), chunks)
    except CellTooLong:
        return CELL_TOO_LONG
    out.flush()
    return 0


class _Incomplete(Exception):
    """Raised when results are gone, or the job ends without them."""


def _begun(store: JobStore, request: ExportRequest) -> Job | None:
    """Return the job once its header is known; None if it is gone."""
    while (job := store.get(request.job_id)) and not job.header and not job.state.ended:
        time.sleep(_POLL_SECONDS)
    return job


def _chunks(store: JobStore, job: Job, follow: bool) -> Iterator[Results]:
    """Yield the scored chunks; of a canceled job, the leading ones; with ``follow``, as they are recorded."""
    number = 0
    while True:
        now = store.get(job.id)
        if now is None or (follow and now.state in (JobState.FAILED, JobState.CANCELED)):
            raise _Incomplete
        while (frame := store.output(job.id, number)) is not None:
            yield decode_output(frame)
            number += 1
        if now.state is JobState.CANCELED or (now.state is JobState.SUCCEEDED and number == now.chunks):
            return
        if not follow:
            raise _Incomplete
        time.sleep(_POLL_SECONDS)
