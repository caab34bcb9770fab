"""The words of the pages: numbers, sizes, times and problems as people read them. Pure: values in, texts out."""

import math
from datetime import UTC, datetime

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_THOUSAND = 1000
_MILLION = 1_000_000
_LARGEST_LOG_ODDS = 700.0
_MINUTE, _HOUR = 60, 3600

PROBLEM_WORDS = {
    "not_found": ("Page not found", "Check the address, or start from the home page."),
    "method_not_allowed": ("This address cannot be used that way", "Go to the home page and use the forms there."),
    "unknown_job": (
        "There is no such job",
        "It may have expired, or it was deleted. Look for it in the list of jobs, or upload the file again.",
    ),
    "not_ready": ("The job has not ended yet", "Wait until it is done; its page follows it."),
    "job_failed": ("The job failed", "Nothing of it was kept. Check the file and upload it again."),
    "job_canceled": (
        "The job was canceled before it was done",
        "Only its first rows were kept. Upload the file again to have all of it scored.",
    ),
    "unknown_model": ("There is no such model", "Choose another model, or start from the home page."),
    "unknown_prediction": ("There is no such prediction", "It may have expired. Fill in the form again."),
    "foreign_request": (
        "This request came from another site",
        "For your safety it was not carried out. Open the page here and try again.",
    ),
    "bad_parameter": ("The address asks for something that does not exist", "Start from the list of jobs."),
    "malformed_body": ("The upload could not be read", "Choose the file and upload it again."),
    "too_large": ("The file is too large", "Split it into smaller files, each with the header row, and upload those."),
    "unsupported_media_type": (
        "This is not a CSV file",
        "Open it in a spreadsheet, save it as CSV, and upload that file.",
    ),
    "empty_file": ("The file is empty", "Choose a CSV file with a header row and at least one row under it."),
    "no_header": (
        "The file has no header row",
        "Put the names of the columns into the first line and upload it again.",
    ),
    "no_rows": ("The file has no rows", "Add at least one row under the header row and upload it again."),
    "missing_columns": (
        "The file lacks columns that the model needs",
        "Add these columns, or correct their names in the header row, and upload the file again.",
    ),
    "duplicate_columns": (
        "The file has the same column twice",
        "Remove or rename one of each pair and upload the file again.",
    ),
    "bad_threshold": (
        "The threshold is not right",
        "Enter a number from 0 to 1, such as 0.5, and try again.",
    ),
    "undecodable": (
        "The file holds bytes that are not text",
        "Save it again as CSV in UTF-8 and upload that file.",
    ),
    "unknown_encoding": ("The encoding is not known", "Save the file as CSV in UTF-8 and upload that file."),
    "open_quote": (
        "A quoted field in the file never ends",
        "Close or remove the quotation mark where it opens and upload the file again.",
    ),
    "too_wide": (
        "The file has fields, rows or columns that are too large",
        "Check that columns and rows are where they should be and upload the file again.",
    ),
    "upload_timed_out": ("The upload stood still for too long", "Check your connection and upload the file again."),
    "still_uploading": (
        "The first attempt is not over yet",
        "The service is still busy with it. Wait a moment and try again; the file is never scored twice.",
    ),
    "job_ended": ("The job was ended while its file was on the way", "Upload the file again."),
    "too_many_jobs": ("Too many jobs are waiting", "Nothing was stored. Wait a little and try again."),
    "store_unsuitable": (
        "The service keeps nothing just now, since its store would lose it",
        "Tell whoever runs it; the reason is below.",
    ),
    "store_full": (
        "There is no room for another file just now",
        "Nothing was stored. Delete jobs that are no longer needed, or try again later.",
    ),
    "store_unavailable": (
        "The service does not answer just now",
        "What was accepted before is safe. Wait a moment and try again.",
    ),
    "broken_model": ("The model cannot be used just now", "Try again later, or choose another model."),
    "scoring_failed": ("The model could not score this record", "Check the values and try again."),
    "internal_error": (
        "Something went wrong on our side",
        "Try again. If it happens once more, tell who runs the service.",
    ),
}
"""What went wrong, and what to do next, by the code of a problem."""
FAULT_WORDS = {
    "missing": "is empty",
    "not_a_number": "is not a number",
    "not_an_integer": "is not a whole number",
    "out_of_range": "is out of range",
    "unknown_category": "is not one of the choices",
    "not_a_boolean": "is neither true nor false",
    "not_a_date": "is not a date",
    "not_a_text": "is not a text",
    "ragged": "has too few or too many fields",
    "malformed": "has quotes or line ends in the wrong place",
    "undecodable": "holds bytes that are not text",
    "scoring_failed": "could not be scored by the model",
}
"""What is wrong with a value or a whole row, by the code of the fault."""
WARNING_WORDS = {
    "not_an_integer": "is not a whole number, as all were in training",
    "out_of_range": "is outside the range seen in training",
    "unknown_category": "did not occur in training",
}
"""What is unusual about a value that is scored all the same, by the code of the warning."""
_OTHER = ("This did not work", "Go back and try again, or start from the home page.")


