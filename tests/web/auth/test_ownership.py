"""Every route as every kind of user: whoever adds a route says here who may use it.

The job, the prediction, the token and the user in an address are the member's own. A status of 422 or 415 means that
the request got past the guard and was only not well formed.
"""

import csv
import io
import re

import pytest

from database.tables import Role
from jobs.state import Visibility
from jobs.store.prediction_store import new_id
from tests.web.auth.conftest import HEADER, Browser, Team
from web.auth.access import RULES

WHO = ("nobody", "viewer", "member", "other", "modeller", "admin")
"""``other`` is another member."""

TABLE = """
method path                                              nobody viewer member other modeller admin
GET    /healthz                                          200    200    200    200   200      200
GET    /readyz                                           503    503    503    503   503      503
GET    /metrics                                          200    200    200    200   200      200
GET    /static/<filename>                                200    200    200    200   200      200
GET    /api/v1/errors                                    200    200    200    200   200      200
GET    /api/v1/errors/<code>                             200    200    200    200   200      200
GET    /api/v1/docs/assets/<name>                        200    200    200    200   200      200
GET    /api/v1/docs                                      401    200    200    200   200      200
GET    /api/v1/openapi.json                              401    200    200    200   200      200
GET    /api/v1/models                                    401    200    200    200   200      200
GET    /api/v1/models/<model>                            401    200    200    200   200      200
GET    /api/v1/models/<model>/versions                   401    200    200    200   200      200
GET    /api/v1/models/<model>/sample.csv                 401    200    200    200   200      200
GET    /api/v1/jobs                                      401    200    200    200   200      200
POST   /api/v1/jobs                                      401    403    422    422   422      422
POST   /api/v1/score                                     401    403    422    422   422      422
PUT    /api/v1/score                                     401    403    422    422   422      422
POST   /api/v1/preflight                                 401    403    422    422   422      422
GET    /api/v1/jobs/<job>                                401    404    200    404   404      200
GET    /api/v1/jobs/<job>/results                        401    404    200    404   404      200
GET    /api/v1/jobs/<job>/rejects                        401    404    200    404   404      200
GET    /api/v1/jobs/<job>/rejects/records                401    404    200    404   404      200
POST   /api/v1/jobs/<job>/corrections                    401    403    422    404   404      422
GET    /api/v1/jobs/<job>/summary                        401    404    200    404   404      200
GET    /api/v1/jobs/<job>/events                         401    404    200    404   404      200
DELETE /api/v1/jobs/<job>                                401    403    204    404   404      204
POST   /api/v1/predictions                               401    403    415    415   415      415
GET    /api/v1/predictions/<prediction>                  401    404    202    404   404      202
GET    /api/v1/history/jobs                              401    200    200    200   200      200
DELETE /api/v1/history/jobs                              401    403    403    403   403      422
GET    /api/v1/history/jobs/<entry>                      401    404    200    404   404      200
GET    /api/v1/history/predictions                       401    200    200    200   200      200
DELETE /api/v1/history/predictions                       401    403    403    403   403      422
GET    /api/v1/history/predictions/<answered>            401    404    200    404   404      200
POST   /api/v1/models/<model>/outcomes                   401    403    422    422   422      422
GET    /api/v1/models/<model>/outcomes                   401    200    200    200   200      200
GET    /api/v1/tokens                                    401    200    200    200   200      200
POST   /api/v1/tokens                                    401    415    415    415   415      415
DELETE /api/v1/tokens/<token>                            401    404    204    404   404      204
GET    /                                                 303    200    200    200   200      200
GET    /models/<model>                                   303    200    200    200   200      200
GET    /models/<model>/prediction                        303    403    303    303   303      303
POST   /models/<model>/prediction                        303    403    422    422   422      422
GET    /models/<model>/versions/<version>                303    200    200    200   200      200
GET    /models/<model>/versions/<version>/prediction     303    403    303    303   303      303
POST   /models/<model>/versions/<version>/prediction     303    403    422    422   422      422
GET    /probability                                      303    403    422    422   422      422
POST   /probability                                      303    403    422    422   422      422
GET    /predictions/<prediction>                         303    404    202    404   404      202
GET    /jobs                                             303    200    200    200   200      200
POST   /jobs                                             303    403    422    422   422      422
GET    /jobs/selected                                    303    303    303    303   303      303
POST   /jobs/selected                                    303    303    303    303   303      303
GET    /jobs/<job>                                       303    404    200    404   404      200
GET    /jobs/<job>/again                                 303    404    303    404   404      303
POST   /jobs/<job>/again                                 303    403    422    404   404      422
GET    /jobs/<job>/corrections                           303    404    303    404   404      303
POST   /jobs/<job>/corrections                           303    403    422    404   404      422
GET    /jobs/<job>/cancel                                303    404    303    404   404      303
POST   /jobs/<job>/cancel                                303    403    303    404   404      303
GET    /jobs/<job>/delete                                303    404    303    404   404      303
POST   /jobs/<job>/delete                                303    403    303    404   404      303
GET    /history                                          303    200    200    200   200      200
GET    /history/predictions                              303    200    200    200   200      200
GET    /history/deletion                                 303    403    403    403   403      422
POST   /history/deletion                                 303    403    403    403   403      422
GET    /history/predictions/deletion                     303    403    403    403   403      422
POST   /history/predictions/deletion                     303    403    403    403   403      422
GET    /history/jobs/<entry>                             303    404    200    404   404      200
GET    /history/predictions/<answered>                   303    404    200    404   404      200
GET    /signin                                           200    303    303    303   303      303
POST   /signin                                           422    422    422    422   422      422
GET    /signin/provider                                  404    404    404    404   404      404
GET    /signin/provider/back                             404    404    404    404   404      404
GET    /welcome/<code>                                   404    404    404    404   404      404
POST   /welcome/<code>                                   404    404    404    404   404      404
POST   /signout                                          303    303    303    303   303      303
POST   /signout-everywhere                               303    303    303    303   303      303
GET    /account                                          303    200    200    200   200      200
POST   /account/password                                 303    422    422    422   422      422
GET    /tokens                                           303    200    200    200   200      200
POST   /tokens                                           303    422    422    422   422      422
POST   /tokens/<token>/revoke                            303    404    303    404   404      303
GET    /users                                            303    403    403    403   403      200
POST   /users                                            303    403    403    403   403      422
POST   /users/<user>                                     303    403    403    403   403      303
GET    /audit                                            303    403    403    403   403      200
GET    /audit.csv                                        303    403    403    403   403      200
"""

