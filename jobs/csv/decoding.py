"""Turning the bytes of an upload into UTF-8 as they come. Pure: no input or output.

A byte sequence that does not decode becomes bytes that are not UTF-8 either, and stays within its record, so that
the record that holds it can be rejected without harm to its neighbours.
"""

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress
from encodings.aliases import aliases

from jobs.errors import UploadRefused

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NON_ASCII = re.compile(rb"[\x80-\xff]+")
_UTF16 = ("utf-16", "utf-16-le", "utf-16-be")
_NO_TEXTS = ("idna", "punycode", "raw-unicode-escape", "unicode-escape", "raw_unicode_escape", "unicode_escape")
_ASCII = bytes(range(128))
_MAX_MARK = 3
_MAX_RUN = 256
_NAMES = {
    "cp1252": "windows-1252",
    "utf-16-le": "utf-16",
    "utf-16-be": "utf-16",
    "ascii": "utf-8",
    "utf-8-sig": "utf-8",
}


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are valid UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def known_encoding(name: str) -> str:
    """Python's name of a text encoding that is UTF-16 or keeps ASCII as it is.

    Raises:
        UploadRefused: ``unknown_encoding``.
    """
    try:
        found = codecs.lookup(name).name
        if found in _UTF16 or (found not in _NO_TEXTS and _ASCII.decode(found) == _ASCII.decode("ascii")):
            return "utf-16-le" if found == "utf-16" else found
    except (LookupError, UnicodeError, ValueError):
        pass
    raise UploadRefused("unknown_encoding", f"{name[:40]!r} is not an encoding that CSV files can be read with")


def _keeping_ascii() -> Iterator[str]:
    for name in sorted(set(aliases.values())):
        with suppress(UploadRefused):
            yield known_encoding(name)


ENCODINGS = tuple(name for name in dict.fromkeys(_keeping_ascii()) if name not in _UTF16)
"""Python's names of the encodings that keep ASCII as it is."""


class Utf8Decoder:
    """Decodes blocks of an upload into UTF-8; ``encoding`` is known once the first non-ASCII bytes have come.

    A byte order mark decides and is taken away; otherwise the first run of non-ASCII bytes does: UTF-8 if it is valid
    UTF-8, else Windows-1252. An encoding that the client names overrides what is found, except a mark.
    """

    def __init__(self, encoding: str | None = None) -> None:
        self._named = known_encoding(encoding) if encoding else None
        self._decided: str | None = None
        self._head = b""
        self._mark_read = False
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def encoding(self) -> str:
        """Name of the encoding, as far as it is known: UTF-8 while all bytes are ASCII."""
        name = self._decided or "utf-8"
        return _NAMES.get(name, name)

    def feed(self, block: bytes) -> bytes:
        """UTF-8 of what the block completes; a few bytes may be held back for the next call."""
        return self._feed(block, final=False)

    def finish(self) -> bytes:
        """UTF-8 of what was held back."""
        return self._feed(b"", final=True)

    def _feed(self, block: bytes, final: bool) -> bytes:
        data = self._head + block
        self._head = b""
        if not self._mark_read:
            if len(data) < _MAX_MARK and not final:
                self._head = data
                return b""
            data = self._read_mark(data)
        if self._decided is None:
            return self._undecided(data, final)
        return self._decode(data, final)

    def _read_mark(self, data: bytes) -> bytes:
        self._mark_read = True
        for mark, encoding in _MARKS:
            if data.startswith(mark):
                self._decide(encoding)
                return data[len(mark) :]
        if self._named:
            self._decide(self._named)
        return data

    def _undecided(self, data: bytes, final: bool) -> bytes:
        run = None if data.isascii() else _NON_ASCII.search(data)
        if run is None:
            return data
        if run.end() == len(data) and len(run.group()) < _MAX_RUN and not final:
            self._head = data[run.start() :]
            return data[: run.start()]
        self._decide("utf-8" if _begins_as_utf8(run.group()) else "cp1252")
        return self._decode(data, final)

    def _decide(self, encoding: str) -> None:
        self._decided = encoding
        if encoding not in ("utf-8", "ascii"):
            errors = "surrogatepass" if encoding.startswith("utf-16") else "surrogateescape"
            self._decoder = codecs.getincrementaldecoder(encoding)(errors)

    def _decode(self, data: bytes, final: bool) -> bytes:
        if self._decoder is None:
            return data
        try:
            text = self._decoder.decode(data, final)
        except UnicodeError as error:
            if final and self._decided in _UTF16:  # half a character at the end
                return b"\xff"
            detail = f"the file does not decode as {self.encoding}: {error}"
            raise UploadRefused("undecodable", detail[:200]) from error
        return text.encode("utf-8", "surrogatepass")


def _begins_as_utf8(run: bytes) -> bool:
    """Whether a run of non-ASCII bytes is UTF-8; of one beyond the length limit, as far as its first bytes tell."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(run[:_MAX_RUN], final=len(run) < _MAX_RUN)
    except UnicodeDecodeError:
        return False
    return True
