"""Encoding results as the input was encoded. Pure: no input or output."""

import codecs
import re
from collections.abc import Callable

from jobs.csv.decoding import is_utf8

_UTF8 = ("utf-8", "ascii", "utf-8-sig")
_MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
_CHARSETS = {"mac-roman": "macintosh", "shift_jis": "shift_jis"}


def byte_order_mark(codec: str) -> bytes:
    """Return the byte order mark of an encoding."""
    return _MARKS.get(codec, codecs.BOM_UTF8)


def as_utf8(data: bytes) -> bytes:
    """Return the data with replacement characters in place of what is not UTF-8."""
    return data if is_utf8(data) else data.decode("utf-8", "replace").encode()


def encoder(codec: str) -> Callable[[bytes], bytes] | None:
    """Return a function that encodes whole lines, as ``Utf8Decoder`` decoded them; None if there is nothing to do.

    Bytes that did not decode come back as they were. A character that the encoding does not have becomes a question
    mark.
    """
    if codec in _UTF8:
        return None
    unknown = "surrogatepass" if codec in _MARKS else _UNKNOWN
    return lambda data: data.decode("utf-8", _UNDECODED).encode(codec, unknown)


def _keep_surrogate(error: UnicodeError) -> tuple[str, int]:
    """Return the lone surrogate that stands for a byte or for half a character."""
    assert isinstance(error, UnicodeDecodeError)
    end = error.start + _SURROGATE_BYTES
    try:
        return error.object[error.start : end].decode("utf-8", "surrogatepass"), end
    except UnicodeDecodeError:
        return "\N{REPLACEMENT CHARACTER}", error.end


def _undecode(error: UnicodeError) -> tuple[bytes, int]:
    """Return the bytes that surrogates stand for, and question marks for other characters."""
    assert isinstance(error, UnicodeEncodeError)
    letters = map(ord, error.object[error.start : error.end])
    return bytes(letter - 0xDC00 if 0xDC80 <= letter <= 0xDCFF else ord("?") for letter in letters), error.end


_UNDECODED, _UNKNOWN, _SURROGATE_BYTES = "scoreline.undecoded", "scoreline.unknown", 3
codecs.register_error(_UNDECODED, _keep_surrogate)
codecs.register_error(_UNKNOWN, _undecode)


def charset_of(codec: str, has_byte_order_mark: bool = False) -> str:
    """Return the name that HTTP has for one of Python's encodings."""
    if codec in _UTF8:
        return "utf-8"
    if codec in _MARKS:
        return "utf-16" if has_byte_order_mark else codec
    name = re.sub(r"^cp(125\d)$", r"windows-\1", re.sub(r"^iso8859", "iso-8859", codec))
    return _CHARSETS.get(name, name.replace("_", "-"))
