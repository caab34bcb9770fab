"""The error codes of stores that are full, away or damaged."""

from web.error_code import ErrorCode

STORAGE = (
    ErrorCode(
        "store_full",
        (503,),
        "The store is full. Nothing was stored.",
        "Delete jobs that are no longer needed, or try again when some have expired.",
    ),
    ErrorCode(
        "storage_unavailable",
        (503,),
        "The object store that holds the bytes of jobs does not answer or refuses access. Accepted jobs are safe.",
        "Try again after the seconds in Retry-After; the log of the service names the reason.",
    ),
    ErrorCode(
        "rows_lost",
        (500,),
        "Bytes of the job are gone from the object store or were altered there, so its results cannot be complete.",
        "Upload the file again, and contact the administrator: the log of the service names the object.",
    ),
)
