"""Incremental decoding of an upload into UTF-8. Pure: no input or output.

A byte sequence that does not decode is passed on as bytes that are not valid UTF-8 and stays within its record. The
record can then be rejected without affecting its neighbours.
"""

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress
from encodings.aliases import aliases

from jobs.errors import UploadRefused

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NON_ASCII = re.compile(rb"[\x80-\xff]+")
_UTF16 = ("utf-16", "utf-16-le", "utf-16-be")
# No character sets: they pass for supersets of ASCII, but give backslashes or hyphens a meaning.
_NOT_FOR_FILES = ("idna", "punycode", "raw-unicode-escape", "unicode-escape", "raw_unicode_escape", "unicode_escape")
_ASCII = bytes(range(128))
_MAX_MARK_BYTES = 3
_MAX_RUN_BYTES = 256
_SHOWN_NAMES = {
    "cp1252": "windows-1252",
    "utf-16-le": "utf-16",
    "utf-16-be": "utf-16",
    "ascii": "utf-8",
    "utf-8-sig": "utf-8",
}


def is_utf8(data: bytes) -> bool:
    """Return whether the bytes are valid UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def known_encoding(name: str) -> str:
    """Return Python's name of an encoding, which must be UTF-16 or a superset of ASCII.

    Raises:
        UploadRefused: ``unknown_encoding``.
    """
    try:
        codec = codecs.lookup(name).name
        if codec in _UTF16 or (codec not in _NOT_FOR_FILES and _ASCII.decode(codec) == _ASCII.decode("ascii")):
            # Without a byte order mark, UTF-16 mostly comes from Windows, which writes the low byte first.
            return "utf-16-le" if codec == "utf-16" else codec
    except (LookupError, UnicodeError, ValueError):
        pass
    raise UploadRefused("unknown_encoding", f"{name[:40]!r} is not an encoding that CSV files can be read with")


def _known_encodings() -> Iterator[str]:
    for name in sorted(set(aliases.values())):
        with suppress(UploadRefused):
            yield known_encoding(name)


ENCODINGS = tuple(name for name in dict.fromkeys(_known_encodings()) if name not in _UTF16)
"""Python's names of the encodings that are supersets of ASCII."""


class Utf8Decoder:
    """Decodes blocks of an upload into UTF-8 and detects the encoding on the way.

    A byte order mark decides, and is removed. Without one, the encoding that the client names is used; else the first
    run of non-ASCII bytes decides: UTF-8 if it is valid UTF-8, otherwise Windows-1252.
    """

    def __init__(self, encoding: str | None = None) -> None:
        self._named = known_encoding(encoding) if encoding else None
        self._decided: str | None = None
        self._head = b""
        self._mark_read = False
        self._decoder: codecs.IncrementalDecoder | None = None
        self.has_byte_order_mark = False

    @property
    def codec(self) -> str:
        """Python's name of the encoding detected so far."""
        return self._decided or "utf-8"

    @property
    def encoding(self) -> str:
        """Name of the encoding detected so far; UTF-8 while all bytes are ASCII."""
        name = self._decided or "utf-8"
        return _SHOWN_NAMES.get(name, name)

    def feed(self, block: bytes) -> bytes:
        """Decode a block; a few bytes may be held back for the next call."""
        return self._feed(block, final=False)

    def finish(self) -> bytes:
        """Decode what was held back."""
        return self._feed(b"", final=True)

    def _feed(self, block: bytes, final: bool) -> bytes:
        data = self._head + block
        self._head = b""
        if not self._mark_read:
            if len(data) < _MAX_MARK_BYTES and not final:
                self._head = data
                return b""
            data = self._read_mark(data)
        if self._decided is None:
            return self._detect(data, final)
        return self._decode(data, final)

    def _read_mark(self, data: bytes) -> bytes:
        self._mark_read = True
        for mark, encoding in _BYTE_ORDER_MARKS:
            if data.startswith(mark):
                self._decide(encoding)
                self.has_byte_order_mark = True
                return data[len(mark) :]
        if self._named:
            self._decide(self._named)
        return data

    def _detect(self, data: bytes, final: bool) -> bytes:
        run = None if data.isascii() else _NON_ASCII.search(data)
        if run is None:
            return data
        # The run may go on in the next block, or end within a character: wait for the rest.
        if run.end() == len(data) and len(run.group()) < _MAX_RUN_BYTES and not final:
            self._head = data[run.start() :]
            return data[: run.start()]
        self._decide("utf-8" if _begins_as_utf8(run.group()) else "cp1252")
        return self._decode(data, final)

    def _decide(self, encoding: str) -> None:
        self._decided = encoding
        if encoding not in ("utf-8", "ascii"):
            # What does not decode is kept as lone surrogates, which encode to bytes that are not valid UTF-8: the
            # record is rejected later, with its neighbours untouched.
            errors = "surrogatepass" if encoding.startswith("utf-16") else "surrogateescape"
            self._decoder = codecs.getincrementaldecoder(encoding)(errors)

    def _decode(self, data: bytes, final: bool) -> bytes:
        if self._decoder is None:
            return data
        try:
            text = self._decoder.decode(data, final)
        except UnicodeError as error:
            if final and self._decided in _UTF16:  # the file ends within a character
                return b"\xff"
            detail = f"the file does not decode as {self.encoding}: {error}"
            raise UploadRefused("undecodable", detail[:200]) from error
        return text.encode("utf-8", "surrogatepass")


def _begins_as_utf8(run: bytes) -> bool:
    """Return whether a run of non-ASCII bytes is UTF-8, judged by its first ``_MAX_RUN_BYTES``."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        # A run that is cut at the limit may be cut within a character.
        decoder.decode(run[:_MAX_RUN_BYTES], final=len(run) < _MAX_RUN_BYTES)
    except UnicodeDecodeError:
        return False
    return True
