"""The blueprint with all of its views."""

from web.pages.accounts import account, audit, provider, sign_in, tokens, users  # noqa: F401 - they register their views
from web.pages.accounts.blueprint import accounts
from web.pages.accounts.provider import register_provider

__all__ = ["accounts", "register_provider"]
