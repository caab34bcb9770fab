"""Signing in and out, and one-time addresses."""

from dataclasses import dataclass
from http import HTTPStatus

from flask import flash, g, redirect, request, url_for
from werkzeug.wrappers import Response

from database.errors import DatabaseError
from database.invitations import InvitationInvalid, Invited, Purpose
from database.users import EmailTaken
from jobs.errors import RateLimited
from web.auth import cookies
from web.auth.guard import signed_in
from web.auth.identity import current_identity
from web.auth.passwords import fault_of
from web.auth.secrets import digest
from web.auth.signing_in import end_other_sessions, end_session, own_path, start_session, verify_password
from web.pages.accounts.blueprint import accounts, auth, page
from web.problems import problem_page, to_problem

_WRONG = "The e-mail address or the password is wrong."
_MAX_NAME, _MAX_EMAIL = 255, 320


@accounts.get("/signin")
def sign_in() -> Response:
    """Show the form for signing in."""
    target = own_path(request.args.get("next"))
    if signed_in():
        return redirect(target, HTTPStatus.SEE_OTHER)
    return _form(target)


@accounts.post("/signin")
def sign_in_with_password() -> Response:
    """Sign in, and go on to the page that was asked for."""
    email, target = g.form.get("email", ""), own_path(g.form.get("next"))
    try:
        account = verify_password(auth(), email, g.form.get("password", ""))
        if account is None:
            return _form(target, email, _WRONG, HTTPStatus.UNPROCESSABLE_ENTITY)
        auth().users.note_sign_in(account.id)
        return start_session(auth(), account, redirect(target, HTTPStatus.SEE_OTHER), "password")
    except RateLimited as error:
        fault = "Too many attempts. Wait a moment, then try again."
        response = _form(target, email, fault, HTTPStatus.TOO_MANY_REQUESTS)
        problem = to_problem(error)
        response.headers.extend(problem.headers if problem else {})
        return response
    except DatabaseError:
        fault = "You cannot sign in now: the database is unavailable. Try again in a moment."
        return _form(target, email, fault, HTTPStatus.SERVICE_UNAVAILABLE)


def _form(target: str, email: str = "", fault: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    provider = auth().settings.oidc_name if auth().issuer else None
    return page("sign_in", status, target=target, email=email, fault=fault, provider=provider)


@accounts.post("/signout")
def sign_out() -> Response:
    """End the session."""
    auth().note("signed_out")
    end_session(auth())
    return _signed_out()


@accounts.post("/signout-everywhere")
def sign_out_everywhere() -> Response:
    """End the sessions of the user in all browsers."""
    auth().note("signed_out_everywhere")
    end_other_sessions(auth(), current_identity().owner)
    end_session(auth())
    return _signed_out()


def _signed_out() -> Response:
    response = redirect(url_for("accounts.sign_in"), HTTPStatus.SEE_OTHER)
    cookies.clear_session(response)
    return response


@dataclass(frozen=True, slots=True)
class _Entered:
    """What is typed into the form of a one-time address."""

    email: str
    name: str
    password: str

    def faults(self, invited: Invited) -> dict[str, str]:
        """Return what is wrong, by field."""
        faults = {}
        if invited.purpose is Purpose.FIRST and not is_email(self.email):
            faults["email"] = "Enter an e-mail address, such as name@example.com."
        if invited.purpose is not Purpose.RESET and not 0 < len(self.name) <= _MAX_NAME:
            faults["name"] = f"Enter your name, of up to {_MAX_NAME} characters."
        if fault := fault_of(self.password, invited.email or self.email):
            faults["password"] = fault
        return faults


def is_email(text: str) -> bool:
    """Return whether a text can be an e-mail address."""
    local, _, domain = text.rpartition("@")
    plain = text.isprintable() and not any(letter.isspace() for letter in text)
    return bool(local and domain and plain and len(text) <= _MAX_EMAIL)


@accounts.get("/welcome/<code>")
def one_time_address(code: str) -> Response:
    """Show the form of a one-time address."""
    auth().throttle.count_code(request.remote_addr or "")
    invited = auth().invitations.find(digest(code))
    return _welcome(code, invited) if invited else _gone()


@accounts.post("/welcome/<code>")
def use_one_time_address(code: str) -> Response:
    """Create the account or set the new password, and sign in."""
    auth().throttle.count_code(request.remote_addr or "")
    invited = auth().invitations.find(digest(code))
    if invited is None:
        return _gone()
    entered = _Entered(g.form.get("email", "").strip(), g.form.get("name", "").strip(), g.form.get("password", ""))
    faults = entered.faults(invited)
    if faults:
        return _welcome(code, invited, entered, faults)
    try:
        hash_ = auth().passwords.hash(entered.password)
        user_id = auth().invitations.accept(digest(code), entered.name, hash_, entered.email)
    except InvitationInvalid:
        return _gone()
    except EmailTaken:
        return _welcome(code, invited, entered, {"email": "There is an account with this e-mail address already."})
    auth().forget_user(user_id)
    account = auth().users.get(user_id)
    if account is None or account.disabled:
        return _gone()
    auth().note("address_used", invited.purpose.value, actor=account.email)
    auth().users.note_sign_in(account.id)
    response = start_session(auth(), account, redirect(own_path(None), HTTPStatus.SEE_OTHER), invited.purpose.value)
    flash("Your password is set, and you are signed in.")
    return response


def _welcome(
    code: str, invited: Invited, entered: _Entered | None = None, faults: dict[str, str] | None = None
) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK
    typed = entered or _Entered(invited.email or "", "", "")
    return page("welcome", status, code=code, invited=invited, typed=typed, faults=faults or {})


def _gone() -> Response:
    return page("used_address", HTTPStatus.NOT_FOUND)


@accounts.errorhandler(RateLimited)
@accounts.errorhandler(DatabaseError)
def _later(error: Exception) -> Response:
    """Say that it does not work now."""
    problem = to_problem(error)
    assert problem is not None
    return problem_page(problem)
