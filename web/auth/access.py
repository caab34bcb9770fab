"""What each endpoint requires, and what of it the audit log keeps. An endpoint that is missing here is for nobody.

``tests/web/auth/test_ownership.py`` walks all routes as each kind of user.
"""

from dataclasses import dataclass
from enum import StrEnum

from web.auth.roles import Scope


class Open(StrEnum):
    """Requirements that are no scope."""

    ANYONE = "anyone"  # without signing in
    PERSON = "person"  # with a session or JWT; with a token only if it has the scope `admin`


@dataclass(frozen=True, slots=True)
class Rule:
    """What an endpoint requires; ``audited`` is the action that the audit log notes when it succeeds."""

    requires: Scope | Open
    audited: str = ""


_ANYONE, _PERSON = Rule(Open.ANYONE), Rule(Open.PERSON)
_READ, _SCORE, _ADMIN = Rule(Scope.READ), Rule(Scope.SCORE), Rule(Scope.ADMIN)
_DOWNLOAD, _DELETION = Rule(Scope.READ, "downloaded"), Rule(Scope.SCORE, "deleted")
_CANCELLATION = Rule(Scope.SCORE, "canceled")

RULES: dict[str, Rule] = {
    # Whoever asks: no data of users, and what signing in needs. The counts of /metrics name models, but no people.
    "static": _ANYONE,
    "docs_asset": _ANYONE,
    "health.healthz": _ANYONE,
    "health.readyz": _ANYONE,
    "health.metrics": _ANYONE,
    "errors.list_errors": _ANYONE,
    "errors.get_error": _ANYONE,
    # The API
    "docs": _READ,
    "openapi_document": _READ,
    "models.list_models": _READ,
    "models.get_model": _READ,
    "models.list_versions": _READ,
    "models.get_sample": _READ,
    "jobs.list_jobs": _READ,
    "jobs.get_job": _READ,
    "jobs.get_summary": _READ,
    "jobs.get_events": _READ,
    "jobs.get_results": _DOWNLOAD,
    "jobs.get_rejects": _DOWNLOAD,
    "jobs.list_rejected_records": _DOWNLOAD,
    "jobs.create_job": _SCORE,
    "jobs.score": Rule(Scope.SCORE, "downloaded"),
    "jobs.create_preflight": _SCORE,
    "corrections.create_corrections": _SCORE,
    "jobs.delete_job": _SCORE,  # notes itself whether it ended or removed the job
    "predictions.create_prediction": _SCORE,
    "predictions.get_prediction": _READ,
    "history.list_history_jobs": _READ,
    "history.get_history_job": _READ,
    "history.delete_history_jobs": _ADMIN,  # notes what is deleted itself, as the pages do
    "history.list_history_predictions": _READ,
    "history.get_history_prediction": _READ,
    "history.delete_history_predictions": _ADMIN,
    "outcomes.create_outcomes": _SCORE,
    "outcomes.get_outcomes": _READ,
    # The pages
    "history_pages.jobs": _READ,
    "history_pages.predictions": _READ,
    "history_pages.job": _READ,
    "history_pages.prediction": _READ,
    "history_pages.jobs_deletion": _ADMIN,
    "history_pages.predictions_deletion": _ADMIN,
    "history_pages.delete_jobs": _ADMIN,
    "history_pages.delete_predictions": _ADMIN,
    "pages.home": _READ,
    "pages.model_page": _READ,
    "pages.version_page": _READ,
    "pages.version_prediction": _SCORE,
    "pages.model_prediction": _SCORE,
    "pages.probability": _SCORE,
    "pages.prediction_page": _READ,
    "pages.jobs_page": _READ,
    "pages.selected_jobs": _READ,  # each job is checked
    "pages.after_selection": _READ,
    "pages.job_page": _READ,
    "pages.after_action": _READ,
    "pages.create_job": _SCORE,
    "pages.score_again": _SCORE,
    "pages.correct_job": _SCORE,
    "pages.cancel_job": _CANCELLATION,
    "pages.delete_job": _DELETION,
    # Signing in and accounts
    "accounts.sign_in": _ANYONE,
    "accounts.sign_in_with_password": _ANYONE,
    "accounts.one_time_address": _ANYONE,
    "accounts.use_one_time_address": _ANYONE,
    "accounts.sign_in_at_provider": _ANYONE,
    "accounts.back_from_provider": _ANYONE,
    "accounts.sign_out": _PERSON,
    "accounts.sign_out_everywhere": _PERSON,
    "accounts.account_page": _PERSON,
    "accounts.change_password": _PERSON,
    "accounts.tokens_page": _PERSON,
    "accounts.create_token": _PERSON,
    "accounts.revoke": _PERSON,
    "accounts.users_page": _ADMIN,
    "accounts.invite_user": _ADMIN,
    "accounts.change_user": _ADMIN,
    "accounts.audit_page": _ADMIN,
    "accounts.export_audit": _ADMIN,
    "tokens.list_tokens": _PERSON,
    "tokens.create_token": _PERSON,
    "tokens.revoke_token_": _PERSON,
}


def rule_of(endpoint: str | None) -> Rule | None:
    """Return the rule of an endpoint; None if it has none."""
    return RULES.get(endpoint or "")
