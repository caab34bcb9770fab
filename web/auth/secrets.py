"""Secrets that are handed out once: sessions, tokens, one-time addresses. Only their hashes are stored. Pure."""

import hashlib
import re
import secrets
import string
import zlib

TOKEN_PREFIX = "scl_"  # noqa: S105 - what all tokens begin with
SHOWN_CHARACTERS = len(TOKEN_PREFIX) + 6
"""How many characters of a token are stored in the clear, to tell tokens apart."""

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
# The fewest digits to base 62 that hold 256 bits, and the 32 of the checksum.
_SECRET_DIGITS, _CHECKSUM_DIGITS = 43, 6
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[0-9A-Za-z]{{{_SECRET_DIGITS + _CHECKSUM_DIGITS}}}")


def new_secret() -> str:
    """Return a secret of 256 bits that can stand in a cookie or an address."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """Return a token for programs: ``scl_``, 256 random bits and a checksum in base 62."""
    body = TOKEN_PREFIX + _base62(secrets.randbits(256), _SECRET_DIGITS)
    return body + _checksum(body)


def is_well_formed(token: str) -> bool:
    """Return whether a text is a token with a correct checksum, so that a mistyped one needs no look-up."""
    if _TOKEN.fullmatch(token) is None:
        return False
    body, checksum = token[:-_CHECKSUM_DIGITS], token[-_CHECKSUM_DIGITS:]
    return _checksum(body) == checksum


def digest(secret: str) -> str:
    """Return the hash under which a secret is stored; random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM_DIGITS)


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, rest = divmod(number, len(_DIGITS))
        digits = _DIGITS[rest] + digits
    return digits
