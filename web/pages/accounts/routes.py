"""The blueprint with all of its views."""

from web.pages.accounts import account, audit, sign_in, tokens, users  # noqa: F401 - they register their views
from web.pages.accounts.blueprint import accounts

__all__ = ["accounts"]
