"""Every code of a problem document, with its meaning and remedy, as ``/api/v1/errors`` serves them."""

from web.access_error_codes import ACCESS
from web.correction_codes import CORRECTIONS
from web.error_code import ErrorCode
from web.fault_codes import FAULTS
from web.storage_codes import STORAGE

_REQUESTS = (
    ErrorCode(
        "bad_request",
        (400,),
        "The request is not valid HTTP.",
        "Check the request line, the headers and the encoding of the address.",
    ),
    ErrorCode(
        "bad_idempotency_key",
        (400,),
        "The Idempotency-Key is empty or longer than 255 characters.",
        "Send a random key, such as a UUID, for each upload.",
    ),
    ErrorCode(
        "malformed_body",
        (400,),
        "The body does not match its headers: it is incomplete, or its chunks, gzip data, form or JSON are invalid.",
        "Check Content-Length, Content-Encoding and Content-Type, and send the whole body again.",
    ),
    ErrorCode(
        "foreign_request",
        (403,),
        "A browser sent this request from a page of another site, which must not change anything here.",
        "Send it from a page of this service, or from a program without the headers Origin and Sec-Fetch-Site.",
    ),
    ErrorCode(
        "not_acceptable",
        (406,),
        "Results are not available in any of the formats that the header Accept names; the detail lists the formats.",
        "Name one of them in Accept or in the parameter format.",
    ),
    ErrorCode(
        "too_many_rows",
        (406,),
        "The results have more rows than an Excel sheet, which holds 1,048,575 and the header.",
        "Download CSV or Parquet instead.",
    ),
    ErrorCode(
        "text_too_long",
        (406,),
        "The results have a text that is longer than the 32,767 characters which a cell of Excel holds.",
        "Download CSV or Parquet instead.",
    ),
    ErrorCode("not_found", (404,), "There is nothing at this address.", "Check the path against the API description."),
    ErrorCode(
        "method_not_allowed",
        (405,),
        "This address does not support the method.",
        "Use one of the methods listed in the Allow header.",
    ),
    ErrorCode(
        "request_timeout",
        (408,),
        "The request was not received completely in time.",
        "Send it again over a better connection.",
    ),
    ErrorCode(
        "upload_timed_out",
        (408,),
        "The upload stalled or was too slow and was aborted. Nothing was stored.",
        "Send the file again; an Idempotency-Key makes that safe.",
    ),
    ErrorCode(
        "too_large",
        (413,),
        "The body exceeds the size limit; files are counted after decompression.",
        "Split the file into several, each with the header row, or the records into several requests.",
    ),
    ErrorCode("uri_too_long", (414,), "The address is too long.", "Send long values in the body instead."),
    ErrorCode(
        "unsupported_media_type",
        (415,),
        "The type of the body is not supported; if it was recognized, the detail names it.",
        "Send CSV, an Excel or OpenDocument workbook without macros, Parquet, Arrow or JSON lines: under its media "
        "type, as application/octet-stream or as the part 'file' of multipart/form-data; records as application/json. "
        "Results are streamed, by /api/v1/score, of CSV only.",
    ),
    ErrorCode(
        "range_not_satisfiable",
        (416,),
        "The requested range does not exist.",
        "Send the request without the Range header.",
    ),
    ErrorCode(
        "expectation_failed",
        (417,),
        "The Expect header has an unsupported value.",
        "Send 100-continue, or omit the header.",
    ),
    ErrorCode(
        "unknown_host",
        (421,),
        "The Host header, or the address in the request line, names a host that does not belong to this service.",
        "Use the address that the service prints when it starts, or add the name to SCORELINE_HOSTS.",
    ),
    ErrorCode(
        "bad_parameter", (422,), "A parameter is invalid; errors names it.", "Correct the parameter, or omit it."
    ),
    ErrorCode(
        "headers_too_large", (431,), "There are too many headers, or one is too long.", "Send fewer or shorter headers."
    ),
    ErrorCode(
        "not_implemented", (501,), "The request uses an unsupported transfer coding.", "Send the body plain or chunked."
    ),
)

_FILES = (
    ErrorCode(
        "empty_file",
        (422,),
        "The file, or the workbook's sheet, is empty.",
        "Send a file with a header row and at least one data row.",
    ),
    ErrorCode(
        "unreadable_file",
        (422,),
        "The file is damaged or protected by a password, so that the reader of its format cannot read it.",
        "Save it again, without a password, or send it as CSV.",
    ),
    ErrorCode(
        "unknown_sheet",
        (422,),
        "The workbook has no sheet of this name or number; the detail lists those that it has.",
        "Name one of them in sheet, or omit it to have the first one read.",
    ),
    ErrorCode("no_header", (422,), "The file has no readable header row.", "Put the column names into the first line."),
    ErrorCode(
        "no_row_fits",
        (422,),
        "No row at the beginning of the file has as many fields as the header; the detail says which line was taken as "
        "the header, with which delimiter.",
        "Check the delimiter and the header row; the parameter delimiter names another delimiter.",
    ),
    ErrorCode("no_rows", (422,), "The file has a header row but no data rows.", "Add at least one row."),
    ErrorCode(
        "missing_columns",
        (422,),
        "Columns that the model needs are missing; errors names each, with a similar header if there is one.",
        "Add the columns, or correct their names in the header row.",
    ),
    ErrorCode(
        "duplicate_columns",
        (422,),
        "Several columns of the file map to the same feature.",
        "Remove or rename all but one of them.",
    ),
    ErrorCode(
        "unknown_encoding",
        (422,),
        "The parameter encoding, or the charset of the Content-Type, is not a known encoding.",
        "Omit it to have the encoding detected, or use one that the API description lists.",
    ),
    ErrorCode(
        "too_wide",
        (422,),
        "A field exceeds 1 MiB, a record exceeds 4 MiB, or there are more than 2,000 columns.",
        "Check the delimiter and the quotation marks, and remove columns that are not needed.",
    ),
    ErrorCode(
        "bad_threshold",
        (422,),
        "The threshold is not a number from 0 to 1, or the model does not use one.",
        "Send a number from 0 to 1, or omit it.",
    ),
    ErrorCode(
        "idempotency_key_reused",
        (422,),
        "The Idempotency-Key was already used with another body or other parameters.",
        "Use a new key for each upload, and the same key only to repeat exactly the same upload.",
    ),
)

