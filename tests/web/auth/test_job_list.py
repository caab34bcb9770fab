"""The page of people with hundreds of jobs: search, sort, several at once."""

import re
from datetime import UTC, datetime
from io import BytesIO
from zipfile import ZipFile

import pytest
from werkzeug.test import TestResponse

from jobs.state import Visibility
from jobs.store import keys
from jobs.store.keys import JobKeys
from tests.web.auth.conftest import Browser, Team


def named(team: Team, name: str, owner: str = "member", at: str = "2026-03-01", **fields: float | str) -> str:
    """A job with a file name, created on a day."""
    job, created = (
        team.job(owner, Visibility.TEAM),
        datetime.fromisoformat(f"{at}T12:00:00").replace(tzinfo=UTC).timestamp(),
    )
    redis = team.services.store.redis
    redis.hset(JobKeys.of(job).job, mapping={"filename": name, "created": created, **fields})
    for list_ in (keys.JOBS, keys.TEAM_JOBS, keys.jobs_of(team.users[owner])):
        redis.zadd(list_, {job: created})
    return job


def shown(response: TestResponse) -> list[str]:
    """The file names on the page, in order."""
    assert response.status_code == 200
    return re.findall(r'<a href="/jobs/[0-9a-f]{32}">([^<]*)</a>', response.get_data(as_text=True))


@pytest.fixture
def client(team: Team) -> Browser:
    named(team, "people.csv", at="2026-03-01", started=100, finished=160, total=10)
    named(team, "People of March.csv", at="2026-03-31", started=100, finished=400, total=5)
    named(team, "loans.csv", owner="other", at="2026-04-01", started=100, finished=101, total=700)
    named(team, "a' OR 1=1.csv", owner="other", at="2026-04-02", started=100, finished=130, total=20, model="credit")
    return team.signed_in("member")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["a&#39; OR 1=1.csv", "loans.csv", "People of March.csv", "people.csv"]),
        ("q=people", ["People of March.csv", "people.csv"]),
        ("q=' OR 1=1", ["a&#39; OR 1=1.csv"]),
        ("q=%", []),
        ("model=credit", ["a&#39; OR 1=1.csv"]),
        ("owner=other", ["a&#39; OR 1=1.csv", "loans.csv"]),
        ("owner=OTHER@example.org&q=loans", ["loans.csv"]),
        ("start=2026-03-31&end=2026-04-01", ["loans.csv", "People of March.csv"]),
        ("end=2026-03-31", ["People of March.csv", "people.csv"]),
        ("start=2026-04-03", []),
        ("start=0001-01-01&end=9999-12-31&q=loans", ["loans.csv"]),
        ("sort=oldest", ["people.csv", "People of March.csv", "loans.csv", "a&#39; OR 1=1.csv"]),
        ("sort=name", ["a&#39; OR 1=1.csv", "loans.csv", "People of March.csv", "people.csv"]),
        ("sort=rows", ["loans.csv", "a&#39; OR 1=1.csv", "people.csv", "People of March.csv"]),
        ("sort=duration", ["People of March.csv", "people.csv", "a&#39; OR 1=1.csv", "loans.csv"]),
        ("sort=duration&q=people", ["People of March.csv", "people.csv"]),
        ("state=failed", []),
    ],
)
def test_jobs_are_searched_and_sorted(client: Browser, query: str, names: list[str]) -> None:
    assert shown(client.get(f"/jobs?{query}")) == names


@pytest.mark.parametrize("query", ["sort=price", "start=yesterday", "end=2026-02-30", "page=0", f"q={'x' * 300}"])
def test_a_search_that_makes_no_sense_is_refused(client: Browser, query: str) -> None:
    assert client.get(f"/jobs?{query}").status_code == 422


@pytest.mark.parametrize("query", ["", "q=people", "sort=rows", "sort=name"])
def test_a_search_goes_on_page_by_page(team: Team, query: str) -> None:
    for number in range(7):
        named(team, f"people {number}.csv", at=f"2026-03-{number + 1:02}")
        named(team, f"loans {number}.csv", at=f"2026-03-{number + 1:02}")
    client, seen = team.signed_in("member"), list[str]()
    address: str | None = f"/jobs?limit=3&{query}"
    for _ in range(20):
        page = client.get(address)
        seen += shown(page)
        older = re.search(r'<a rel="next" href="([^"]+)"', page.get_data(as_text=True))
        if older is None:
            break
        address = older[1].replace("&amp;", "&")
    else:
        pytest.fail("the pages have no end")
    expected = 7 if "people" in query else 14
    assert (len(seen), len(set(seen))) == (expected, expected)


def test_equal_names_are_told_apart(team: Team) -> None:
    ids = [named(team, "people.csv", at=f"2026-03-0{day}") for day in (1, 2)]
    named(team, "loans.csv")
    page = team.signed_in("member").get("/jobs").get_data(as_text=True)
    assert re.findall(r'<code class="apart">(\w+)</code>', page) == [job[:6] for job in ids[::-1]]


