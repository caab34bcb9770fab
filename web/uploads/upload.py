"""Receiving an upload: the header is checked at once, chunks are stored and sent for scoring as they are cut."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import PurePath
from typing import Any

import structlog
from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.csv.decoding import Utf8Decoder
from jobs.csv.detection import FileStart
from jobs.csv.dialect import Translator
from jobs.csv.earlier_results import ResultsDropper
from jobs.csv.reader import SAMPLE_BYTES, Chunk, Cutter
from jobs.csv.totals import TotalsFinder
from jobs.errors import JobsError, UploadRefused
from jobs.formats.detection import Format
from jobs.messages import InputChunk
from jobs.settings import Settings
from jobs.state import NOBODY, Owner
from jobs.store.chunks import NewJob
from jobs.store.idempotency import IdempotencyKey
from jobs.store.job_store import JobStore
from jobs.store.room import wait_for_room
from jobs.store.task_sender import TaskSender
from model.catalog import Catalog
from model.errors import ModelError
from web.problems import to_problem
from web.request_limits import MAX_FILENAME
from web.uploads.bodies import Body
from web.uploads.file_start import StatedDialect, read_start, read_translated_start, with_header
from web.uploads.options import ScoringOptions
from web.uploads.parameters import UploadForm
from web.uploads.source_file import SourceFile

log = structlog.stdlib.get_logger(__name__)

_TOUCH_SECONDS = 5.0


@contextmanager
def refusals_logged() -> Iterator[None]:
    """Log a refused upload by its code; the message may quote the file."""
    try:
        yield
        redis_availability.record_success()
    except (JobsError, ModelError, RedisError) as error:
        problem = to_problem(error)
        log.info("upload refused", code=problem.code if problem else type(error).__name__)
        raise


def fingerprint(digest: Any, form: UploadForm) -> str:
    """Return the hash that identifies an upload: of its CSV bytes (``digest``) and its parameters."""
    combined = digest.copy()
    combined.update(repr([getattr(form, name) for name in UploadForm.NAMES]).encode())
    return str(combined.hexdigest())


def clean_name(name: str | None) -> str:
    """Return the last part of a file name, without control characters; ``upload.csv`` if there is none."""
    plain = "".join(letter for letter in (name or "") if letter.isprintable()).replace("\\", "/")
    return PurePath(plain).name[-MAX_FILENAME:] or "upload.csv"


class Upload:
    """Receives one upload and turns it into a job.

    The bytes of the body are decoded (``Utf8Decoder``), translated for the record core (``Translator``), cut at record
    ends (``Cutter``) and stored chunk by chunk (``JobStore.append``), which says which chunks to send to the workers. A
    refusal leaves nothing behind.
    """

    def __init__(
        self,
        body: Body,
        store: JobStore,
        sender: TaskSender,
        catalog: Catalog,
        settings: Settings,
        shown: bool = False,
        idempotency: IdempotencyKey | None = None,
        owner: Owner = NOBODY,
    ) -> None:
        self.job_id: str | None = None
        self._body, self._form = body, body.form
        self._store, self._sender, self._catalog, self._settings = store, sender, catalog, settings
        self._shown, self._idempotency, self._owner = shown, idempotency, owner
        self._digest = hashlib.sha256()
        if not body.fields_may_follow:
            self._read_form()
        self._head, self._parsed_bytes = b"", 0
        self._start: FileStart | None = None
        self._translator: Translator | None = None
        self._cutter: Cutter | None = None
        self._totals: TotalsFinder | None = None
        self._dropper: ResultsDropper | None = None
        self._source: SourceFile | None = None
        self._size = self._chunks = 0
        self._began, self._stored = time.monotonic(), 0.0
        store.check_room()
        store.user_limits.check_jobs(owner.id)

    def _read_form(self) -> None:
        """Evaluate the parameters; of a form when its file begins, since form fields may precede it."""
        self._options = ScoringOptions.of(self._form, self._catalog)
        self._stated = StatedDialect.of(self._form)
        self._initial_encoding = self._form.encoding
        self._text = Utf8Decoder(self._form.encoding)

    @property
    def chunks(self) -> int:
        """Number of chunks stored so far."""
        return self._chunks

    def receive(self) -> Iterator[None]:
        """Receive the body, yielding after each block. The job is durable once the iteration ends.

        Raises:
            UploadRefused, UploadForgotten, StoreFull, NotDurable: nothing is left behind.
        """
        try:
            kind = self._body.detect_format()
            if kind is not Format.CSV:
                self._source = self._open_source(kind)
            for block in self._body.blocks:
                if not self._size and self._body.fields_may_follow:
                    self._read_form()
                self._size += len(block)
                if self._idempotency:
                    self._digest.update(block)
                if self._source:
                    self._feed_source(block)
                else:
                    self._feed(self._text.feed(block), final=False)
                yield
            if not self._size and self._body.fields_may_follow:
                self._read_form()
            if self._source:
                self._source.finish(ScoringOptions.of(self._form, self._catalog), self._form.sheet)
            else:
                self._feed(self._text.finish(), final=True)
            self._seal()
        # A client that goes away ends the generator by ``GeneratorExit``, which is no ``Exception``.
        except BaseException:
            self.abandon()
            raise

    def receive_all(self) -> str:
        """Receive the whole body and return the job's id. Raises as ``receive`` does."""
        for _ in self.receive():
            pass
        assert self.job_id is not None
        return self.job_id

    def abandon(self) -> None:
        """Remove what was stored, except a visible job that has ended: it says why."""
        if self.job_id:
            self._store.abandon(self.job_id)
        if self._idempotency:
            self._idempotency.give_up()

    def _open_source(self, kind: Format) -> SourceFile:
        if self._shown:
            detail = f"results are streamed of CSV files only; send {kind.value} files to POST /api/v1/jobs"
            raise UploadRefused("unsupported_media_type", detail)
        return SourceFile(self._store, self._settings, kind)

    def _feed_source(self, block: bytes) -> None:
        """Store a block of a file that is not CSV; a worker converts it."""
        assert self._source
        if not self.job_id:
            new = self._new_job(self._options)
            self._store.begin(new)
            self.job_id = self._source.job_id = new.id
        self._source.feed(block)
        self._keep_alive()

    def _feed(self, text: bytes, final: bool) -> None:
        if self._cutter is None:
            self._head += text
            text = self._begin(final)
        elif self._translator:
            text = self._translator.feed(text) + (self._translator.finish() if final else b"")
        if self._cutter is None or self._totals is None:
            return
        if text:
            self._append(self._totals.feed(self._without_results(self._cutter.feed(text))))
        if final:
            self._append(self._totals.feed(self._without_results(self._cutter.finish())))
            self._append(self._totals.finish())
        else:
            self._keep_alive()

    def _keep_alive(self) -> None:
        """Keep a slow upload from expiring."""
        if time.monotonic() - self._stored > _TOUCH_SECONDS and self.job_id:
            self._store.touch(self.job_id)
            if self._idempotency:
                self._idempotency.touch()
            self._stored = time.monotonic()

    def _without_results(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        return self._dropper.feed(chunks) if self._dropper else chunks

    def _begin(self, final: bool) -> bytes:
        """Read the header once the first bytes are there and begin the job; return the text after it."""
        # A long header is parsed again only when it has doubled, so that the work stays linear.
        if not final and len(self._head) < max(SAMPLE_BYTES, 2 * self._parsed_bytes):
            return b""
        self._parsed_bytes = len(self._head)
        start = self._read_start(final)
        if start is None:
            return b""
        self._start = start
        text = self._head
        if not self._body.translated:
            self._translator = Translator(start.dialect)
            text = self._translator.feed(text) + (self._translator.finish() if final else b"")
        # The records of the file still have the columns that are dropped.
        width = len(start.header.columns) + start.dropped_results
        self._cutter = Cutter(start.header.delimiter, width, self._settings.chunk_bytes)
        if start.dropped_results:
            self._dropper = ResultsDropper.of(start.header, start.dropped_results)
        new = self._new_job(self._options)
        self._totals = TotalsFinder(start.dialect, new.columns.values())
        self._store.begin(new)
        self.job_id, self._stored = new.id, time.monotonic()
        self._head = b""
        return text[start.header.size :]

    def _read_start(self, final: bool) -> FileStart | None:
        if self._body.translated:
            return read_translated_start(self._head, final, self._body.translated.dialect, self._options)
        read = read_start(self._head, final, self._stated, self._options, self._text.has_byte_order_mark)
        return read and read[0]

    def _append(self, chunks: Iterator[Chunk]) -> None:
        assert self.job_id is not None
        for chunk in chunks:
            stored = InputChunk(chunk.first_row, chunk.rows, chunk.data, chunk.open_quotes, chunk.is_totals)
            seconds = self._settings.upload_idle_seconds
            sent = wait_for_room(partial(self._store_chunk, stored), seconds, self._keep_alive)
            self._chunks += 1
            self._stored = time.monotonic()
            self._sender.score_chunks(self.job_id, sent)

    def _store_chunk(self, chunk: InputChunk) -> list[int]:
        assert self.job_id is not None
        if self._chunks:
            self._store.check_memory()
        # A field behind the file may name another model: nothing is scored before all of them are known.
        return self._store.append(self.job_id, self._chunks, chunk, hold=self._body.fields_may_follow)

    def _seal(self) -> None:
        assert self.job_id is not None
        rows = self._cutter.rows if self._cutter else None
        if rows == 0:
            raise UploadRefused("no_rows", "the file has a header but no rows")
        if rows is not None:  # of a file that is converted, its worker counts them
            self._store.user_limits.reserve_rows(self._owner.id, rows)
        idempotency_key = self._idempotency.key if self._idempotency else None
        sent = self._store.seal(
            self.job_id,
            idempotency_key,
            total=rows,
            size=self._size,
            encoding=self._encoding[0],
            codec=self._encoding[1],
            fingerprint=fingerprint(self._digest, self._form) if idempotency_key else None,
            options=self._final_options() if self._body.fields_may_follow else None,
            chunks=None if self._source else self._chunks,
            blocks=self._source.blocks if self._source else 0,
        )
        self._store.confirm_or_remove(self.job_id)
        seconds = round(time.monotonic() - self._began, 3)
        known = {
            "job_id": self.job_id,
            "model": ",".join(card.name for card in self._options.cards),
            "chunks": self._chunks,
        }
        log.info("upload accepted", **known, rows=rows, bytes=self._size, seconds=seconds)
        self._sender.score_chunks(self.job_id, sent)

    def _final_options(self) -> NewJob:
        """Return the job with the options of all form fields: nothing is scored before the last of them."""
        stated = {"encoding": self._form.encoding, **asdict(StatedDialect.of(self._form))}
        for name, initial in {"encoding": self._initial_encoding, **asdict(self._stated)}.items():
            if stated[name] != initial:
                raise UploadRefused("malformed_body", f"the field {name!r} must precede the file, or be in the query")
        return self._new_job(ScoringOptions.of(self._form, self._catalog))

    @property
    def _encoding(self) -> tuple[str, str]:
        """The encoding of the file as far as it is known: as people call it, and as Python does."""
        job = self._body.translated
        return (job.encoding, job.codec) if job else (self._text.encoding, self._text.codec)

    def _new_job(self, options: ScoringOptions) -> NewJob:
        encoding, codec = self._encoding
        new = NewJob(
            model=options.cards[0].name,
            version=options.cards[0].version,
            compared=(options.compared.name, options.compared.version) if options.compared else None,
            filename=clean_name(self._form.filename),
            encoding=encoding,
            codec=codec,
            threshold=options.threshold,
            explain=options.explain,
            warnings=options.warnings,
            # Those of a file without a header so far.
            delimiter=",",
            line_end="\n",
            header=b"",
            input_header=b"",
            columns={},
            width=0,
            added=options.added,
            shown=self._shown,
            added_columns=options.added_columns,
            format=self._source.kind.value if self._source else Format.CSV.value,
            sheet=self._form.sheet if self._source else None,
            drop_results=self._source is not None and self._stated.drop_results,
            owner=self._owner,
            visibility=options.visibility,
        )
        return with_header(new, self._start, options) if self._start else new