ROWS = [line.split() for line in TABLE.strip().splitlines()[1:]]
FOR_PERSONS = ("/api/v1/tokens", "/api/v1/tokens/<token>")


def route(rule: str) -> str:
    """A route as the table writes it."""
    if "/history/" in rule:
        rule = rule.replace("<job:job_id>", "<entry>").replace("<prediction:prediction_id>", "<answered>")
    return re.sub(r"<(?:\w+:)?(\w+?)(?:_id)?>", r"<\1>", rule).replace("/models/<name>", "/models/<model>")


def address(team: Team, path: str) -> str:
    """The path with things in it that belong to the member."""
    makers = {
        "job": lambda: team.job("member"),
        "entry": lambda: team.history_job("member"),
        "answered": lambda: team.history_prediction("member"),
        "prediction": lambda: team.prediction("member"),
        "token": lambda: team.services.auth.credentials.add_token(
            new_id(), "scl_x", team.users["member"], "t", [], None
        ),
        "user": lambda: team.users["member"],
        "model": lambda: "income",
        "version": lambda: str(team.services.catalog.card("income").version),
        "filename": lambda: "page.js",
        "name": lambda: "swagger-ui.css" if "css" in path else "css/swagger-ui.css",
        "code": lambda: "not_ready",
    }
    return re.sub(r"<(\w+)>", lambda match: makers[match[1]](), path)


