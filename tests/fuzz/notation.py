"""What the contract's 'Messy files' says of decimal marks and of totals, in slow and obvious code."""

from collections.abc import Sequence
from dataclasses import dataclass

TOTALS = (
    "total", "totals", "grand total", "sum", "\u03c3", "\u2211", "summe", "gesamt", "gesamtsumme", "insgesamt", "somme",
    "suma", "totale", "totaal",
)  # fmt: skip
DIGITS = "0123456789"


@dataclass(frozen=True)
class Notation:
    """The decimal mark of a file, and whether nothing in the file speaks for the other one."""

    decimal: str = "."
    certain: bool = True

    def number(self, word: str) -> float | None:
        """What a text means as a number; None if it is none."""
        plain = with_point(word) if self.decimal == "," else word
        return None if plain is None else point_number(plain)

    def ambiguous(self, word: str) -> bool:
        """Whether a text is a number, and not certain which one."""
        if self.certain:
            return False
        return has_two_meanings(word) or (self.decimal == "." and "," in word and with_point(word) is not None)


PLAIN = Notation()


def notation_of(words: Sequence[str], delimiter: str) -> Notation:
    """The notation of a file with these texts in its columns of numbers."""
    if delimiter == ",":
        return PLAIN
    only_comma = any(with_point(word) is not None and point_number(word) is None for word in words)
    only_point = any(with_point(word) is None and is_written_with_point(word) for word in words)
    return Notation("," if only_comma and not only_point else ".", certain=not only_comma)


def is_written_with_point(word: str) -> bool:
    """Whether a text is a number with a decimal point: digits, a point among them or not, and an exponent or none."""
    _, mantissa, exponent = parts(word)
    whole, _, part = mantissa.partition(".")
    return exponent and all_digits(whole + part) and bool(whole + part)


def point_number(word: str) -> float | None:
    """The number that a text with a decimal point means, however large."""
    return float(word) if is_written_with_point(word) else None


def with_point(word: str) -> str | None:
    """A number with a decimal comma, in which dots may group thousands, as one with a decimal point."""
    _, mantissa, exponent = parts(word)
    whole, comma, part = mantissa.partition(",")
    groups = whole.split(".")
    grouped = len(groups) == 1 or (
        1 <= len(groups[0]) <= 3 and groups[0][0] != "0" and all(len(group) == 3 for group in groups[1:])
    )
    sound = grouped and all_digits("".join(groups) + part) and bool("".join(groups) + part) and exponent
    return word.replace(".", "").replace(",", ".") if sound and (whole or comma) else None


def has_two_meanings(word: str) -> bool:
    """Whether a text is one group of thousands, or a number with three decimals: 1.234."""
    _, mantissa, exponent = parts(word)
    whole, point, part = mantissa.partition(".")
    return bool(
        exponent and point and len(part) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0" and all_digits(whole + part)
    )


def parts(word: str) -> tuple[str, str, bool]:
    """Sign, mantissa, and whether what follows is an exponent or nothing."""
    sign = word[:1] if word[:1] in ("+", "-") else ""
    mantissa, mark, exponent = word[len(sign) :].replace("E", "e").partition("e")
    digits = exponent[1:] if exponent[:1] in ("+", "-") else exponent
    return sign, mantissa, not mark or (bool(digits) and all_digits(digits))


def all_digits(text: str) -> bool:
    return all(letter in DIGITS for letter in text)


def is_totals_line(values: Sequence[str], columns: Sequence[int]) -> bool:
    """Whether the last record holds totals: a word for them, and most other columns of the model empty."""
    words = [value.strip().casefold().rstrip(" :=") for value in values]
    label = next((at for at, word in enumerate(words) if word in TOTALS), None)
    if label is None:
        return False
    others = [at for at in columns if at != label]
    empty = [at for at in others if at >= len(values) or not values[at].strip()]
    return 2 * len(empty) > len(others)
