"""Encoding results as the input was encoded. Pure: no input or output."""

import codecs
import re
from collections.abc import Callable

_UTF8 = ("utf-8", "ascii", "utf-8-sig")
_MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
_CHARSETS = {"mac-roman": "macintosh", "shift_jis": "shift_jis"}


def byte_order_mark(codec: str) -> bytes:
    """Return the byte order mark of an encoding."""
    return _MARKS.get(codec, codecs.BOM_UTF8)


def encoder(codec: str) -> Callable[[bytes], bytes] | None:
    """Return a function that encodes whole lines of UTF-8; None if there is nothing to do.

    A character that the encoding does not have becomes a question mark.
    """
    if codec in _UTF8:
        return None
    return lambda data: data.decode("utf-8", "replace").encode(codec, "replace")


def charset_of(codec: str, has_byte_order_mark: bool = False) -> str:
    """Return the name that HTTP has for one of Python's encodings."""
    if codec in _UTF8:
        return "utf-8"
    if codec in _MARKS:
        return "utf-16" if has_byte_order_mark else codec
    name = re.sub(r"^cp(125\d)$", r"windows-\1", re.sub(r"^iso8859", "iso-8859", codec))
    return _CHARSETS.get(name, name.replace("_", "-"))
