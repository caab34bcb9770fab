"""A person's data is found by user or text, and deleted by an administrator after one more question."""

import re

from database.audit import AuditFilter
from tests.web.auth.conftest import Team

MEMBER = "member@example.org"


def test_an_administrator_deletes_what_a_user_asked_for(team: Team) -> None:
    mine, others, job = team.history_prediction("member"), team.history_prediction("other"), team.history_job("member")
    admin = team.signed_in("admin")
    assert "Delete all that match" not in admin.get("/history/predictions").get_data(as_text=True)
    page = admin.get("/history/predictions", query_string={"owner": MEMBER.upper()}).get_data(as_text=True)
    assert mine in page
    assert others not in page
    link = re.search(r'href="(/history/predictions/deletion\?[^"]+)"', page)
    assert link
    asked = admin.get(link[1].replace("&amp;", "&")).get_data(as_text=True)
    assert "deletes 1 prediction," in asked
    form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', asked))
    done = admin.post("/history/predictions/deletion", data=form)
    assert "1 prediction was deleted" in done.get_data(as_text=True)
    kept = admin.get("/history/predictions").get_data(as_text=True)
    assert (mine in kept, others in kept) == (False, True)
    assert job in admin.get("/history").get_data(as_text=True)


def test_the_audit_log_says_by_which_filters_but_not_which_text(team: Team) -> None:
    team.history_prediction("member")
    headers = team.token("admin", "read", "admin")
    filters = {"q": "39", "model": "income"}
    deleted = team.client().delete("/api/v1/history/predictions", query_string=filters, headers=headers)
    assert deleted.json == {"deleted": 1}
    [event] = team.services.auth.audit.page(AuditFilter(action="deleted"), 10)
    assert (event.actor, event.object) == ("admin@example.org", "history of predictions")
    assert event.details == {"entries": 1, "model": "income"}


def test_others_see_no_way_to_delete_history(team: Team) -> None:
    team.history_job("member")
    page = team.signed_in("member").get("/history?model=income").get_data(as_text=True)
    assert "people.csv" in page
    assert "deletion" not in page


def test_nothing_is_deleted_without_a_filter(team: Team) -> None:
    job, admin = team.history_job("member"), team.signed_in("admin")
    secret = admin.form_secret("/account")
    for form in ({}, {"model": "", "limit": "1", "cursor": "1-0"}):
        assert admin.post("/history/deletion", data={"_csrf_token": secret, **form}).status_code == 422
    assert job in admin.get("/history").get_data(as_text=True)


def test_a_mistyped_filter_deletes_nothing(team: Team) -> None:
    """Without the filter that was meant, more would match."""
    team.history_job("member")
    headers = team.token("admin", "read", "admin")
    for query in ({"model": "income", "onwer": MEMBER}, {"model": "income", "limit": "1"}):
        refused = team.client().delete("/api/v1/history/jobs", query_string=query, headers=headers)
        assert refused.status_code == 422
        assert refused.json["errors"][0]["column"] == [*query][1]
    jobs = team.client().get("/api/v1/history/jobs", headers=headers).json
    assert len(jobs["jobs"]) == 1