_JOBS = (
    ErrorCode(
        "unknown_job",
        (404,),
        "There is no such job: it never existed, has expired, or was deleted.",
        "List the jobs, or upload the file again.",
    ),
    ErrorCode(
        "not_ready",
        (409,),
        "The job has not ended, so its results are not complete.",
        "Wait for its end (Prefer: wait=60, until=ended), or stream the results with follow=true.",
    ),
    ErrorCode(
        "job_failed",
        (409, 500),
        "The job failed and has no results; the detail says why.",
        "Resolve the cause and upload the file again.",
    ),
    ErrorCode(
        "job_canceled",
        (409,),
        "The job was canceled.",
        "Get the rows scored so far with partial=true, or upload the file again.",
    ),
    ErrorCode(
        "job_ended",
        (409,),
        "The job was canceled or failed during the upload.",
        "Upload the file again if it is still needed.",
    ),
    ErrorCode(
        "still_uploading",
        (409,),
        "Another upload with this Idempotency-Key is in progress.",
        "Repeat the request after the seconds in Retry-After; the answer is then the job of that upload.",
    ),
    ErrorCode(
        "too_many_jobs",
        (429,),
        "The maximum number of unfinished jobs is reached. Nothing was stored.",
        "Send the file again after the seconds in Retry-After.",
    ),
)

_MODELS = (
    ErrorCode(
        "unknown_model",
        (404, 422),
        "There is no model, or no version of it, with this name.",
        "List the models, or omit the name to use the default model.",
    ),
    ErrorCode(
        "broken_model",
        (503,),
        "The model exists but cannot be used; the detail says why.",
        "Contact the administrator, or choose another model or version.",
    ),
    ErrorCode(
        "unknown_prediction",
        (404,),
        "There is no such prediction: it never existed, or has expired.",
        "Request the prediction again.",
    ),
    ErrorCode(
        "invalid_record",
        (422,),
        "The record has invalid values; errors lists all of them.",
        "Correct the values that errors lists.",
    ),
    ErrorCode(
        "too_many_predictions",
        (429,),
        "The maximum number of waiting predictions is reached.",
        "Try again after the seconds in Retry-After.",
    ),
)

_SERVICE = (
    ErrorCode(
        "internal_error",
        (500,),
        "An unexpected error occurred in the service.",
        "Try again. If the error persists, contact the administrator; the log has the cause.",
    ),
    ErrorCode(
        "busy",
        (503,),
        "The service, or this client, has reached its limit of concurrent requests of this kind.",
        "Try again after the seconds in Retry-After.",
    ),
    ErrorCode(
        "no_worker",
        (503,),
        "No worker responded in time.",
        "Try again; if that fails, /readyz says which part is missing.",
    ),
    ErrorCode(
        "store_unsuitable",
        (503,),
        "The configured Redis or Valkey server could lose jobs: it has no append-only file, evicts keys, is too old or "
        "refuses the rights that are needed.",
        "Contact the administrator; the detail names the server setting to change.",
    ),
    ErrorCode(
        "not_durable",
        (503,),
        "The store may not keep what was sent: too few replicas confirmed it in time, or its primary failed over. "
        "No job was created.",
        "Send it again after the seconds in Retry-After.",
    ),
    ErrorCode(
        "store_unavailable",
        (503,),
        "The store is unavailable. Accepted jobs are safe.",
        "Try again after the seconds in Retry-After.",
    ),
    ErrorCode(
        "database_unavailable",
        (503,),
        "The database is unavailable. Jobs and predictions are scored without it, and enter the history later.",
        "Try again after the seconds in Retry-After; `history` in `/readyz` says what ails the database.",
    ),
)

_OUTCOMES = (
    ErrorCode("other_model", (), "The job or prediction is of another model.", "Send it to the outcomes of its model."),
    ErrorCode(
        "no_prediction",
        (),
        "There is nothing to compare the outcome with: the row was rejected, or the answer was not kept.",
        "Leave the line out.",
    ),
    ErrorCode("unknown_row", (), "The job has no such row.", "Count rows from 1, the first one after the header."),
    ErrorCode(
        "not_measurable",
        (422,),
        "Outcomes say nothing about a model of this kind.",
        "Send outcomes of classifiers and regressors of one target.",
    ),
)

ERROR_CODES = {
    str(error.code): error
    for error in sorted(
        (*_REQUESTS, *ACCESS, *_FILES, *_JOBS, *CORRECTIONS, *_MODELS, *_SERVICE, *STORAGE, *_OUTCOMES, *FAULTS),
        key=lambda error: error.code,
    )
}
"""All codes in alphabetical order."""

# The codes of errors that HTTP defines.
_BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    406: "not_acceptable",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    417: "expectation_failed",
    431: "headers_too_large",
    501: "not_implemented",
}


def code_of(status: int) -> str:
    """Return the code of an HTTP error by its status."""
    return _BY_STATUS.get(status, "internal_error" if status >= 500 else "bad_request")
