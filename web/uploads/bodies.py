"""The body of an upload as a stream of blocks: raw or multipart, plain or gzip, never held as a whole."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO

from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData, State

from jobs.errors import UploadForgotten, UploadRefused
from jobs.formats.detection import HEAD_BYTES, MEDIA_TYPES, UPLOADS, Format, detect
from jobs.state import Job
from web.server.gunicorn_worker import SMALL_BODY_BYTES
from web.server.limits import ConcurrencyLimit
from web.uploads.parameters import UploadForm

_BLOCK_BYTES = 64 * 1024
_MAX_FIELD_BYTES = 64 * 1024
# Bytes that the multipart decoder may buffer: some blocks, and the headers of a part.
_MAX_BUFFERED_BYTES = 8 * _BLOCK_BYTES
# The encoded body may be larger than the CSV by this factor, plus a little.
_MAX_OVERHEAD = 2
_MAX_PARTS = 64
# Bytes by which a format is known.
_HEAD_BYTES = 4096


@dataclass(slots=True)
class Body:
    """The file in a request, and its parameters.

    In a multipart body, form fields may follow the file: ``form`` is complete only once all blocks are read.
    ``translated`` is the job whose rows these are, as they are stored.
    """

    form: UploadForm
    blocks: Iterator[bytes]
    fields_may_follow: bool = False
    translated: Job | None = None
    media_type: str = ""

    def detect_format(self, needed: str = UPLOADS) -> Format:
        """Read the first bytes, which stay in ``blocks``, and return the format of the file.

        Raises:
            UploadRefused: ``unsupported_media_type``, naming what the file looks like and what is ``needed``;
                ``bad_parameter``.
        """
        if self.translated:
            return Format.CSV
        first, head = [], b""
        for block in self.blocks:
            first.append(block)
            head += block[: HEAD_BYTES - len(head)]
            # Of a form, no more: fields behind a small file are not to be read before the file.
            if len(head) >= _HEAD_BYTES or self.fields_may_follow:
                break
        self.blocks = chain(first, self.blocks)
        return detect(head, self.form.format, self.media_type, self.form.filename, needed)


def open_body(request: Request, max_bytes: int, places: ConcurrencyLimit) -> Body:
    """Open the body of an upload request.

    Raises:
        UploadRefused: now or while reading: ``unsupported_media_type``, ``malformed_body``, ``too_large``.
        Busy: while reading, if too many uploads are in progress; ``places`` limits them.
        UploadForgotten: while reading, if the body arrives too slowly.
    """
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    form = UploadForm.of(request.args)
    encoding = (request.headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise UploadRefused(
            "unsupported_media_type", f"Content-Encoding {encoding[:40]!r} is not supported; send gzip or none"
        )
    blocks = read_body(request.stream, request.content_length or 0, max_bytes)
    if not has_arrived(request):
        # Until it has come, a body occupies a thread, for as long as the client takes.
        blocks = _limit_concurrency(blocks, places, request.remote_addr or "")
    if encoding != "identity":
        blocks = _gunzip(blocks)
    if request.mimetype == "multipart/form-data":
        parts = _FileParts(form, request.mimetype_params.get("boundary", ""))
        return Body(form, _checked(parts.read(blocks), max_bytes), fields_may_follow=True)
    if request.mimetype not in MEDIA_TYPES:
        detail = f"{request.mimetype!r} is not supported; send text/csv, multipart/form-data or the type of the file"
        raise UploadRefused("unsupported_media_type", detail)
    form.encoding = form.encoding or _charset(request)
    # With a Content-Encoding, the compression that the name speaks of has been undone already.
    if encoding == "identity" and (form.filename or "").lower().endswith(".gz"):
        blocks = _gunzip(blocks)
    return Body(form, _checked(blocks, max_bytes), media_type=request.mimetype)


def _charset(request: Request) -> str | None:
    """Return the charset parameter, unless it names an encoding that is detected anyway."""
    charset = request.mimetype_params.get("charset", "").lower()
    return charset if charset not in ("", "utf-8", "utf8", "us-ascii", "ascii") else None


def has_arrived(request: Request) -> bool:
    """Return whether the server has received all of a small body already, so that reading it cannot block."""
    small = request.content_length is not None and request.content_length <= SMALL_BODY_BYTES
    return small and "Expect" not in request.headers


def _limit_concurrency(blocks: Iterator[bytes], places: ConcurrencyLimit, address: str) -> Iterator[bytes]:
    with places.held(address):
        yield from blocks


def read_body(stream: IO[bytes], announced: int, max_bytes: int) -> Iterator[bytes]:
    """Yield the blocks of the body; raise if it is shorter than its Content-Length.

    Raises:
        UploadRefused: ``malformed_body``, ``too_large``.
        UploadForgotten: if the body arrives too slowly.
    """
    received = 0
    try:
        while block := stream.read(_BLOCK_BYTES):
            received += len(block)
            if received > _MAX_OVERHEAD * max_bytes + _MAX_BUFFERED_BYTES:
                raise _too_large(max_bytes)
            yield block
    except TimeoutError as error:
        raise UploadForgotten("the body arrived too slowly") from error
    except (OSError, ClientDisconnected, ParseException) as error:
        detail = "the connection was lost, or the chunks of the body are malformed"
        raise UploadRefused("malformed_body", detail) from error
    if received < announced:
        raise UploadRefused("malformed_body", f"the connection was lost after {received} of {announced} bytes")


def _gunzip(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress gzip of one or more members, a block at a time: a decompression bomb never fills the memory."""
    # 31: the largest window (15), in a gzip header (16).
    decoder, inside = zlib.decompressobj(31), False
    try:
        for block in blocks:
            data = block
            while data:
                yield decoder.decompress(data, _BLOCK_BYTES)
                data, inside = decoder.unconsumed_tail, not decoder.eof
                if decoder.eof:
                    # Another member may follow, or zeros, with which some programs pad the file.
                    data, decoder = decoder.unused_data.lstrip(b"\0"), zlib.decompressobj(31)
        if inside:
            # The end may still be in the decoder, which gives at most a block at a time.
            yield decoder.flush()
    except zlib.error as error:
        raise UploadRefused("malformed_body", "the body is not valid gzip") from error
    if inside and not decoder.eof:
        raise UploadRefused("malformed_body", "the gzip data is incomplete")


