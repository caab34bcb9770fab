"""Limits on what one request may contain or ask for. Upload sizes are settings; CSV limits are in ``jobs.csv``."""

KIB = 1024
MIB = 1024 * KIB

MAX_JSON_BYTES = 16 * MIB
MAX_FORM_BYTES = 16 * MIB
"""Form of a page; uploads excepted."""
MAX_CORRECTIONS_BYTES = 32 * MIB
"""File of corrections, after decompression."""
MAX_SMALL_CORRECTIONS_BYTES = 256 * KIB
"""Corrections that are smaller are read however many others there are."""
MAX_FORM_PARTS = 10_000
MAX_RECORDS = 1000
"""Records in one request for predictions."""

MAX_IDEMPOTENCY_KEY = 255
MAX_FILENAME = 255
MAX_PAGE_SIZE = 200
MAX_REJECTS = 1000
"""Rejected records on one page."""
MAX_WAIT_SECONDS = 60.0
"""Longest wait that ``Prefer: wait=N`` can ask for."""

PREFLIGHT_BYTES = 64 * KIB
"""A preflight reads this much of a CSV file."""
MAX_CHECKED_BYTES = 8 * MIB
"""Other files up to this size are read before they are accepted, and by a preflight."""

MAX_TOKEN_REQUEST_BYTES = 16 * KIB
