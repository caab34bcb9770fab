"""The rows of a job once more, as an upload: read from its results, since the file itself is not kept."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobs.csv.records import read_record
from jobs.messages import Rejects, decompress
from jobs.state import Job
from jobs.store.job_store import JobStore
from model.catalog import Catalog
from web.ids import unknown_job
from web.uploads.bodies import Body
from web.uploads.input_recovery import InputRecovery
from web.uploads.options import model_labels, parse_models
from web.uploads.parameters import UploadForm


def form_of(job: Job, given: Mapping[str, str], catalog: Catalog) -> UploadForm:
    """What a person asks for: another model or threshold, else those of the job. The file keeps its name.

    The form has one threshold for whichever model is chosen; one that decides without has no use for it. Explanations
    are kept where the model gives them.

    Raises:
        UnknownModel, BrokenModel: there is no such model, or it cannot be used.
        UploadRefused: it is not one model or two.
    """
    asked = UploadForm.of(given)
    model = asked.model or models_of(job)
    cards = parse_models(model, catalog, asked.version)
    own = None if job.threshold is None else repr(job.threshold)
    decides = any(card.decides_by_threshold for card in cards)
    explained = len(cards) == 1 and cards[0].is_explained and job.explain is not None
    return replace(
        asked,
        model=model,
        threshold=(asked.threshold or own) if decides else None,
        explain=asked.explain or (str(min(job.explain or 1, len(cards[0].features))) if explained else None),
        warnings=asked.warnings or ("true" if job.warnings else None),
        filename=job.filename,
        encoding="utf-8",
    )


def models_of(job: Job) -> str:
    """The models of a job as an upload names them: their current versions, or, of one model, the two compared."""
    return ",".join(model_labels(job.models))


def choices(job: Job, catalog: Catalog) -> dict[str, str]:
    """The models with which a job may be scored again, in words by what names them: each, or its own beside another."""
    names = catalog.names()
    found = {name: name for name in names}
    if job.model in names:
        found |= {f"{job.model},{name}": f"{job.model} and {name}, compared" for name in names if name != job.model}
    if job.compared:
        found.setdefault(models_of(job), " and ".join(model_labels(job.models)) + ", compared")
    return found


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
    unscorer = InputRecovery(job.delimiter, header.count)
    for number in range(job.chunks):
        # In this order: where the results are there, the rejects that belong to them were.
        rejects, output = store.rejects(job.id, number), store.output(job.id, number)
        if output is None:
            raise unknown_job(job.id)
        yield unscorer.feed(decompress(output), Rejects.decode(rejects) if rejects else Rejects(b"", {}))