def _checked(blocks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the blocks; refuse them if they grow too large."""
    size = 0
    for block in blocks:
        size += len(block)
        if size > max_bytes:
            raise _too_large(max_bytes)
        if block:
            yield block


def _too_large(max_bytes: int) -> UploadRefused:
    return UploadRefused("too_large", f"an upload must not be larger than {max_bytes} bytes after decompression")


class _FileParts:
    """Reads a multipart body: yields its file part in blocks, and stores its fields in the form."""

    def __init__(self, form: UploadForm, boundary: str) -> None:
        if not boundary:
            raise UploadRefused("malformed_body", "multipart/form-data needs a boundary in its Content-Type")
        self._form = form
        self._decoder = MultipartDecoder(boundary.encode(), _MAX_BUFFERED_BYTES, max_parts=_MAX_PARTS)
        self._field: str | None = None
        self._text = b""
        self._has_file = self._ended = False
        self._gzip = False

    def read(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the part ``file``, decompressed if its name ends in .gz."""
        # Once the first block is there, its part has begun, and with it ``_gzip`` is set.
        plain = self._parts(blocks)
        for block in plain:
            yield from self._gunzipped(block, plain) if self._gzip else (block,)
        if not self._has_file:
            raise UploadRefused("malformed_body", "no part named 'file' in the form")

    @staticmethod
    def _gunzipped(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
        def all_blocks() -> Iterator[bytes]:
            yield first
            yield from rest

        return _gunzip(all_blocks())

    def _parts(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        in_file = False
        for block in chain(blocks, [None]):
            for event in self._events(block):
                if isinstance(event, File | Field):
                    in_file = self._begin(event)
                elif isinstance(event, Data) and in_file:
                    yield event.data
                elif isinstance(event, Data):
                    self._take_field(event)

    def _events(self, block: bytes | None) -> Iterator[Event]:
        """Yield the events that a block completes; None is the end of the body, which must not be within a part."""
        if self._ended:  # data after the closing boundary is ignored
            return
        try:
            self._decoder.receive_data(block)
            while not isinstance(event := self._decoder.next_event(), NeedData | Epilogue):
                yield event
        except RequestEntityTooLarge as error:
            raise UploadRefused("malformed_body", "a part of the multipart body has incomplete headers") from error
        except ValueError as error:
            raise UploadRefused("malformed_body", f"the multipart body is malformed or incomplete: {error}") from error
        self._ended = self._decoder.state is State.EPILOGUE

    def _begin(self, part: File | Field) -> bool:
        self._field, self._text = part.name, b""
        if part.name != "file":
            return False
        if self._has_file:
            raise UploadRefused("malformed_body", "one file at a time: the form has two parts named 'file'")
        self._has_file = True
        # Without a filename, the part is a field to the decoder, and yet the file.
        if isinstance(part, File):
            # The query goes first.
            self._form.filename = self._form.filename or part.filename
            self._gzip = (part.filename or "").lower().endswith(".gz")
        return True

    def _take_field(self, event: Data) -> None:
        if self._field not in UploadForm.NAMES:
            return
        self._text += event.data
        if len(self._text) > _MAX_FIELD_BYTES:
            raise UploadRefused("malformed_body", f"the form field {self._field!r} is too long")
        if not event.more_data and self._text:
            setattr(self._form, self._field, self._text.decode("utf-8", "replace"))