def test_several_jobs_are_downloaded_as_one_archive(team: Team) -> None:
    jobs = [named(team, "people.csv"), named(team, "people.csv"), named(team, "loans.csv", owner="other")]
    running = team.job("member", ended=False)
    client = team.signed_in("member")
    form = {"job": [*jobs, running, "nonsense"], "action": "download", "_csrf_token": client.form_secret("/account")}
    with client.post("/jobs/selected", data=form) as response:
        assert response.headers["Content-Type"] == "application/zip"
        packed = ZipFile(BytesIO(response.get_data()))
    assert packed.testzip() is None
    assert sorted(packed.namelist()) == sorted(
        [f"people.{jobs[0][:8]}.scored.csv", f"people.{jobs[1][:8]}.scored.csv", "loans.scored.csv"]
    )
    assert packed.read("loans.scored.csv") == b"a,b,prediction\n1,2,x\n"
    nothing = client.post("/jobs/selected", data=form | {"job": [running]})
    assert nothing.status_code == 409


def test_several_jobs_are_deleted_after_a_question(team: Team) -> None:
    jobs, client = [named(team, "a.csv"), named(team, "b.csv")], team.signed_in("member")
    form = {"job": jobs, "action": "delete", "_csrf_token": client.form_secret("/account")}
    question = client.post("/jobs/selected", data=form)
    assert "Delete 2 jobs?" in question.get_data(as_text=True)
    assert len(shown(client.get("/jobs"))) == 2
    assert client.post("/jobs/selected", data=form | {"action": "confirm"}).status_code == 303
    assert shown(client.get("/jobs")) == []


def test_a_job_that_is_gone_meanwhile_does_not_stop_what_is_done_with_the_others(team: Team) -> None:
    gone, kept, client = named(team, "a.csv"), named(team, "b.csv"), team.signed_in("member")
    team.services.store.remove(gone)
    form = {"job": [gone, kept], "_csrf_token": client.form_secret("/account")}
    with client.post("/jobs/selected", data=form | {"action": "download"}) as response:
        assert ZipFile(BytesIO(response.get_data())).namelist() == ["b.scored.csv"]
    question = client.post("/jobs/selected", data=form | {"action": "delete"}).get_data(as_text=True)
    assert "Delete 1 job?" in question
    assert client.post("/jobs/selected", data=form | {"action": "confirm"}).status_code == 303
    assert client.post("/jobs/selected", data=form | {"action": "delete"}).status_code == 303  # nothing is left


@pytest.mark.parametrize(
    ("search", "address"),
    [
        ("q=a.csv&sort=name", "/jobs?q=a.csv&sort=name"),
        ("", "/jobs"),
        ("sort=price", "/jobs"),
        ("https://evil.example/", "/jobs"),
    ],
)
def test_a_search_is_still_there_after_deleting_some_of_what_it_found(team: Team, search: str, address: str) -> None:
    job, client = named(team, "a.csv"), team.signed_in("member")
    kept = address.partition("?")[2].replace("&", "&amp;")
    assert f'name="search" value="{kept}"' in client.get(address).text
    form = {"job": job, "search": search, "_csrf_token": client.form_secret("/account")}
    question = client.post("/jobs/selected", data=form | {"action": "delete"}).text.replace("&amp;", "&")
    assert f'href="{address}">Keep' in question
    deleted = client.post("/jobs/selected", data=form | {"action": "confirm"})
    assert deleted.headers["Location"] == address


def test_nothing_of_others_is_taken_or_deleted_with_the_own(team: Team) -> None:
    mine, theirs, shared = team.job("member"), team.job("other"), named(team, "team.csv", owner="other")
    client = team.signed_in("member")
    secret = client.form_secret("/account")
    for action, chosen, status in (
        ("download", [mine, theirs], 404),
        ("delete", [mine, theirs], 404),
        ("confirm", [mine, theirs], 404),
        ("confirm", [shared, mine], 403),
    ):
        form = {"job": chosen, "action": action, "_csrf_token": secret}
        assert client.post("/jobs/selected", data=form).status_code == status
    assert all(team.services.store.get(job) for job in (mine, theirs, shared))
    viewer = team.signed_in("viewer")
    form = {"job": [shared], "action": "confirm", "_csrf_token": viewer.form_secret("/account")}
    assert viewer.post("/jobs/selected", data=form).status_code == 403


def test_a_page_costs_the_same_with_many_jobs_of_others(team: Team) -> None:
    """Only the own jobs and those of the team are read."""
    redis, mine = team.services.store.redis, team.job("member")
    redis.zadd(keys.JOBS, {f"{number:032x}": number for number in range(1, 100_001)})
    client = team.signed_in("member")
    for query in ("", "?q=a.csv", "?sort=name"):
        redis.config_resetstat()
        assert mine in client.get(f"/jobs{query}").get_data(as_text=True)
        assert redis.info("commandstats")["cmdstat_hgetall"]["calls"] <= 2
