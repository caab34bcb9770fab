"""The rows of a job once more, as an upload: read from its results, since the file itself is not kept."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobs.messages import decompress
from jobs.records import read_record
from jobs.state import Job
from jobs.store import JobStore
from model.catalog import Catalog
from web.api_jobs import unknown_job
from web.bodies import Body, UploadForm
from web.unscored import Unscorer


def form_of(job: Job, given: Mapping[str, str], catalog: Catalog) -> UploadForm:
    """What a person asks for: another model or threshold, else those of the job. The file keeps its name.

    The form has one threshold for whichever model is chosen; one that decides without has no use for it.

    Raises:
        UnknownModel, BrokenModel: there is no such model, or it cannot be used.
    """
    asked = UploadForm.of(given)
    model = asked.model or job.model
    own = None if job.threshold is None else repr(job.threshold)
    return replace(
        asked,
        model=model,
        threshold=(asked.threshold or own) if catalog.usable_card(model, asked.version).decides_by_threshold else None,
        filename=job.filename,
        encoding="utf-8",
    )


def body_of(store: JobStore, job: Job, form: UploadForm) -> Body:
    """The file of a job that has succeeded, a chunk at a time.

    Raises:
        Problem: while it is read: ``unknown_job``, when the results have expired or were deleted in between.
    """
    return Body(form, _blocks(store, job))


def _blocks(store: JobStore, job: Job) -> Iterator[bytes]:
    # The first line says how the file was read, so that it is read in the same way.
    yield b"sep=" + job.delimiter.encode() + b"\n" + job.input_header + job.line_end.encode()
    header = read_record(job.input_header, 0, len(job.input_header), ord(job.delimiter))
    unscorer = Unscorer(job.delimiter, header.count)
    for number in range(job.chunks):
        # In this order: where the results are there, the rejects that belong to them were.
        rejects, output = store.rejects(job.id, number), store.output(job.id, number)
        if output is None:
            raise unknown_job(job.id)
        yield unscorer.feed(decompress(output), decompress(rejects) if rejects else b"")