def problem_heading(code: str) -> str:
    """What went wrong, in a few words, by the code of a problem."""
    return PROBLEM_WORDS.get(code, _OTHER)[0]


def next_step(code: str) -> str:
    """What a person can do about a problem, by its code."""
    return PROBLEM_WORDS.get(code, _OTHER)[1]


def fault_words(code: str) -> str:
    """What is wrong with a value or a row, by the code of the fault."""
    return FAULT_WORDS.get(code, code.replace("_", " "))


def warning_words(code: str) -> str:
    """What is unusual about a value that is scored all the same, by the code of the warning."""
    return WARNING_WORDS.get(code, "did not occur in training")


def sentence(text: str) -> str:
    """A text with a capital first letter and a full stop."""
    ended = text if text.endswith((".", "!", "?", "…")) else f"{text}."
    return ended[:1].upper() + ended[1:]


def grouped(number: float) -> str:
    """A number with thousands separators; whole from 100 on, else with at most two decimals."""
    if abs(number) >= 100 or float(number).is_integer():
        return f"{number:,.0f}"
    return f"{number:,.2f}".rstrip("0").rstrip(".")


def grouped_digits(number: float) -> str:
    """A number in six significant digits, its whole part grouped."""
    text = f"{abs(number):,.6g}"
    return f"\N{MINUS SIGN}{text}" if number < 0 else text


def factor(log_odds: float) -> str:
    """What an effect in log-odds multiplies the odds by."""
    odds = math.exp(min(log_odds, _LARGEST_LOG_ODDS))
    digits = ".2g" if odds < 0.1 else ",.2f" if odds < 100 else ",.0f" if odds < _MILLION else ".3g"
    return f"\N{MULTIPLICATION SIGN} {odds:{digits}}"


def signed(number: float) -> str:
    """A difference in three significant digits, with its sign."""
    return f"{number:+.3g}".replace("-", "\N{MINUS SIGN}")


def percent(share: float, decimals: int = 0) -> str:
    """A share of 0..1 as a percentage."""
    return f"{share * 100:.{decimals}f}%"


def percent_done(share: float) -> str:
    """Progress as a whole percentage, rounded down: 100% is kept for what is done."""
    return f"{int(share * 100)}%"


def points(difference: float) -> str:
    """A difference of two shares in percentage points: ``+12.3 points``."""
    return f"{difference * 100:+.1f} points".replace("-", "\N{MINUS SIGN}")


def size(count: int) -> str:
    """A number of bytes in the largest unit in which it is at least 1."""
    if count == 1:
        return "1 byte"
    amount, unit = float(count), _UNITS[0]
    for larger in _UNITS[1:]:
        if amount < _THOUSAND:
            break
        amount, unit = amount / _THOUSAND, larger
    return f"{amount:,.0f} {unit}" if unit == _UNITS[0] or amount >= 100 else f"{amount:.1f} {unit}"


def duration(seconds: float) -> str:
    """A span of time in its two largest units."""
    whole = round(seconds)
    if whole < 1:
        return "less than a second"
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def moment(seconds: float) -> str:
    """A time, in seconds since the epoch, as people read it: ``3 Feb 2026, 14:05 UTC``."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when.day} {when:%b %Y, %H:%M} UTC"


def day(text: str) -> str:
    """The day of an RFC 3339 time: ``3 Feb 2026``."""
    when = datetime.fromisoformat(text)
    return f"{when.day} {when:%b %Y}"


FILTERS = {
    filter_.__name__: filter_
    for filter_ in (
        problem_heading,
        next_step,
        fault_words,
        warning_words,
        sentence,
        grouped,
        grouped_digits,
        percent,
        percent_done,
        points,
        size,
        duration,
        moment,
        day,
    )
}
"""The functions of this module by their names, for templates."""
