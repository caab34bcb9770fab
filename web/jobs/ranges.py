"""Parts of a download: ``Range`` and ``If-Range`` (RFC 9110), for results whose size is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import accumulate

from flask import Request, Response

from jobs.state import JobState
from jobs.store.job_store import JobStore
from jobs.store.outputs import output_text
from web.jobs.downloads import CsvForm, TransferBroken, csv_response
from web.problems import Problem
from web.server.limits import ConcurrencyLimit


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """The results of a succeeded job as one file: what precedes its rows, and the sizes of its chunks in bytes."""

    form: CsvForm
    begin: bytes
    sizes: Sequence[int]

    @classmethod
    def of(cls, store: JobStore, form: CsvForm) -> "ResultsFile | None":
        """Return the file, or None if its size is not known: rows are changed for the download, or may come."""
        if form.job.state is not JobState.SUCCEEDED or not form.is_as_stored:
            return None
        sizes = store.output_sizes(form.job)
        begin = form.begin + form.job.header + form.job.line_end.encode()
        return None if sizes is None else cls(form, begin, sizes)

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return len(self.begin) + sum(self.sizes)

    @property
    def etag(self) -> str:
        """The strong entity tag: the results of a job never change."""
        return f'"{self.form.job.id}"'

    def read(self, store: JobStore, start: int, end: int) -> Iterator[bytes]:
        """Yield bytes ``start`` to ``end``, exclusive; chunks outside are not read.

        Raises:
            TransferBroken: the job was deleted or has expired meanwhile, or a chunk has another size.
        """
        if start < len(self.begin):
            yield self.begin[start:end]
        ends = accumulate(self.sizes, initial=len(self.begin))
        for number, (size, first) in enumerate(zip(self.sizes, ends, strict=False)):
            if first < end and start < first + size:
                frame = store.output(self.form.job.id, number)
                rows = output_text(frame) if frame is not None else b""
                if len(rows) != size:
                    raise TransferBroken(f"chunk {number} of job {self.form.job.id} is gone")
                yield rows[max(0, start - first) : end - first]


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``start`` to ``end``, exclusive, of a file; ``is_whole`` if the client asked for no part of it."""

    start: int
    end: int
    is_whole: bool

    @classmethod
    def asked(cls, request: Request, file: ResultsFile) -> "Part":
        """Return the part that a request asks for: the whole file also where it asks for several, or for another file.

        Raises:
            Problem: ``range_not_satisfiable``.
        """
        whole = cls(0, file.size, True)
        ranges = request.range
        if ranges is None or ranges.units != "bytes" or len(ranges.ranges) != 1 or not _is_current(request, file):
            return whole
        found = ranges.range_for_length(file.size)
        if found is None:
            headers = {"Content-Range": f"bytes */{file.size}"}
            detail = f"the file has {file.size} bytes"
            raise Problem(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail, headers=headers)
        return cls(*found, False)


def part_response(file: ResultsFile, request: Request, store: JobStore, places: ConcurrencyLimit) -> Response:
    """Return the file, or the part of it that the request asks for.

    Raises:
        Problem: ``range_not_satisfiable``.
        Busy: too many downloads are running.
    """
    part, form = Part.asked(request, file), file.form
    blocks = file.read(store, part.start, part.end)
    response = csv_response(blocks, form.job.filename, "scored", places, form.charset)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = file.etag
    response.headers["Content-Length"] = str(part.end - part.start)
    if not part.is_whole:
        response.status_code = HTTPStatus.PARTIAL_CONTENT
        response.headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{file.size}"
    return response


def _is_current(request: Request, file: ResultsFile) -> bool:
    """Return whether ``If-Range`` names this file, if it is there. Dates and weak tags never do."""
    condition = request.headers.get("If-Range")
    return condition is None or condition.strip() == file.etag
