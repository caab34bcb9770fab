"""Score the rows of a job again: its file is not kept, so the rows are recovered from its results."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobs.csv.records import read_record
from jobs.formats.detection import Format
from jobs.messages import Rejects
from jobs.state import Job
from jobs.store.job_store import JobStore
from jobs.store.outputs import output_text
from model.catalog import Catalog
from web.ids import unknown_job
from web.uploads.bodies import Body
from web.uploads.input_recovery import InputRecovery
from web.uploads.options import model_labels, parse_models
from web.uploads.parameters import UploadForm


def form_of(job: Job, given: Mapping[str, str], catalog: Catalog) -> UploadForm:
    """Return the parameters for scoring again: those given, otherwise the job's own.

    The threshold is dropped if no chosen model decides by one. Explanations are kept if the model supports them.

    Raises:
        UnknownModel, BrokenModel: a model does not exist or cannot be used.
        UploadRefused: not one or two models are named.
    """
    form = UploadForm.of(given)
    model = form.model or models_of(job)
    cards = parse_models(model, catalog, form.version)
    own = None if job.threshold is None else repr(job.threshold)
    decides = any(card.decides_by_threshold for card in cards)
    explained = len(cards) == 1 and cards[0].is_explained and job.explain is not None
    return replace(
        form,
        model=model,
        threshold=(form.threshold or own) if decides else None,
        explain=form.explain or (str(min(job.explain or 1, len(cards[0].features))) if explained else None),
        warnings=form.warnings or ("true" if job.warnings else None),
        filename=job.filename,
        # As the rows are stored, whatever the file was.
        encoding="utf-8",
        format=Format.CSV.value,
    )


def models_of(job: Job) -> str:
    """Return the value of ``model`` for a job's models: their current versions, or two versions of one model."""
    return ",".join(model_labels(job.models))


def choices(job: Job, catalog: Catalog) -> dict[str, str]:
    """Return the choices of ``model`` for scoring again, with labels: each model, or the job's own and another."""
    names = catalog.names()
    labels = {name: name for name in names}
    if job.model in names:
        labels |= {f"{job.model},{name}": f"{job.model} and {name}, compared" for name in names if name != job.model}
    if job.compared:
        labels.setdefault(models_of(job), " and ".join(model_labels(job.models)) + ", compared")
    return labels


def body_of(store: JobStore, job: Job, form: UploadForm) -> Body:
    """Return the input of a succeeded job, recovered chunk by chunk.

    Raises:
        Problem: while reading, ``unknown_job`` if the results have expired or were deleted meanwhile.
    """
    return Body(form, _blocks(store, job), translated=job)


def _blocks(store: JobStore, job: Job) -> Iterator[bytes]:
    yield job.preamble + job.input_header + job.line_end.encode()
    header = read_record(job.input_header, 0, len(job.input_header), ord(job.delimiter), escapes=False)
    recovery = InputRecovery(job.delimiter, header.count)
    for number in range(job.chunks):
        # In this order: if the results still exist, the rejects did before.
        rejects, output = store.rejects(job.id, number), store.output(job.id, number)
        if output is None:
            raise unknown_job(job.id)
        yield recovery.feed(output_text(output), Rejects.decode(rejects) if rejects else Rejects(b"", {}))
