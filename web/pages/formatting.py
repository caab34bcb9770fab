"""Format numbers, sizes and times for people. Pure.

``static/format.js`` has the same formatters for scripts; a test compares the two.
"""

import math
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal

_SIZE_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_THOUSAND = 1000
_MILLION = 1_000_000
_BILLION = 1_000_000_000
_MAX_EXPONENT = 700.0
_MINUTE, _HOUR = 60, 3600
_SMALLEST_SHARE = 0.001
_SENTENCE_ENDS = (".", "!", "?", "…")
# Enough digits for the largest float with two decimals.
_ANY_FLOAT = Context(prec=320)
NO_VALUE = "\N{EN DASH}"
# What a ``User-Agent`` header contains, and the name. Most name others, too, so that the order matters.
_BROWSERS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("CriOS/", "Chrome")),
    *(("Chrome/", "Chrome"), ("Safari/", "Safari")),
)
_SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "an iPhone"), ("iPad", "an iPad"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)
_MAX_USER_AGENT = 80


def format_number(number: float) -> str:
    """Format with thousands separators; as an integer from 100 on, else with at most two decimals."""
    if abs(number) >= 100 or float(number).is_integer():
        return _fixed(number, 0)
    return _fixed(number, 2).rstrip("0").rstrip(".")


def format_significant(number: float) -> str:
    """Format in six significant digits, with thousands separators."""
    return _with_minus_sign(f"{number + 0.0:,.6g}")


def format_tick(number: float) -> str:
    """Format for the axis of a chart, where there is little room: 0.25, 1,500, 15k, 1.5M, 2B."""
    if abs(number) < _THOUSAND:
        return f"{number:,.3g}"
    if abs(number) < 10 * _THOUSAND:
        return f"{number:,.0f}"
    if abs(number) < _MILLION:
        return f"{_three_digits(number / _THOUSAND)}k"
    return f"{_three_digits(number / _MILLION)}M" if abs(number) < _BILLION else f"{number / _BILLION:.3g}B"


def _three_digits(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def format_change(number: float) -> str:
    """Format a difference with its sign, in three significant digits."""
    return _with_minus_sign(f"{number:+.3g}")


def format_multiplier(logarithm: float) -> str:
    """Format ``exp(logarithm)``: what an effect in log-odds multiplies the odds by."""
    multiplier = bounded_exp(logarithm)
    digits = ".2g" if multiplier < 0.1 else ",.2f" if multiplier < 100 else ",.0f" if multiplier < _MILLION else ".3g"
    return f"\N{MULTIPLICATION SIGN} {multiplier:{digits}}"


def bounded_exp(logarithm: float) -> float:
    """Return ``exp(logarithm)``, or a very large number where that would overflow."""
    return math.exp(min(logarithm, _MAX_EXPONENT))


def format_percent(share: float | None, decimals: int = 0) -> str:
    """Format a share in 0..1 as a percentage; None as a dash."""
    return NO_VALUE if share is None else f"{_fixed(share * 100, decimals)}%"


def format_percent_tick(share: float) -> str:
    """Format a share for the axis of a chart, with no more decimals than it has: 0.5%, 100%."""
    return f"{format_tick(share * 100)}%"


def format_threshold(threshold: float) -> str:
    """Format a threshold in 0..1 as a percentage with at most two decimals."""
    return f"{format_number(threshold * 100)}%"


def format_small_percent(share: float) -> str:
    """Format a share in 0..1 as a percentage with one decimal, without rounding a small one to zero."""
    return f"under {format_percent(_SMALLEST_SHARE, 1)}" if 0 < share < _SMALLEST_SHARE else format_percent(share, 1)


def format_progress(share: float) -> str:
    """Format progress as a percentage, rounded down: only what is complete shows 100%."""
    return f"{math.floor(share * 100)}%"


def format_points(difference: float) -> str:
    """Format a difference of two shares in percentage points: ``+12.3 points``."""
    return _with_minus_sign(f"{difference * 100:+.1f} points")


def format_size(count: int) -> str:
    """Format a number of bytes in the largest unit in which it is at least 1."""
    if count == 1:
        return "1 byte"
    amount, unit = float(count), _SIZE_UNITS[0]
    for larger in _SIZE_UNITS[1:]:
        if amount < _THOUSAND:
            break
        amount, unit = amount / _THOUSAND, larger
    return f"{_fixed(amount, 0 if unit == _SIZE_UNITS[0] or amount >= 100 else 1)} {unit}"


def format_duration(seconds: float) -> str:
    """Format a time span in its two largest units."""
    whole = math.floor(seconds + 0.5)
    if whole < 1:
        return "less than a second"
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def format_time(seconds: float) -> str:
    """Format seconds since the epoch: ``3 Feb 2026, 14:05 UTC``."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when.day} {when:%b %Y, %H:%M} UTC"


def format_date(text: str) -> str:
    """Format the date of an RFC 3339 time: ``3 Feb 2026``."""
    when = datetime.fromisoformat(text)
    return f"{when.day} {when:%b %Y}"


def as_sentence(text: str) -> str:
    """Return the text with a capital first letter and a full stop."""
    ended = text if text.endswith(_SENTENCE_ENDS) else f"{text}."
    return ended[:1].upper() + ended[1:]


def within_sentence(text: str) -> str:
    """Return a title as it is written within a sentence: ``Monthly income`` → ``monthly income``, ``BMI`` unchanged."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _fixed(number: float, decimals: int) -> str:
    """Format with thousands separators, rounding halves away from zero as JavaScript's ``toFixed`` does."""
    return f"{Decimal(number).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _ANY_FLOAT):,f}"


def _with_minus_sign(text: str) -> str:
    """Replace the hyphen of a negative number; that of an exponent stays."""
    return f"\N{MINUS SIGN}{text[1:]}" if text.startswith("-") else text


def describe_browser(user_agent: str) -> str:
    """Return browser and system of a ``User-Agent`` header, or the start of the header if it names none we know."""
    browser, system = (
        next((name for mark, name in known if mark in user_agent), None) for known in (_BROWSERS, _SYSTEMS)
    )
    if browser and system:
        return f"{browser} on {system}"
    return user_agent[:_MAX_USER_AGENT] or "Unknown"


FILTERS = {
    "number": format_number,
    "significant": format_significant,
    "percent": format_percent,
    "threshold": format_threshold,
    "progress": format_progress,
    "points": format_points,
    "file_size": format_size,
    "duration": format_duration,
    "time": format_time,
    "date": format_date,
    "sentence": as_sentence,
    "within_sentence": within_sentence,
    "browser": describe_browser,
}
"""The formatters by the names under which templates use them."""
