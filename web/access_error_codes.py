"""Error codes of signing in, and of what somebody may do."""

from web.error_code import ErrorCode

ACCESS = (
    ErrorCode(
        "unauthenticated",
        (401,),
        "The request does not say who makes it, or its token is malformed, unknown, expired or revoked.",
        "Sign in, or send a valid token as Authorization: Bearer scl_….",
    ),
    ErrorCode(
        "forbidden",
        (403,),
        "Your role, or the scopes of the token, do not allow this, or the job belongs to somebody else.",
        "Use a token with the scope that WWW-Authenticate names, or ask an administrator.",
    ),
    ErrorCode(
        "stale_form",
        (403,),
        "A form was sent that is not of this browser's session.",
        "Reload the page and send the form again; programs send a token and no cookies.",
    ),
    ErrorCode(
        "rate_limited",
        (429,),
        "A limit of this user, or on attempts to sign in, is reached; RateLimit-Policy names it. Nothing was stored.",
        "Try again after the seconds in Retry-After.",
    ),
    ErrorCode(
        "unknown_token",
        (404,),
        "There is no token with this id, or it was revoked.",
        "List the tokens.",
    ),
)
