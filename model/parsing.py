"""Parse texts as numbers, dates, booleans or missing values, whichever feature they belong to. Pure."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Self

NUMBER_PATTERN = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""The grammar of a number, with ASCII digits only, in syntax that both Python's ``re`` and RE2 have."""

COMMA_NUMBER_PATTERN = (
    r"[+-]?([1-9][0-9]{0,2}(\.[0-9]{3})+(,[0-9]*)?|[0-9]+,?[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?"  # 1.234,56
)
"""The grammar of a number with a decimal comma, in which dots may group thousands."""

TWO_MEANINGS_PATTERN = r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}([eE][+-]?[0-9]+)?"
"""The numbers that have one value with a decimal point and another one with a decimal comma: 1.234."""

MISSING_MARKERS = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
"""Casefolded texts that mean "no value", unless a feature has a category of that name."""

BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}

TRUE_FALSE = frozenset({"true", "false"})
"""Casefolded words that pandas, too, reads as booleans."""

DAY_DIGITS = 10
"""The length of a date without a time of day: 2024-01-31."""

MAX_ECHO = 100
_NUMBER = re.compile(NUMBER_PATTERN)
_COMMA_NUMBER = re.compile(COMMA_NUMBER_PATTERN)
_TWO_MEANINGS = re.compile(TWO_MEANINGS_PATTERN)
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a file writes numbers: its decimal mark, and whether it is certain that all of them have this mark.

    Where it is not, numbers to which the other mark gives another value are ambiguous, and never guessed.
    """

    decimal: str = "."
    is_certain: bool = True

    @classmethod
    def detect(cls, texts: Iterable[str]) -> Self:
        """Return the format of a file with these texts in its number columns.

        A decimal comma needs a text that is a number only with it, and none that is one only with a decimal point.
        """
        comma = point = False
        for text in texts:
            with_comma, with_point = bool(_COMMA_NUMBER.fullmatch(text)), is_number(text)
            # Texts that are numbers either way (``12``, ``1.234``) show nothing.
            comma |= with_comma and not with_point
            point |= with_point and not with_comma
        return cls("," if comma and not point else ".", is_certain=not comma)

    def plain(self, text: str) -> str:
        """Return the number with a decimal point and ungrouped; any other text as it is, or empty if misleading."""
        if self.decimal == ".":
            return text
        return text.replace(".", "").replace(",", ".") if _COMMA_NUMBER.fullmatch(text) else ""

    def is_ambiguous(self, text: str) -> bool:
        """Return whether it is not certain which number ``text`` is."""
        if self.is_certain:
            return False
        return bool(
            _TWO_MEANINGS.fullmatch(text) or (self.decimal == "." and "," in text and _COMMA_NUMBER.fullmatch(text))
        )

    def hint(self, text: str) -> str:
        """Return how a text that is no number should be written, if it has the mark that is not the decimal one."""
        return _NUMBER_HINTS[self.decimal] if OTHER_MARK[self.decimal] in text else ""


OTHER_MARK = {".": ",", ",": "."}
"""The mark that is not the decimal one."""
_NUMBER_HINTS = {
    ".": "; write it without thousands separators and with a decimal point",
    ",": "; this file has decimal commas, and dots only between thousands",
}
DECIMAL_POINT = NumberFormat()
"""The format of numbers where nothing else is said."""


def is_number(text: str) -> bool:
    """Return whether ``text`` is written as a number; it may still be too large for a float."""
    return _NUMBER.fullmatch(text) is not None


def parse_number(text: str) -> float | None:
    """Return the finite number that ``text`` denotes by ``NUMBER_PATTERN``, or None."""
    number = float(text) if is_number(text) else math.nan
    return number if math.isfinite(number) else None


def parse_date(text: str) -> str | None:
    """Return an ISO 8601 day as it is, a time in UTC without its zone; None for any other text."""
    try:
        moment = datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
        if moment is None or len(text) == DAY_DIGITS:
            return text if moment else None
        return (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat()
    except (ValueError, OverflowError):
        return None


def shown(text: str) -> str:
    """Return ``text`` cut to 100 characters, for messages."""
    return text if len(text) <= MAX_ECHO else text[: MAX_ECHO - 1] + "…"


def digits_of(value: float) -> str:
    """Return a JSON number as text; a whole number too long for Python's ``str`` as words."""
    try:
        return str(value)
    except ValueError:
        return "a very long whole number"


@lru_cache(maxsize=4096)
def closest_word(word: str, words: tuple[str, ...]) -> str | None:
    """Return the most similar one of the words, if one is similar. Misspellings come again in the next chunk."""
    return next(iter(get_close_matches(word, words, n=1)), None)
