"""How a file is written, and its translation into what the record core reads and back. Pure: no input or output.

The core (``jobs.csv.records``) reads UTF-8 with one-byte delimiters, double quotes and lines that end in LF or CRLF.
What a file has instead is translated before, in a way that can be undone byte for byte:

- carriage returns that end lines change places with line feeds, and apostrophes that quote with double quotes;
- a delimiter of several bytes changes places with a control character;
- ``\\"`` and ``\\\\`` become one private character each, where a backslash escapes quotes;
- spaces between a delimiter and a quote move inside the quotes, as private characters; so do, in a file that is
  delimited by runs of spaces, all spaces but one of each run.

A file without any of this is passed on as it is.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

from jobs.errors import UploadRefused

RUNS_OF_SPACES = " "
"""The delimiter that stands for one or more spaces."""

# Code points of the last private plane, which no character set or font uses.
_PRIVATE = b"\xf4\x8f\xbf"
_QUOTE_MARK, _BACKSLASH_MARK, _BEFORE, _AFTER, _SPACE, _SPARE = (_PRIVATE + bytes([0xB0 + n]) for n in range(6))
_UNIT_SEPARATOR = b"\x1f"
_RETURNS = bytes.maketrans(b"\r\n", b"\n\r")
_QUOTES = bytes.maketrans(b"'\"", b"\"'")
_ESCAPED = re.compile(rb'\\(["\\])')
_MARKED = {_QUOTE_MARK: b'\\"', _BACKSLASH_MARK: b"\\\\"}
_ANY_MARK = re.compile(_PRIVATE + rb"[\xb0-\xb4]")
_VALUES = {_QUOTE_MARK: b'"', _BACKSLASH_MARK: b"\\"}
_BEFORE_QUOTE, _AFTER_QUOTE = (re.compile(p) for p in (b'"((?:' + _BEFORE + b")+)", b"((?:" + _AFTER + b')+)"'))
# Bytes that wait for the end of a quoted field; longer ones are translated as they stand.
_MAX_HELD_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    ``delimiter`` is one character; a space stands for runs of spaces. ``line_end`` is that of the header. ``escape`` is
    a backslash, or empty where quotes are doubled. ``is_spaced``: spaces stand between delimiters and quotes.
    ``is_decimal_certain`` is false where the decimal mark was found, not given. ``skipped_lines`` precede the header.
    """

    delimiter: str = ","
    line_end: str = "\n"
    quote: str = '"'
    escape: str = ""
    is_spaced: bool = False
    decimal: str = "."
    is_decimal_certain: bool = True
    skipped_lines: int = 0
    has_byte_order_mark: bool = False

    @classmethod
    def decode(cls, stored: Mapping[str, Any]) -> Self:
        """Return the dialect with these members; unknown ones are ignored, and absent ones have their defaults."""
        return cls(**{member.name: stored[member.name] for member in fields(cls) if member.name in stored})

    def encode(self) -> dict[str, Any]:
        """Return the members."""
        return asdict(self)

    def with_(self, **changes: Any) -> Self:
        """Return a copy with some members changed."""
        return replace(self, **changes)

    @cached_property
    def core_delimiter(self) -> str:
        """The delimiter that the record core sees."""
        return self.delimiter if self.delimiter.isascii() else _UNIT_SEPARATOR.decode()

    @cached_property
    def is_plain(self) -> bool:
        """Whether the record core reads the file as it is."""
        return not (
            self.line_end == "\r"
            or self.quote == "'"
            or self.escape
            or self._moves_spaces
            or not self.delimiter.isascii()
        )

    @cached_property
    def _moves_spaces(self) -> bool:
        return self.is_spaced or self.delimiter == RUNS_OF_SPACES

    @cached_property
    def uses_marks(self) -> bool:
        """Whether private characters stand for parts of the file."""
        return bool(self.escape) or self._moves_spaces

    def swapped(self, data: bytes) -> bytes:
        """Exchange what stands for line ends, quotes and delimiters; twice gives the same bytes again."""
        if self.line_end == "\r":
            data = data.translate(_RETURNS)
        if self.quote == "'":
            data = data.translate(_QUOTES)
        if not self.delimiter.isascii():
            own = self.delimiter.encode()
            # In three steps, by way of a character that the file cannot contain, so that the two change places.
            data = data.replace(own, _SPARE).replace(_UNIT_SEPARATOR, own).replace(_SPARE, _UNIT_SEPARATOR)
        return data

    def restore(self, data: bytes) -> bytes:
        """Return translated bytes, whole records, as the file has them."""
        if self.is_plain:
            return data
        if self.uses_marks and _PRIVATE in data:
            if self._moves_spaces:
                data = _BEFORE_QUOTE.sub(lambda match: _spaces(match[1]) + b'"', data)
                data = _AFTER_QUOTE.sub(lambda match: b'"' + _spaces(match[1]), data)
                data = data.replace(_SPACE, b" ")
            for mark, text in _MARKED.items():
                data = data.replace(mark, text)
        return self.swapped(data)

    def value_of(self, text: str) -> str:
        """Return the value that a field's translated text has in the file."""
        if self.is_plain:
            return text
        data = text.encode("utf-8", "surrogatepass")
        if self.uses_marks:
            data = _ANY_MARK.sub(lambda match: _VALUES.get(match[0], b""), data)
        return self.swapped(data).decode("utf-8", "surrogatepass")

    def text_of(self, value: str) -> str:
        """Return the translated text of a value that is added to the file."""
        if self.is_plain:
            return value
        data = self.swapped(value.encode("utf-8", "surrogatepass"))
        if self.escape:
            data = _ESCAPED.sub(_mark, data.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
        return data.decode("utf-8", "surrogatepass")


def _spaces(marks: bytes) -> bytes:
    return b" " * (len(marks) // len(_SPACE))


def _mark(match: re.Match[bytes]) -> bytes:
    return _QUOTE_MARK if match[1] == b'"' else _BACKSLASH_MARK


@dataclass
class Translator:
    """Translates the UTF-8 bytes of a file, block by block, for the record core.

    ``feed`` and ``finish`` raise ``UploadRefused``: ``undecodable``, if the file has the private characters itself.
    """

    dialect: Dialect
    _held: bytes = field(init=False, default=b"")
    _unspaced: bytes = field(init=False, default=b"")

    def feed(self, block: bytes) -> bytes:
        """Translate a block; some bytes may be held back for the next call."""
        return block if self.dialect.is_plain else self._translate(block, final=False)

    def finish(self) -> bytes:
        """Translate what was held back."""
        return b"" if self.dialect.is_plain else self._translate(b"", final=True)

    def _translate(self, block: bytes, final: bool) -> bytes:
        dialect = self.dialect
        data = self._held + block
        end = len(data) if final else _whole_characters(data)
        data, self._held = data[:end], data[end:]
        # The file's own could not be told from ours when the results are written.
        if (dialect.uses_marks or not dialect.delimiter.isascii()) and _PRIVATE in data:
            detail = "the file contains characters from U+10FFC0 on, which cannot be read together with its dialect"
            raise UploadRefused("undecodable", detail)
        data = dialect.swapped(data)
        if dialect.escape:
            # An odd number of backslashes at the end of a block: the last one may escape the first byte of the next.
            if not final and (len(data) - len(data.rstrip(b"\\"))) % 2:
                data, self._held = data[:-1], b"\\" + self._held
            data = _ESCAPED.sub(_mark, data)
        return self._without_spaces(data, final) if dialect._moves_spaces else data

    def _without_spaces(self, data: bytes, final: bool) -> bytes:
        data = self._unspaced + data
        end = len(data) if final else _whole_records(data)
        self._unspaced = data[end:]
        if self.dialect.delimiter == RUNS_OF_SPACES:
            return _RUN.sub(_mark_run, data[:end])
        return _spaced_quotes(self.dialect.core_delimiter).sub(_move_inside, data[:end])


def _whole_characters(data: bytes) -> int:
    """Return the offset of a character that the bytes end within, or their length."""
    # A UTF-8 character of n bytes begins with one that tells n, at most three bytes before the end if it is cut.
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            return len(data) - back if back < 2 + (byte >= 0xE0) + (byte >= 0xF0) else len(data)
        if byte < 0x80:
            break
    return len(data)


def _whole_records(data: bytes) -> int:
    """Return the offset after the last line end outside quotes; 0 if the data may end within its first record."""
    end = len(data)
    # A line end after an odd number of quotes is inside quotes, and so are those before it, back to the last quote.
    while (end := data.rfind(b"\n", 0, end) + 1) and data.count(b'"', 0, end) % 2:
        end = data.rfind(b'"', 0, end) + 1
    return len(data) if not end and len(data) > _MAX_HELD_BYTES else end


# Possessive: a quote that is never closed then takes linear time.
_QUOTED = rb'"(?:[^"]|"")*+"'
_RUN = re.compile(
    rb"(?P<lead>(?:\A|(?<=\n)) *| +)(?P<quoted>" + _QUOTED + rb")(?=[ \r\n]|\Z)(?P<trail> *(?=\r?\n|\Z))?"
    rb"|(?P<edge>(?:\A|(?<=\n)) +| +(?=\r?\n|\Z))| (?P<more> +)"
)


def _mark_run(match: re.Match[bytes]) -> bytes:
    if match["quoted"]:
        lead = len(match["lead"])
        is_first = match.start() == 0 or match.string[match.start() - 1] == 10
        inside = _BEFORE * (lead if is_first else lead - 1)
        trail = _AFTER * len(match["trail"] or b"")
        return (b"" if is_first else b" ") + b'"' + inside + match["quoted"][1:-1] + trail + b'"'
    if match["edge"]:
        return _SPACE * len(match["edge"])
    return b" " + _SPACE * len(match["more"])


def _spaced_quotes(delimiter: str) -> re.Pattern[bytes]:
    stop = re.escape(delimiter.encode())
    return re.compile(rb"(?:\A|(?<=" + stop + rb")|(?<=\n))( *)(" + _QUOTED + rb")( *)(?=" + stop + rb"|\r?\n|\Z)")


def _move_inside(match: re.Match[bytes]) -> bytes:
    lead, quoted, trail = match.groups()
    if not lead and not trail:
        return match[0]
    return b'"' + _BEFORE * len(lead) + quoted[1:-1] + _AFTER * len(trail) + b'"'
