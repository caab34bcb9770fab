"""The audit log as administrators read it, and that it says what has happened."""

import pytest

from database.audit import AuditFilter
from tests.web.auth.conftest import HEADER, Team


@pytest.mark.parametrize("path", ["/audit", "/audit.csv"])
@pytest.mark.parametrize("query", ["end=9999-12-31", "start=0001-01-01", "before=9223372036854775808"])
def test_a_filter_at_the_limits_of_time_and_numbers_is_answered(team: Team, path: str, query: str) -> None:
    assert team.signed_in("admin").get(f"{path}?{query}").status_code in (200, 422)


def test_a_program_that_ends_a_job_has_canceled_it_and_one_that_removes_it_has_deleted_it(team: Team) -> None:
    browser = team.signed_in("member")
    job_id = team.job("member", ended=False)
    for status in (200, 204):
        answer = browser.delete(f"/api/v1/jobs/{job_id}", headers={HEADER: browser.form_secret()})
        assert answer.status_code == status
    noted = [event["action"] for event in team.services.auth.audit.export(AuditFilter(object=job_id))]
    assert noted == ["deleted", "canceled"]


def test_an_invitation_is_withdrawn_once(team: Team) -> None:
    """Nothing is noted of a form that was sent again, when there is no invitation any longer."""
    admin = team.signed_in("admin")
    form = {"email": "new@example.org", "role": "member", "_csrf_token": admin.form_secret("/account")}
    assert admin.post("/users", data=form).status_code == 200
    for told in (True, False):
        assert admin.post("/users", data=form | {"action": "withdraw"}).status_code == 303
        assert ("The invitation of new@example.org is withdrawn." in admin.get("/users").text) is told
    noted = [event["action"] for event in team.services.auth.audit.export(AuditFilter(object="new@example.org"))]
    assert noted == ["invitation_withdrawn", "user_invited"]
