"""Every code that a problem document can have, with what it means and what to do: served under ``/api/v1/errors``."""

from dataclasses import dataclass

from model.schema import FaultCode

PATH = "/api/v1/errors"


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A stable word of the API: the statuses with which it comes (none: only within ``errors``), and what to do."""

    code: str
    statuses: tuple[int, ...]
    meaning: str
    remedy: str

    @property
    def title(self) -> str:
        """The code as a heading."""
        return title_of(self.code)


def title_of(code: str) -> str:
    """A code as a heading: the ``title`` of its problems."""
    return code.replace("_", " ").capitalize()


def type_of(code: str) -> str:
    """The ``type`` of a problem with this code: the address of what is said of it here."""
    return f"{PATH}/{code}"


_REQUESTS = (
    ErrorCode(
        "bad_request",
        (400,),
        "What came is not a request as HTTP has it.",
        "Check the request line, the headers and the encoding of the address.",
    ),
    ErrorCode(
        "bad_idempotency_key",
        (400,),
        "The Idempotency-Key is empty or longer than 255 characters.",
        "Send a random key of your own making, such as a UUID, one for each upload.",
    ),
    ErrorCode(
        "malformed_body",
        (400,),
        "The body is not what its headers say: it broke off, or its chunks, its gzip data, its form or its JSON are "
        "broken.",
        "Check Content-Length, Content-Encoding and Content-Type, and send the whole body again.",
    ),
    ErrorCode(
        "foreign_request",
        (403,),
        "A browser sent this request from a page of another site, which must not change anything here.",
        "Send it from a page of this service, or from a program without the headers Origin and Sec-Fetch-Site.",
    ),
    ErrorCode("not_found", (404,), "Nothing is at this address.", "Check the path against the description of the API."),
    ErrorCode(
        "method_not_allowed",
        (405,),
        "This address does not take the method.",
        "Use one of the methods that the header Allow names.",
    ),
    ErrorCode(
        "request_timeout", (408,), "The request did not come whole in time.", "Send it again over a better connection."
    ),
    ErrorCode(
        "upload_timed_out",
        (408,),
        "The upload stood still, or came so slowly, that it was given up. Nothing of it is kept.",
        "Send the file again; an Idempotency-Key makes that safe.",
    ),
    ErrorCode(
        "too_large",
        (413,),
        "The body is larger than what is taken; files are counted after decompression.",
        "Split the file into several, each with the header row, or the records into several requests.",
    ),
    ErrorCode(
        "uri_too_long", (414,), "The address is longer than what is taken.", "Send long values in the body instead."
    ),
    ErrorCode(
        "unsupported_media_type",
        (415,),
        "The body is of a kind that is not read here; of a known kind, the detail names it.",
        "Send CSV as text/csv, as application/octet-stream or as the part 'file' of multipart/form-data, records as "
        "application/json.",
    ),
    ErrorCode("range_not_satisfiable", (416,), "The range asked for does not exist.", "Ask without the header Range."),
    ErrorCode(
        "expectation_failed",
        (417,),
        "The header Expect asks for something unknown.",
        "Send 100-continue, or leave it out.",
    ),
    ErrorCode(
        "unknown_host",
        (421,),
        "The header Host, or the address in the request line, names a host that is not one of this service.",
        "Use the address that the service says at its start, or have SCORELINE_HOSTS list the name.",
    ),
    ErrorCode(
        "bad_parameter",
        (422,),
        "A parameter is not as the description of the API has it; errors names it.",
        "Correct the parameter, or leave it out.",
    ),
    ErrorCode(
        "headers_too_large", (431,), "There are too many headers, or one is too long.", "Send fewer or shorter headers."
    ),
    ErrorCode(
        "not_implemented",
        (501,),
        "The request uses a transfer coding that is not supported.",
        "Send it plain or chunked.",
    ),
)

_FILES = (
    ErrorCode("empty_file", (422,), "The file has no bytes.", "Send a CSV file with a header row and rows under it."),
    ErrorCode(
        "no_header",
        (422,),
        "The file has no header row that could be read.",
        "Put the names of the columns into its first line.",
    ),
    ErrorCode("no_rows", (422,), "The file has a header row and nothing under it.", "Add at least one row."),
    ErrorCode(
        "missing_columns",
        (422,),
        "The file lacks columns that the model needs; errors names each, with a header that is close.",
        "Add the columns, or correct their names in the header row.",
    ),
    ErrorCode(
        "duplicate_columns",
        (422,),
        "Several columns of the file are for the same feature.",
        "Remove or rename all but one of them.",
    ),
    ErrorCode(
        "unknown_encoding",
        (422,),
        "The parameter encoding, or the charset of the Content-Type, is no encoding that is known here.",
        "Leave it out to have the encoding found out, or name one that the description lists.",
    ),
    ErrorCode(
        "open_quote",
        (422,),
        "A quoted field begins and does not end; errors names the row.",
        "Close the quotation mark, or remove it.",
    ),
    ErrorCode(
        "too_wide",
        (422,),
        "A field is over 1 MiB, a record over 4 MiB, or there are more than 2,000 columns.",
        "Check the delimiter and the quotation marks, and leave out columns that are not needed.",
    ),
    ErrorCode(
        "bad_threshold",
        (422,),
        "The threshold is no number from 0 to 1, or the model decides without one.",
        "Send a number from 0 to 1, or leave it out.",
    ),
    ErrorCode(
        "idempotency_key_reused",
        (422,),
        "The Idempotency-Key has been used with another body or other parameters.",
        "Use a new key for every upload, and the same one only to send the very same upload again.",
    ),
)

_JOBS = (
    ErrorCode(
        "unknown_job",
        (404,),
        "There is no such job: it was never there, has expired, or was deleted.",
        "List the jobs, or upload the file again.",
    ),
    ErrorCode(
        "not_ready",
        (409,),
        "The job has not ended, and its results are not complete.",
        "Wait for its end (Prefer: wait=60, until=ended), or stream what there is with follow=true.",
    ),
    ErrorCode(
        "job_failed",
        (409, 500),
        "The job failed and has no results; the detail says why.",
        "See to the reason and upload the file again.",
    ),
    ErrorCode(
        "job_canceled",
        (409,),
        "The job was canceled before it was done.",
        "Get the rows that were finished with partial=true, or upload the file again.",
    ),
    ErrorCode(
        "job_ended",
        (409,),
        "The job was canceled or failed while its file was still being sent.",
        "Upload the file again if it is still needed.",
    ),
    ErrorCode(
        "still_uploading",
        (409,),
        "Another upload with this Idempotency-Key is under way.",
        "Send the same again after the seconds that Retry-After says; the answer is then that upload's job.",
    ),
    ErrorCode(
        "too_many_jobs",
        (429,),
        "As many jobs wait as may. Nothing was stored.",
        "Send the file again after the seconds that Retry-After says.",
    ),
)

_MODELS = (
    ErrorCode(
        "unknown_model",
        (404, 422),
        "There is no model, or no version of one, with this name.",
        "List the models, or leave the name out for the default one.",
    ),
    ErrorCode(
        "broken_model",
        (503,),
        "The model is there but cannot be used; the detail says why.",
        "Tell who runs the service, or choose another model or version.",
    ),
    ErrorCode(
        "unknown_prediction",
        (404,),
        "There is no such prediction: it was never there, or has expired.",
        "Ask for the prediction again.",
    ),
    ErrorCode(
        "invalid_record",
        (422,),
        "The record has values that the model cannot take; errors has every one of them.",
        "Correct them as errors says.",
    ),
    ErrorCode(
        "too_many_predictions",
        (429,),
        "As many predictions wait as may.",
        "Ask again after the seconds that Retry-After says.",
    ),
)

_SERVICE = (
    ErrorCode(
        "internal_error",
        (500,),
        "Something went wrong on the side of the service.",
        "Try again. If it happens once more, tell who runs the service; its log has the reason.",
    ),
    ErrorCode(
        "busy",
        (503,),
        "The service has as many requests of this kind in hand as it can, or this client as many as one may.",
        "Send it again after the seconds that Retry-After says.",
    ),
    ErrorCode(
        "no_worker",
        (503,),
        "No worker answered in time.",
        "Try again; if that does not help, /readyz says which part is missing.",
    ),
    ErrorCode(
        "store_full",
        (503,),
        "The store has no room for more. Nothing was stored.",
        "Delete jobs that are not needed any more, or try again when some have expired.",
    ),
    ErrorCode(
        "store_unsuitable",
        (503,),
        "The Redis or Valkey server that this service was given could lose jobs: it keeps no append-only file, evicts "
        "keys, is too old or is a cluster.",
        "Tell whoever runs the service; the problem's detail names the setting of the server to change.",
    ),
    ErrorCode(
        "store_unavailable",
        (503,),
        "The store does not answer. What was accepted before is safe.",
        "Try again after the seconds that Retry-After says.",
    ),
)

_FAULTS = (
    ErrorCode(FaultCode.MISSING, (), "A value is empty where the model needs one.", "Fill it in."),
    ErrorCode(
        FaultCode.NOT_A_NUMBER,
        (),
        "A value is no number: digits with a decimal point, no thousands separators.",
        "Correct it.",
    ),
    ErrorCode(FaultCode.NOT_AN_INTEGER, (), "A number is not whole where it has to be.", "Round or correct it."),
    ErrorCode(
        FaultCode.OUT_OF_RANGE,
        (),
        "A number lies outside what the model takes.",
        "Correct it; the model's features have their minimum and maximum.",
    ),
    ErrorCode(
        FaultCode.UNKNOWN_CATEGORY,
        (),
        "A value is none of the feature's categories.",
        "Use one of them; did_you_mean names one that is close.",
    ),
    ErrorCode(FaultCode.NOT_A_BOOLEAN, (), "A value is neither true nor false.", "Use true or false."),
    ErrorCode(FaultCode.NOT_A_DATE, (), "A value is no date.", "Write it as 2026-02-03."),
    ErrorCode(FaultCode.NOT_A_TEXT, (), "A value is no text.", "Send a JSON string."),
    ErrorCode(
        FaultCode.RAGGED,
        (),
        "A row has more or fewer fields than the header.",
        "Quote fields that hold the delimiter, or correct the row.",
    ),
    ErrorCode(
        FaultCode.MALFORMED,
        (),
        "A row has quotation marks or line ends where none may be.",
        "Double the quotation marks within a quoted field, and quote fields with line ends.",
    ),
    ErrorCode(
        FaultCode.UNDECODABLE,
        (422,),
        "A row, or the whole file, holds bytes that are no text in its encoding, or NUL.",
        "Save the file as CSV in UTF-8.",
    ),
    ErrorCode(
        FaultCode.SCORING_FAILED,
        (422,),
        "The model raised an error on this record, or ended the process that asked it.",
        "Check the values; if they are right, tell who made the model.",
    ),
)

ERROR_CODES = {
    str(error.code): error
    for error in sorted((*_REQUESTS, *_FILES, *_JOBS, *_MODELS, *_SERVICE, *_FAULTS), key=lambda error: error.code)
}
"""What there is to say of each code, in the order of the alphabet."""

# The codes of what is no matter of the application, but of HTTP.
_BY_STATUS = {
    400: "bad_request",
    404: "not_found",
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
    """The code of an error of which nothing but its status is known."""
    return _BY_STATUS.get(status, "internal_error" if status >= 500 else "bad_request")
