"""The codes of faults in single rows or records."""

from model.schema import FaultCode
from web.error_code import ErrorCode

FAULTS = (
    ErrorCode(FaultCode.MISSING, (), "A required value is missing.", "Provide the value."),
    ErrorCode(
        FaultCode.NOT_A_NUMBER,
        (),
        "A value is not a number: digits with a decimal point, without thousands separators.",
        "Correct the value.",
    ),
    ErrorCode(
        FaultCode.AMBIGUOUS_NUMBER,
        (),
        "A number has another value with a decimal point than with a decimal comma, and the file does not tell which "
        "it has.",
        "Send the parameter decimal: a point or a comma.",
    ),
    ErrorCode(FaultCode.NOT_AN_INTEGER, (), "A number must be whole.", "Round or correct the value."),
    ErrorCode(
        FaultCode.OUT_OF_RANGE,
        (),
        "A number is outside the allowed range.",
        "Correct the value; the features of the model list minimum and maximum.",
    ),
    ErrorCode(
        FaultCode.UNKNOWN_CATEGORY,
        (),
        "A value is not one of the feature's categories.",
        "Use one of the categories; did_you_mean suggests a similar one.",
    ),
    ErrorCode(FaultCode.NOT_A_BOOLEAN, (), "A value is neither true nor false.", "Use true or false."),
    ErrorCode(FaultCode.NOT_A_DATE, (), "A value is not a date.", "Use the format 2026-02-03."),
    ErrorCode(FaultCode.NOT_A_TEXT, (), "A value must be text.", "Send a JSON string."),
    ErrorCode(
        FaultCode.RAGGED,
        (),
        "A row has more or fewer fields than the header.",
        "Quote fields that contain the delimiter, or correct the row.",
    ),
    ErrorCode(
        FaultCode.OPEN_QUOTE,
        (),
        "A row has a quotation mark that is not closed within 4 MiB or before the end of the file.",
        "Close the quotation mark, or remove it.",
    ),
    ErrorCode(
        FaultCode.REPEATED_HEADER,
        (),
        "The header is repeated among the rows, as in files that were joined.",
        "Remove the line; nothing else is affected.",
    ),
    ErrorCode(
        FaultCode.TOTALS_LINE,
        (),
        "The last line holds totals, not a record.",
        "Remove the line; nothing else is affected.",
    ),
    ErrorCode(
        FaultCode.MALFORMED,
        (),
        "A row has misplaced quotation marks or line breaks.",
        "Double the quotation marks within a quoted field, and quote fields with line breaks.",
    ),
    ErrorCode(
        FaultCode.UNDECODABLE,
        (422,),
        "A row, or the whole file, contains NUL or bytes that are not text in its encoding.",
        "Save the file as CSV in UTF-8.",
    ),
    ErrorCode(
        FaultCode.SCORING_FAILED,
        (422,),
        "The model raised an error on this record, or crashed its process.",
        "Check the values; if they are correct, contact the owner of the model.",
    ),
)
