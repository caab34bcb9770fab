"""The codes of what can be wrong with corrections of rejected rows."""

from web.error_code import ErrorCode

CORRECTIONS = (
    ErrorCode(
        "unknown_row",
        (422,),
        "Corrections name a row that does not exist; errors lists each.",
        "Rows are numbered from 1, the first record after the header; take the numbers from the rejected rows.",
    ),
    ErrorCode(
        "not_rejected",
        (422,),
        "Corrections name a row that was not rejected; errors lists each.",
        "Correct only rows that rejects lists; to change others, upload the whole file again.",
    ),
    ErrorCode(
        "duplicate_row",
        (422,),
        "Corrections name a row more than once; errors lists each.",
        "Give each row once, with all of its new values.",
    ),
    ErrorCode(
        "no_corrections",
        (422,),
        "The corrections hold no row, or none that differs from what it was.",
        "Change values of the rejected rows and send them again.",
    ),
    ErrorCode(
        "unknown_columns",
        (422,),
        "Corrections name a column that the input does not have.",
        "Use the names of the input's columns, or of the model's features.",
    ),
    ErrorCode(
        "bad_correction",
        (422,),
        "A record of the corrections has no row number or no value, or a value that cannot be the text of a field.",
        "Give each record _row and its new values, as texts, numbers, true, false or null.",
    ),
)
