"""Receiving an upload: the header is checked at once, chunks are stored and sent for scoring as they are cut."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

import structlog
from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.csv.decoding import Utf8Decoder
from jobs.csv.reader import Chunk, Cutter, Header, read_header
from jobs.errors import JobsError, UploadRefused
from jobs.messages import InputChunk
from jobs.settings import Settings
from jobs.state import NOBODY, Owner
from jobs.store.chunks import NewJob
from jobs.store.idempotency import IdempotencyKey
from jobs.store.job_store import JobStore
from jobs.store.task_sender import TaskSender
from model.catalog import Catalog
from model.errors import ModelError
from web.problems import to_problem
from web.request_limits import MAX_FILENAME
from web.uploads.bodies import Body
from web.uploads.options import ScoringOptions, count_matches
from web.uploads.parameters import UploadForm

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

    The bytes of the body are decoded (``Utf8Decoder``), cut at record ends (``Cutter``) and stored chunk by chunk
    (``JobStore.append``), which says which chunks to send to the workers. A refusal leaves nothing behind.
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
        self._header: Header | None = None
        self._cutter: Cutter | None = None
        self._size = self._chunks = 0
        self._began, self._stored = time.monotonic(), 0.0
        store.check_room()
        store.user_limits.check_jobs(owner.id)

    def _read_form(self) -> None:
        """Evaluate the parameters; of a form when its file begins, since form fields may precede it."""
        self._options = ScoringOptions.of(self._form, self._catalog)
        self._initial_encoding = self._form.encoding
        self._text = Utf8Decoder(self._form.encoding)

    @property
    def chunks(self) -> int:
        """Number of chunks stored so far."""
        return self._chunks

    def receive(self) -> Iterator[None]:
        """Receive the body, yielding after each block. The job is durable once the iteration ends.

        Raises:
            UploadRefused, UploadForgotten, StoreFull: nothing is left behind.
        """
        try:
            for block in self._body.blocks:
                if not self._size and self._body.fields_may_follow:
                    self._read_form()
                self._size += len(block)
                if self._idempotency:
                    self._digest.update(block)
                self._feed(self._text.feed(block), final=False)
                yield
            if not self._size and self._body.fields_may_follow:
                self._read_form()
            self._feed(self._text.finish(), final=True)
            self._seal()
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

    def _feed(self, text: bytes, final: bool) -> None:
        if self._cutter is None:
            self._head += text
            text = self._begin(final)
        if self._cutter is None:
            return
        if text:
            self._append(self._cutter.feed(text))
        if final:
            self._append(self._cutter.finish())
        elif time.monotonic() - self._stored > _TOUCH_SECONDS and self.job_id:
            self._store.touch(self.job_id)
            if self._idempotency:
                self._idempotency.touch()
            self._stored = time.monotonic()

    def _begin(self, final: bool) -> bytes:
        """Read the header once it is complete and begin the job; return the text after it."""
        # A long header is parsed again only when it has doubled, so that the work stays linear.
        if not final and b"\n" not in self._head and len(self._head) < 2 * self._parsed_bytes:
            return b""
        self._parsed_bytes = len(self._head)
        header = read_header(self._head, count_matches(self._options.cards), final)
        if header is None:
            self._head = self._head.lstrip(b"\r\n")
            return b""
        match, options = self._options.match_header(header), self._options
        self._header, self._cutter = header, Cutter(header.delimiter, self._settings.chunk_bytes)
        new = self._new_job(options, match.columns)
        self._store.begin(new)
        self.job_id, self._stored = new.id, time.monotonic()
        rest, self._head = self._head[header.size :], b""
        return rest

    def _append(self, chunks: Iterator[Chunk]) -> None:
        assert self.job_id is not None
        for chunk in chunks:
            stored = InputChunk(chunk.first_row, chunk.rows, chunk.data)
            hold = self._body.fields_may_follow
            if self._chunks:
                self._store.check_memory()
            sent = self._store.append(self.job_id, self._chunks, stored, hold)
            self._chunks += 1
            self._stored = time.monotonic()
            self._sender.score_chunks(self.job_id, sent)

    def _seal(self) -> None:
        assert self.job_id is not None
        assert self._cutter is not None
        if not self._cutter.rows:
            raise UploadRefused("no_rows", "the file has a header but no rows")
        self._store.user_limits.reserve_rows(self._owner.id, self._cutter.rows)
        idempotency_key = self._idempotency.key if self._idempotency else None
        sent = self._store.seal(
            self.job_id,
            idempotency_key,
            total=self._cutter.rows,
            size=self._size,
            encoding=self._text.encoding,
            fingerprint=fingerprint(self._digest, self._form) if idempotency_key else None,
            options=self._final_options() if self._body.fields_may_follow else None,
        )
        seconds = round(time.monotonic() - self._began, 3)
        known = {
            "job_id": self.job_id,
            "model": ",".join(card.name for card in self._options.cards),
            "chunks": self._chunks,
        }
        log.info("upload accepted", **known, rows=self._cutter.rows, bytes=self._size, seconds=seconds)
        self._sender.score_chunks(self.job_id, sent)

    def _final_options(self) -> NewJob:
        """Return the job with the options of all form fields: nothing is scored before the last of them."""
        assert self._header is not None
        if self._form.encoding != self._initial_encoding:
            raise UploadRefused("malformed_body", "the field 'encoding' must precede the file, or be in the query")
        options = ScoringOptions.of(self._form, self._catalog)
        return self._new_job(options, options.match_header(self._header).columns)

    def _new_job(self, options: ScoringOptions, columns: Mapping[str, int]) -> NewJob:
        assert self._header is not None
        return NewJob(
            model=options.cards[0].name,
            version=options.cards[0].version,
            compared=(options.compared.name, options.compared.version) if options.compared else None,
            filename=clean_name(self._form.filename),
            encoding=self._text.encoding,
            delimiter=self._header.delimiter,
            line_end=self._header.line_end.decode(),
            threshold=options.threshold,
            explain=options.explain,
            warnings=options.warnings,
            header=self._header.with_columns(options.result_columns),
            input_header=self._header.raw,
            columns=columns,
            width=len(self._header.columns),
            added=options.added,
            shown=self._shown,
            owner=self._owner,
            visibility=options.visibility,
        )
