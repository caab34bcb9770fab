"""Escape fields that a spreadsheet would run as formulas (CSV injection). Pure."""

import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from jobs.csv.dialect import Dialect
from jobs.csv.records import index_records

# A spreadsheet runs a field that begins with one of these.
_FORMULA_STARTS = "=+-@\t\r"
# A spreadsheet may take any of these for the delimiter, whatever the file's own is.
_DELIMITERS = ",;\t|"
_CR = ord("\r")
_QUOTE = ord('"')

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]
Flags = NDArray[np.bool_]

_SPACE = rb"(?:[ ']|\xc2\xa0|\xe2\x80\xaf|\xe2\x80\x99)"
# Plain, or in groups of thousands.
_PLAIN = rb"[0-9]+[%(marks)s]?[0-9]*|[%(marks)s][0-9]+"
_GROUPED = (
    rb"[0-9]{1,3}(?:(?:%(space)s[0-9]{3})+(?:[%(marks)s][0-9]+)?"
    rb"|(?:\.[0-9]{3})+(?:,[0-9]+)?|(?:,[0-9]{3})+(?:\.[0-9]+)?)"
)
_NUMBER = rb"[+-](?:" + _PLAIN + rb"|" + _GROUPED + rb")(?:[eE][+-]?[0-9]+)?(?:%(space)s?%%)?"
# A spreadsheet computes digits between dashes and slashes, unless two numbers stand beside one another. What is written
# like `+1-555-123-4567` counts as a phone number all the same.
_NOT_COMPUTED = rb"(?=\+(?:[0-9 .()]{7,44}(?![0-9 ./()-])|[0-9 ./()-]{0,44}[0-9.][ ()]{1,2}[0-9.]))"
_PHONE_NUMBER = rb"(?:" + _NOT_COMPUTED + rb"\+[0-9](?:[ ./()-]{0,2}[0-9]){6,14}|\+[0-9]{1,3}(?:-[0-9]{2,4}){2,4})"
_AFTER_LINE_FEEDS = re.compile(rb"\n+[=+\-@\t\r]")


def formula_escaper(delimiter: str, dialect: Dialect | None = None) -> Callable[[bytes], bytes]:
    """Return a function that puts an apostrophe before each formula in a block of whole records.

    A formula is a field that begins, after its quote if any, with ``=``, ``+``, ``-``, ``@``, a tab or a carriage
    return, also after line feeds, and likewise text after another delimiter than the file's, or after a carriage return
    that no quotes enclose, which ends a line to a spreadsheet. Numbers are left alone: signed, grouped, with a point or
    comma, percentages and phone numbers.

    Where apostrophes quote fields (``dialect``), it puts a space there instead.
    """
    mark = b" " if dialect and dialect.quote == "'" else b"'"

    def escape(block: bytes) -> bytes:
        offsets = _formulas(block, delimiter)
        if not offsets:
            return block
        return mark.join([block[start:end] for start, end in pairwise([0, *offsets, len(block)])])

    return escape


def _formulas(block: bytes, delimiter: str) -> list[int]:
    """Return the offsets of the formulas in the block."""
    raw = np.frombuffer(block, np.uint8)
    found = _candidates(raw, delimiter)
    if not len(found):
        return []
    quoted = index_records(block, ord(delimiter), final=True).quoted if b'"' in block else None
    found = found[~_separates(raw, found, delimiter, quoted)]
    own = _begins_field(raw, found, delimiter, quoted)
    kept = own | _follows_other(raw, found, delimiter, quoted)
    found, own = found[kept], own[kept]
    # A line feed itself is harmless, unless a formula follows it.
    harmless = raw[found] == ord("\n")
    harmless[harmless] = [_AFTER_LINE_FEEDS.match(block, at) is None for at in found[harmless].tolist()]
    signed = np.isin(raw[found], (ord("+"), ord("-")))
    in_quotes = (raw[found - 1] == _QUOTE) & (found > 0)
    # What ends a number differs: between the file's own delimiters or others, with quotes or without.
    for whole, quotes in product((True, False), repeat=2):
        kind = signed & (own == whole) & (in_quotes == quotes)
        match = _number(delimiter if whole else _DELIMITERS, whole, quotes).match
        harmless[kind] = [match(block, at) is not None for at in found[kind].tolist()]
    return [int(at) for at in found[~harmless]]


def _candidates(raw: Bytes, delimiter: str) -> Positions:
    """Return offsets at which a formula may begin, judged by the byte there and the one before."""
    leads, befores = np.zeros(256, np.bool_), np.zeros(256, np.bool_)
    leads[[ord(lead) for lead in f"{_FORMULA_STARTS}\n"]] = True
    befores[[ord(before) for before in f'{_DELIMITERS}{delimiter}\r\n"']] = True
    found = np.flatnonzero(leads[raw])
    # At offset 0 this is the last byte, which does not count: a block begins with a field.
    before = raw[found - 1]
    begins: Flags = befores[before] | (found == 0)
    begins &= (raw[found] != ord("\n")) | (before != _CR)  # a line end of the file, or within quotes
    return found[begins]


def _separates(raw: Bytes, found: Positions, delimiter: str, quoted: Flags | None) -> Flags:
    """Return whether the byte is the file's delimiter, or a carriage return that ends a line."""
    ends: Flags = (raw[found] == _CR) & (raw[np.minimum(found + 1, len(raw) - 1)] == ord("\n"))
    ends |= (raw[found] == ord(delimiter)) | (raw[found] == ord("\n"))
    if quoted is not None:
        ends &= ~quoted[found]
    return ends


def _begins_field(raw: Bytes, found: Positions, delimiter: str, quoted: Flags | None) -> Flags:
    """Return whether a field of the file, or its content after a quote, begins there."""
    starts = found - (raw[found - 1] == _QUOTE) * (found > 0)
    begins: Flags = (raw[starts - 1] == ord(delimiter)) | (raw[starts - 1] == ord("\n"))
    if quoted is not None:
        begins &= ~quoted[starts - 1]
    begins |= starts == 0
    return begins


def _follows_other(raw: Bytes, found: Positions, delimiter: str, quoted: Flags | None) -> Flags:
    """Return whether another delimiter than the file's precedes, possibly with a quote or doubled quote between.

    A carriage return outside quotes counts as one.
    """
    others = np.zeros(256, np.bool_)
    others[[_CR, *(ord(other) for other in _DELIMITERS if other != delimiter)]] = True
    follows, quotes = np.zeros(len(found), np.bool_), np.ones(len(found), np.bool_)
    # The delimiter directly before, or with one or two quotes between.
    for back in (1, 2, 3):
        at = np.maximum(found - back, 0)
        before = raw[at]
        separates = others[before]
        if quoted is not None:
            separates &= (before != _CR) | ~quoted[at]
        follows |= quotes & (found >= back) & separates
        quotes &= before == _QUOTE
    return follows


@cache
def _number(delimiters: str, own: bool, in_quotes: bool) -> re.Pattern[bytes]:
    """Return the pattern of a signed number or phone number that fills a field, by any of the delimiters."""
    stop = b"|".join(re.escape(delimiter.encode()) for delimiter in delimiters)
    quotes = (b'"' if in_quotes else b"") if own else (b'"{1,2}' if in_quotes else b'"{0,2}')
    # Without quotes, a comma would end the field.
    marks = b"." if own and not in_quotes and delimiters == "," else b".,"
    number = _NUMBER % {b"space": _SPACE, b"marks": marks}
    return re.compile(rb"(?:" + number + rb"|" + _PHONE_NUMBER + rb")" + quotes + rb"(?=" + stop + rb"|\r?\n|\Z)")
