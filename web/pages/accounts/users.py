"""Users, for administrators: invite, change roles, disable, reset passwords."""

from http import HTTPStatus

from flask import flash, g, redirect, request, url_for
from werkzeug.wrappers import Response

from database.tables import Role
from database.users import Account, LastAdministrator
from web.auth.identity import current_identity
from web.auth.roles import ROLE_TEXTS
from web.auth.signing_in import end_other_sessions, issue_invitation, issue_reset
from web.ids import unknown_user
from web.pages.accounts.blueprint import accounts, auth, page
from web.pages.accounts.sign_in import is_email


@accounts.get("/users")
def users_page() -> Response:
    """Show all accounts and open invitations."""
    return _users_page()


@accounts.post("/users")
def invite_user() -> Response:
    """Invite somebody: show the one-time address to pass on, once; or withdraw an invitation."""
    email, role = g.form.get("email", "").strip(), g.form.get("role", "")
    if g.form.get("action") == "withdraw":
        if auth().invitations.withdraw(email):
            auth().note("invitation_withdrawn", email)
            flash(f"The invitation of {email} is withdrawn.")
        return redirect(url_for("accounts.users_page"), HTTPStatus.SEE_OTHER)
    fault = None
    if not is_email(email):
        fault = ("email", "Enter an e-mail address, such as name@example.com.")
    elif role not in set(Role):
        fault = ("role", "Choose one of the roles.")
    elif auth().users.by_email(email):
        fault = ("email", "There is an account with this e-mail address already.")
    if fault:
        return _users_page(email, role, fault)
    secret = issue_invitation(auth(), email, Role(role))
    auth().note("user_invited", email, role=role)
    return page("one_time_address", address=_address(secret), email=email, is_reset=False)


@accounts.post("/users/<user:user_id>")
def change_user(user_id: str) -> Response:
    """Change role or state of an account, or make a one-time address for another password."""
    account, action = _found_user(user_id), g.form.get("action", "")
    if action == "reset":
        secret = issue_reset(auth(), user_id)
        auth().note("password_reset_issued", account.email)
        return page("one_time_address", address=_address(secret), email=account.email, is_reset=True)
    try:
        text = _change(account, action, g.form.get("role", ""))
    except LastAdministrator:
        text = "Nothing was changed: the last administrator has to stay one."
    flash(text)
    return redirect(url_for("accounts.users_page"), HTTPStatus.SEE_OTHER)


def _change(account: Account, action: str, role: str) -> str:
    """Make a change and return what to say of it."""
    if action == "role" and role in set(Role):
        auth().users.change(account.id, role=Role(role))
        auth().forget_user(account.id)
        auth().note("role_changed", account.email, role=role, before=account.role)
        return f"{account.email} now has the role {role}."
    if action in ("disable", "enable"):
        auth().forget_user(account.id)
        auth().users.change(account.id, disabled=action == "disable")
        if action == "disable":
            end_other_sessions(auth(), account.id)
        auth().note(f"user_{action}d", account.email)
        return f"{account.email} is {action}d."
    return "Nothing was changed."


def _found_user(user_id: str) -> Account:
    account = auth().users.get(user_id)
    if account is None:
        raise unknown_user(user_id)
    return account


def _users_page(email: str = "", role: str = Role.MEMBER, fault: tuple[str, str] | None = None) -> Response:
    return page(
        "users",
        HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        users=auth().users.all(),
        pending=auth().invitations.pending(),
        roles=ROLE_TEXTS,
        own_id=current_identity().owner,
        email=email,
        role=role,
        fault=fault,
    )


def _address(secret: str) -> str:
    """Return the one-time address as the recipient opens it."""
    return f"{request.scheme}://{request.host}{url_for('accounts.one_time_address', code=secret)}"