def test_every_route_is_in_the_table_and_has_a_rule(team: Team) -> None:
    rules = list(team.app.url_map.iter_rules())
    found = {
        (method, route(rule.rule))
        for rule in rules
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert {(method, path) for method, path, *_ in ROWS} == found
    assert {rule.endpoint for rule in rules} == set(RULES)


@pytest.mark.parametrize("who", WHO)
def test_who_signs_in_may_do_what_the_table_says(team: Team, who: str) -> None:
    column = 2 + WHO.index(who)
    got, client = [], team.client() if who == "nobody" else team.signed_in(who)
    for row in ROWS:
        got.append(f"{row[0]} {row[1]} {ask(client, row[0], address(team, row[1]))}")
        if row[1].startswith("/signout") and who != "nobody":
            client = team.signed_in(who)
    assert got == [f"{row[0]} {row[1]} {row[column]}" for row in ROWS]


def ask(client: Browser, method: str, path: str) -> int:
    headers = {}
    if method != "GET" and (client.get_cookie("scoreline_session") or not path.startswith("/api/")):
        headers = {HEADER: client.form_secret("/account")}
    with client.open(path, method=method, headers=headers) as response:
        return response.status_code


@pytest.mark.parametrize("who", WHO[1:])
def test_a_token_with_all_scopes_of_its_user_may_do_the_same(team: Team, who: str) -> None:
    column, scopes = 2 + WHO.index(who), ["read", "score", "models", "admin"]
    role = next(user.role for user in team.services.auth.users.all() if user.name == who)
    token = team.token(who, *scopes[: 1 + list(Role).index(role)])
    for row in (row for row in ROWS if row[1].startswith("/api/")):
        expected = int(row[column])
        if row[1] in FOR_PERSONS and who != "admin":
            expected = 403
        with team.client().open(address(team, row[1]), method=row[0], headers=token) as response:
            assert (row[1], response.status_code) == (row[1], expected)


def test_what_the_team_sees_others_may_not_change(team: Team) -> None:
    for who, seen, changed in (("viewer", 200, 403), ("other", 200, 403), ("member", 200, 204), ("admin", 200, 204)):
        job, client = team.job("member", Visibility.TEAM), team.signed_in(who)
        assert client.get(f"/api/v1/jobs/{job}/results").status_code == seen
        assert job in client.get("/jobs").get_data(as_text=True)
        assert client.delete(f"/api/v1/jobs/{job}", headers={HEADER: client.form_secret("/")}).status_code == changed
    running = team.job("member", Visibility.TEAM, ended=False)
    other = team.signed_in("other")
    assert other.post(f"/jobs/{running}/cancel", headers={HEADER: other.form_secret("/")}).status_code == 403
    admin = team.signed_in("admin")
    assert admin.post(f"/jobs/{running}/cancel", headers={HEADER: admin.form_secret("/")}).status_code == 303


def test_lists_hold_what_one_may_see(team: Team) -> None:
    mine, others, shared = team.job("member"), team.job("other"), team.job("other", Visibility.TEAM)
    listed = {
        who: [job["id"] for job in team.signed_in(who).get("/api/v1/jobs").json["jobs"]]  # type: ignore[index]
        for who in ("viewer", "member", "other", "admin")
    }
    assert listed == {
        "viewer": [shared],
        "member": [shared, mine],
        "other": [shared, others],
        "admin": [shared, others, mine],
    }


def test_the_history_shows_what_one_may_see(team: Team) -> None:
    mine, others = team.history_job("member"), team.history_job("other")
    shared, asked = team.history_job("other", Visibility.TEAM), team.history_prediction("member")
    seen = {}
    for who in ("viewer", "member", "other", "admin"):
        client = team.signed_in(who)
        jobs = client.get("/api/v1/history/jobs").json["jobs"]  # type: ignore[index]
        predictions = client.get("/api/v1/history/predictions?format=csv").get_data(as_text=True)
        page = client.get("/history").get_data(as_text=True)
        assert all((job["id"] in page) for job in jobs)
        seen[who] = ({job["id"] for job in jobs}, asked in predictions)
    assert seen == {
        "viewer": ({shared}, False),
        "member": ({mine, shared}, True),
        "other": ({others, shared}, False),
        "admin": ({mine, others, shared}, True),
    }
    # A filter by owner shows no more.
    found = team.signed_in("other").get("/api/v1/history/jobs", query_string={"owner": team.users["member"]})
    assert found.json["jobs"] == []  # type: ignore[index]


def test_the_history_names_owners_as_the_list_of_jobs_does(team: Team) -> None:
    team.history_job("member")
    team.history_prediction("member")
    client, email = team.signed_in("admin"), "member@example.org"
    for kind in ("jobs", "predictions"):
        [listed] = client.get(f"/api/v1/history/{kind}?owner={email}").json[kind]  # type: ignore[index]
        assert listed["owner"] == email
        assert client.get(listed["links"]["self"]).json["owner"] == email  # type: ignore[index]
        [row] = csv.DictReader(io.StringIO(client.get(f"/api/v1/history/{kind}?format=csv").text))
        assert row["owner"] == email


def test_outcomes_are_taken_for_what_one_may_see_only(team: Team) -> None:
    line = f"prediction,value\n{team.history_prediction('member')},>50K\n"
    for who, accepted in (("other", 0), ("member", 1)):
        token = team.token(who, "read", "score")
        answer = team.client().post("/api/v1/models/income/outcomes", data=line, headers=token, content_type="text/csv")
        assert answer.json["accepted"] == accepted, answer.json  # type: ignore[index]
