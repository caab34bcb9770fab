"""One's own account: password and sessions."""

from http import HTTPStatus

from flask import flash, g, redirect, url_for
from werkzeug.wrappers import Response

from database.users import Account
from web.auth.identity import current_identity
from web.auth.passwords import fault_of
from web.auth.signing_in import end_other_sessions, start_session, verify_password
from web.pages.accounts.blueprint import accounts, auth, page
from web.problems import Problem


@accounts.get("/account")
def account_page() -> Response:
    """Show the account, the form for another password, and where it is signed in."""
    return _account_page({})


@accounts.post("/account/password")
def change_password() -> Response:
    """Change the password; other browsers are signed out, and this one gets a new session."""
    account = own_account()
    password, faults = g.form.get("password", ""), {}
    if account.password_hash is None or verify_password(auth(), account.email, g.form.get("current", "")) is None:
        faults["current"] = "This is not your current password."
    elif fault := fault_of(password, account.email):
        faults["password"] = fault
    if faults:
        return _account_page(faults)
    auth().users.set_password(account.id, auth().passwords.hash(password))
    auth().note("password_changed", account.email)
    end_other_sessions(auth(), account.id)
    response = redirect(url_for("accounts.account_page"), HTTPStatus.SEE_OTHER)
    start_session(auth(), account, response, "new password")
    flash("Your password is changed. Other browsers are signed out.")
    return response


def own_account() -> Account:
    """Return the account of whoever asks."""
    account = auth().users.get(current_identity().owner)
    if account is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not_found", "the account is gone")
    return account


def _account_page(faults: dict[str, str]) -> Response:
    identity = current_identity()
    status = HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK
    sessions = auth().credentials.sessions(identity.owner)
    return page("account", status, account=own_account(), sessions=sessions, current=identity.credential, faults=faults)
