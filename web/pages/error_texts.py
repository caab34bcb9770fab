"""Texts of problems, faults and warnings for people, by their codes. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jobs.formats.detection import Format
from model.schema import Fault, FaultCode, Feature, FeatureKind
from web.pages.formatting import as_sentence, format_number

PROBLEM_TEXTS = {
    "not_found": ("Page not found", "Check the address, or start from the home page."),
    "method_not_allowed": ("Method not allowed", "Go to the home page and use the forms there."),
    "unknown_job": (
        "Job not found",
        "It may have expired or been deleted. Look for it in the list of jobs, or upload the file again.",
    ),
    "not_ready": ("The job has not finished yet", "Wait until it is done. Its page updates automatically."),
    "job_failed": ("The job failed", "There are no results. Check the file and upload it again."),
    "job_canceled": (
        "The job was canceled",
        "Only the rows scored before that were kept. Upload the file again to score all of it.",
    ),
    "unknown_model": ("Model not found", "Choose another model, or start from the home page."),
    "unknown_prediction": ("Prediction not found", "It may have expired. Fill in the form again."),
    "unauthenticated": ("You are not signed in", "Sign in and try again."),
    "forbidden": (
        "You may not do this",
        "Ask an administrator for a different role, or ask the owner of the job to do it.",
    ),
    "stale_form": ("This form is out of date", "Go back, reload the page, and send the form again."),
    "rate_limited": ("Too many requests", "Wait a moment, then try again."),
    "unknown_token": ("Token not found", "It may have been revoked already. Look for it in the list of tokens."),
    "database_unavailable": (
        "The database is unavailable",
        "Your sign-in cannot be checked. Accepted jobs continue; try again in a moment.",
    ),
    "foreign_request": (
        "This request came from another site",
        "It was blocked for your safety. Open the page here and try again.",
    ),
    "bad_parameter": ("Invalid parameter", "Check the options and the address, and try again."),
    "malformed_body": ("The upload could not be read", "Choose the file and upload it again."),
    "too_large": ("The file is too large", "Split it into smaller files, each with the header row, and upload those."),
    "unsupported_media_type": (
        "This file cannot be read",
        "Upload a CSV file, an Excel or OpenDocument workbook without macros, or a Parquet, Arrow or JSON lines file.",
    ),
    "unreadable_file": ("This file cannot be read", "Save it again, without a password, or upload it as CSV."),
    "too_many_rows": ("Too many rows for Excel", "Download the results as CSV or Parquet."),
    "text_too_long": ("A text is too long for Excel", "Download the results as CSV or Parquet."),
    "unknown_sheet": ("There is no such sheet", "Choose one of the workbook's sheets."),
    "empty_file": ("The file is empty", "Choose a file with a header row and at least one data row."),
    "no_header": ("The file has no header row", "Add a first line with the column names and upload the file again."),
    "no_row_fits": (
        "The rows do not fit the header",
        "Choose the delimiter under Options, or correct the header row, and upload the file again.",
    ),
    "no_rows": ("The file has no data rows", "Add at least one row below the header and upload the file again."),
    "missing_columns": (
        "Required columns are missing",
        "Add these columns, or correct their names in the header row, and upload the file again.",
    ),
    "duplicate_columns": (
        "The file has duplicated columns",
        "Remove or rename one of each pair and upload the file again.",
    ),
    "unknown_row": (
        "A row does not exist",
        "Keep the column _row as it was downloaded, and upload the rejected rows again.",
    ),
    "not_rejected": (
        "A row was not rejected",
        "Keep only rows of the downloaded file, and upload the rejected rows again.",
    ),
    "duplicate_row": (
        "A row is given more than once",
        "Keep one line for each row, and upload the rejected rows again.",
    ),
    "no_corrections": (
        "Nothing was changed",
        "Edit the rejected rows, save the file, and upload it here.",
    ),
    "unknown_columns": (
        "A column is not in the original file",
        "Keep the column names as they were downloaded, and upload the rejected rows again.",
    ),
    "bad_correction": (
        "A correction could not be used",
        "Correct the value and send the corrections again.",
    ),
    "bad_threshold": ("Invalid threshold", "Enter a number from 0 to 1, such as 0.5, and try again."),
    "undecodable": (
        "The file contains bytes that are not text",
        "Save it again as CSV in UTF-8 and upload that file.",
    ),
    "unknown_encoding": ("Unknown encoding", "Save the file as CSV in UTF-8 and upload that file."),
    "too_wide": (
        "The file has fields, rows or columns that are too large",
        "Check the delimiter and the quotation marks and upload the file again.",
    ),
    "upload_timed_out": ("Upload timed out", "Check your connection and upload the file again."),
    "still_uploading": (
        "The first attempt is still in progress",
        "Wait a moment and try again. Trying again will not create a second job.",
    ),
    "job_ended": ("The job was ended during the upload", "Upload the file again."),
    "too_many_jobs": ("Too many jobs are waiting", "Nothing was stored. Wait a moment and try again."),
    "store_unsuitable": (
        "The service cannot store jobs safely",
        "Contact the administrator. The reason is below.",
    ),
    "store_full": (
        "The service is out of storage space",
        "Nothing was stored. Delete jobs that are no longer needed, or try again later.",
    ),
    "not_durable": (
        "The service cannot keep the file safely at the moment",
        "Nothing was stored. Wait a moment and upload the file again.",
    ),
    "store_unavailable": (
        "The service is temporarily unavailable",
        "Files that were already accepted are safe. Wait a moment and try again.",
    ),
    "broken_model": ("The model is unavailable", "Try again later, or choose another model."),
    "scoring_failed": ("The model could not score this record", "Check the values and try again."),
    "internal_error": (
        "Something went wrong on our side",
        "Try again. If the error persists, contact the administrator.",
    ),
}
"""A heading and the next step for each problem code."""
_OTHER_PROBLEM = ("Something went wrong", "Go back and try again, or start from the home page.")

FAULT_TEXTS = {
    FaultCode.MISSING.value: "missing",
    FaultCode.NOT_A_NUMBER.value: "not a number",
    FaultCode.AMBIGUOUS_NUMBER.value: "ambiguous, with a decimal point or a decimal comma",
    FaultCode.NOT_AN_INTEGER.value: "not a whole number",
    FaultCode.OUT_OF_RANGE.value: "out of range",
    FaultCode.UNKNOWN_CATEGORY.value: "not a valid value",
    FaultCode.NOT_A_BOOLEAN.value: "not true or false",
    FaultCode.NOT_A_DATE.value: "not a date",
    FaultCode.NOT_A_TEXT.value: "must be text",
    FaultCode.RAGGED.value: "too few or too many fields",
    FaultCode.REPEATED_HEADER.value: "repeated header",
    FaultCode.TOTALS_LINE.value: "totals, not a record",
    FaultCode.MALFORMED.value: "misplaced quotes or line breaks",
    FaultCode.OPEN_QUOTE.value: "a quotation mark is never closed",
    FaultCode.UNDECODABLE.value: "bytes that are not text",
    FaultCode.SCORING_FAILED.value: "the model could not score it",
}
"""What is wrong with a value or a row, by fault code; the text follows a colon."""
FAULT_TEXTS_BY_FORMAT = {Format.JSONL.value: {FaultCode.MALFORMED.value: "not a JSON object"}}
"""The same where a format of files has texts of its own."""
WARNING_TEXTS = {
    FaultCode.NOT_AN_INTEGER.value: "not a whole number, unlike all values in training",
    FaultCode.OUT_OF_RANGE.value: "outside the range seen in training",
    FaultCode.UNKNOWN_CATEGORY.value: "not seen in training",
    FaultCode.NOT_A_BOOLEAN.value: "not written as in training",
    FaultCode.NOT_A_DATE.value: "not a date such as 2024-01-31, unlike all values in training",
}
"""What is unusual about a value that is scored anyway, by the code of its warning."""
_MAX_LISTED_CATEGORIES = 5
ROW_SUBJECT = "Row"
"""What a fault of no single column is about."""

_FAULT_IN_ERROR = re.compile(rf"(?:^|; )({'|'.join(FAULT_TEXTS)})(?: in (.+?))?: ")
_SUGGESTION = re.compile("did you mean ['\"“](.+?)['\"”]\\?")


def problem_heading(code: str) -> str:
    """Return what went wrong, in a few words."""
    return PROBLEM_TEXTS.get(code, _OTHER_PROBLEM)[0]


def next_step(code: str) -> str:
    """Return what a person can do about a problem."""
    return PROBLEM_TEXTS.get(code, _OTHER_PROBLEM)[1]


def fault_texts(file_format: str) -> dict[str, str]:
    """Return what can be wrong with values and rows of a file of a format, by fault code."""
    return FAULT_TEXTS | FAULT_TEXTS_BY_FORMAT.get(file_format, {})


def fault_text(code: str, file_format: str = Format.CSV) -> str:
    """Return what is wrong with a value or a row."""
    return fault_texts(file_format).get(code, code.replace("_", " "))


def warning_text(code: str) -> str:
    """Return what is unusual about a value that is scored anyway."""
    return WARNING_TEXTS.get(code, "not seen in training")


def describe_fault(feature: Feature, fault: Fault, *, in_file: bool = False) -> str:
    """Return what is wrong with the value of a feature, and what would be right.

    A category is suggested as a form shows it, by its label, or as a file must spell it (``in_file``).
    """
    if fault.code == FaultCode.MISSING or not fault.value:
        return expected_value(feature)
    if fault.code == FaultCode.UNKNOWN_CATEGORY and len(feature.categories) <= _MAX_LISTED_CATEGORIES:
        labels = {} if in_file else feature.labels
        known = ", ".join(labels.get(category, category) for category in feature.categories)
        return f"“{fault.value}” is not one of {known}."
    of_feature = f" for {feature.title}" if fault.code == FaultCode.UNKNOWN_CATEGORY else ""
    suggestion = fault.suggestion if in_file else feature.labels.get(fault.suggestion or "", fault.suggestion)
    hint = f"Did you mean “{suggestion}”?" if suggestion else expected_value(feature)
    verb = "" if fault.code == FaultCode.NOT_A_TEXT else "is "
    return f"“{fault.value}” {verb}{fault_text(fault.code)}{of_feature}. {hint}"


def describe_warning(feature: Feature, warning: Fault) -> str:
    """Return what is unusual about a value that is scored anyway, and how it is treated."""
    is_missing = feature.parse(warning.value or "", suggest=False) is None
    treatment = "It is treated as missing." if is_missing else "It is scored anyway."
    verb = "was" if warning.code == FaultCode.UNKNOWN_CATEGORY else "is"
    return f"“{warning.value}” {verb} {warning_text(warning.code)}. {treatment}"


def describe_error(error: str, titles: Mapping[str, str], file_format: str = Format.CSV) -> str:
    """Return the ``error`` field of a result row as people read it: titles of features in place of codes and columns.

    ``describeError`` in ``static/format.js`` does the same.
    """
    faults = list(_FAULT_IN_ERROR.finditer(error))
    if not faults:
        return as_sentence(error)
    ends = [*(fault.start() for fault in faults[1:]), len(error)]
    parts = []
    for fault, end in zip(faults, ends, strict=True):
        code, column = fault.groups()
        suggestion = _SUGGESTION.search(error, fault.end(), end)
        hint = f"; did you mean “{suggestion[1]}”?" if suggestion else "."
        parts.append(f"{titles.get(column, column) or ROW_SUBJECT}: {fault_text(code, file_format)}{hint}")
    return " ".join(parts)


def describe_problem_errors(errors: Iterable[Mapping[str, Any]], detail: str) -> list[str]:
    """Return the errors of a problem as sentences, without those that repeat its ``detail``."""
    return [
        _describe_problem_error(error) for error in errors if error["detail"] != detail or error.get("did_you_mean")
    ]


def _describe_problem_error(error: Mapping[str, Any]) -> str:
    row, header = error.get("row"), error.get("did_you_mean")
    subject = f"Row {format_number(row)}: " if row else ""
    hint = f" The file has “{header}”: did you mean that column?" if header else ""
    return f"{subject}{as_sentence(error['detail'])}{hint}"


def expected_value(feature: Feature) -> str:
    """Return what a person should enter for a feature."""
    match feature.kind:
        case FeatureKind.CATEGORY if feature.limits_reject:
            return f"Choose one of {format_number(len(feature.categories))} values."
        case FeatureKind.CATEGORY:
            return "Choose or enter a value."
        case FeatureKind.BOOLEAN:
            return "Choose yes or no."
        case FeatureKind.DATE:
            return "Enter a date such as 2024-01-31."
        case FeatureKind.TEXT:
            return "Enter some text."
    number = "a whole number" if feature.integer and feature.limits_reject else "a number"
    limits = describe_range(feature) if feature.limits_reject else None
    return f"Enter {number}, {limits}." if limits else f"Enter {number}."


def describe_range(feature: Feature) -> str | None:
    """Return the limits of a number with its unit; None where it has none."""
    low, high = (None if limit is None else f"{limit:,.15g}" for limit in (feature.minimum, feature.maximum))
    unit = f" {feature.unit}" if feature.unit else ""
    if low and high:
        return f"{low} to {high}{unit}"
    if low:
        return f"at least {low}{unit}"
    return f"at most {high}{unit}" if high else None


FILTERS = {
    function.__name__: function for function in (problem_heading, next_step, fault_text, warning_text, describe_error)
}
"""The functions that templates use."""
