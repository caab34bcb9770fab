"""History is found by what it is about, page by page, and each page looks at a limited part of it."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from database import history
from database.column_types import week_of
from database.database import Database
from database.history import HistoryFilter, HistoryPage, Place
from database.history_writer import AnsweredRecord, Batch, EndedJob, add_counts, write_history
from database.tables import JobSummary, Outcome, OutcomeSource, PredictionDocument, Visibility

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOSTILE = ["'; DROP TABLE jobs; --", '" OR 1=1 --', "%", "_", "\\", "a'b", "x' UNION SELECT id FROM users --"]


def job(number: int, **fields: Any) -> EndedJob:
    """A job that ended `number` minutes before noon."""
    time = NOON - timedelta(minutes=number)
    row = {
        "id": f"job-{number:03}", "owner": None, "visibility": "private", "name": f"people-{number}.csv",
        "model": "income", "version": "1", "compared_model": None, "compared_version": None, "state": "succeeded",
        "bytes": 10, "rows": 1, "scored": 1, "rejected": 0, "warned": 0, "threshold": None,
        "created": time, "started": time, "finished": time, "week": week_of(time), **fields,
    }  # fmt: skip
    return EndedJob(row, {"prediction:x": 1}, None, {("income", "1", row["week"]): {"jobs": 1}})


def prediction(number: int, record: dict[str, Any], **fields: Any) -> AnsweredRecord:
    time = NOON - timedelta(minutes=number)
    row = {
        "id": f"prediction-{number:03}", "owner": None, "model": "income", "version": "1", "state": "succeeded",
        "prediction": ">50K", "probability": 0.7, "threshold": 0.5, "record_hash": f"hash-{record.get('age')}",
        "time": time, "week": week_of(time), **fields,
    }  # fmt: skip
    return AnsweredRecord(row, {"record": record, "answer": {"prediction": ">50K"}}, {})


def write(database: Database, *entries: EndedJob | AnsweredRecord) -> None:
    jobs = [entry for entry in entries if isinstance(entry, EndedJob)]
    predictions = [entry for entry in entries if isinstance(entry, AnsweredRecord)]
    with database.writing() as connection:
        write_history(connection, Batch(jobs, predictions))


def jobs(database: Database, limit: int = 10, before: Place | None = None, **wanted: Any) -> HistoryPage:
    with database.reading() as connection:
        return history.list_jobs(connection, HistoryFilter(**wanted), limit, before)


def predictions(database: Database, limit: int = 10, before: Place | None = None, **wanted: Any) -> HistoryPage:
    with database.reading() as connection:
        return history.list_predictions(connection, HistoryFilter(**wanted), limit, before)


def numbers(page: HistoryPage) -> list[int]:
    return [int(entry["id"].rpartition("-")[2]) for entry in page.entries]


def test_pages_follow_one_another_newest_first_also_at_one_time(database: Database) -> None:
    write(database, *(job(number, finished=NOON) for number in range(7)))
    seen: list[int] = []
    page = jobs(database, 3)
    while True:
        seen += numbers(page)
        if page.next is None:
            break
        page = jobs(database, 3, page.next)
    assert seen == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [0, 1, 2, 3]),
        ({"owner": "ann"}, [0, 2]),
        ({"model": "other"}, [1]),
        ({"model": "income", "version": "2"}, [3]),
        ({"state": "failed"}, [2]),
        ({"owner": "ann", "state": "failed", "model": "income"}, [2]),
        ({"text": "PEOPLE-1"}, [1]),
        ({"text": "job-003"}, [3]),
        ({"text": "MÜLLER"}, [3]),
        ({"since": NOON - timedelta(minutes=1)}, [0, 1]),
        ({"until": NOON - timedelta(minutes=1)}, [2, 3]),
        ({"since": NOON - timedelta(minutes=2), "until": NOON, "text": "people"}, [1, 2]),
        ({"visible_to": "ann"}, [0, 2, 3]),
        ({"visible_to": "bob"}, [1, 3]),
        ({"visible_to": "eve", "owner": "ann"}, []),
    ],
)
def test_jobs_are_found_by_every_filter(database: Database, wanted: dict[str, Any], found: list[int]) -> None:
    write(
        database,
        job(0, owner="ann"),
        job(1, owner="bob", model="other"),
        job(2, owner="ann", state="failed"),
        job(3, version="2", visibility=Visibility.TEAM, name="Müller, Ä.csv"),
    )
    assert numbers(jobs(database, **wanted)) == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"record_hash": "hash-39"}, [0, 2]),
        ({"record_hash": "hash-39", "owner": "ann"}, [0]),
        ({"text": "private"}, [0, 2]),
        ({"text": "GRÖSSE"}, []),
        ({"text": "größe"}, [1]),
        ({"text": "GRÖßE"}, [1]),
        ({"text": "<=50"}, [1]),
        ({"visible_to": "ann"}, [0]),
        ({"model": "income", "state": "failed"}, [2]),
    ],
)
def test_predictions_are_found_by_what_was_asked_and_answered(
    database: Database, wanted: dict[str, Any], found: list[int]
) -> None:
    write(
        database,
        prediction(0, {"age": 39, "work": "Private"}, owner="ann"),
        prediction(1, {"age": 40, "work": "größe"}, prediction="<=50K", owner="bob"),
        prediction(2, {"age": 39, "work": "Private"}, state="failed"),
    )
    page = predictions(database, **wanted)
    assert numbers(page) == found
    assert all(entry["answer"] == {"prediction": ">50K"} and "age" in entry["record"] for entry in page.entries)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_filter_is_part_of_a_statement(database: Database, text: str) -> None:
    write(database, job(0), job(1, name=f"before {text} after"), prediction(0, {"note": text}), prediction(1, {}))
    assert numbers(jobs(database, text=text)) == [1]
    for name in ("model", "version", "owner", "state"):
        assert numbers(jobs(database, **{name: text})) == []
        assert numbers(predictions(database, **{name: text})) == []
    assert 1 not in numbers(predictions(database, text=text))
    assert numbers(jobs(database)) == [0, 1]


def everything(database: Database, limit: int, **wanted: Any) -> Iterable[int]:
    page = jobs(database, limit, **wanted)
    yield from numbers(page)
    while page.next:
        page = jobs(database, limit, page.next, **wanted)
        yield from numbers(page)


def test_a_search_for_what_is_rare_goes_on_from_page_to_page(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_SEARCHED_ENTRIES", 10)
    write(database, *(job(number, name="rare" if number % 9 == 0 else "common") for number in range(40)))
    first = jobs(database, 5, text="rare")
    assert numbers(first) == [0, 9]
    assert first.next is not None
    assert list(everything(database, 5, text="rare")) == [0, 9, 18, 27, 36]
    assert list(everything(database, 1, text="rare")) == [0, 9, 18, 27, 36]
    assert list(everything(database, 5, text="nothing")) == []


def test_one_entry_is_found_with_all_that_belongs_to_it(database: Database) -> None:
    write(database, job(0), prediction(0, {"age": 39}))
    with database.reading() as connection:
        found = history.find_job(connection, "job-000")
        answered = history.find_prediction(connection, "prediction-000")
        assert history.find_job(connection, "prediction-000") is None
        assert history.find_prediction(connection, "job-000") is None
    assert found is not None
    assert answered is not None
    assert (found["counts"], found["error"]) == ({"prediction:x": 1}, None)
    assert (answered["record"], answered["answer"]) == ({"age": 39}, {"prediction": ">50K"})


def test_what_is_deleted_goes_with_all_that_belongs_to_it(database: Database) -> None:
    write(database, job(0), job(1), prediction(0, {"age": 39}), prediction(1, {}))
    common = {"model": "income", "version": "1", "value": "x", "predicted": "x", "week": NOON.date(), "recorded": NOON}
    outcomes = [
        {"source": OutcomeSource.JOB, "source_id": "job-000", "row": 1},
        {"source": OutcomeSource.PREDICTION, "source_id": "prediction-000", "row": 0},
        {"source": OutcomeSource.JOB, "source_id": "job-001", "row": 1},
    ]
    with database.writing() as connection:
        connection.execute(insert(Outcome), [{**common, **outcome} for outcome in outcomes])
        history.delete_jobs(connection, ["job-000"])
        history.delete_predictions(connection, ["prediction-000"])
    assert (numbers(jobs(database)), numbers(predictions(database))) == ([1], [1])
    with database.reading() as connection:
        assert list(connection.scalars(select(JobSummary.job_id))) == ["job-001"]
        assert list(connection.scalars(select(PredictionDocument.prediction_id))) == ["prediction-001"]
        assert list(connection.scalars(select(Outcome.source_id))) == ["job-001"]
        assert connection.scalar(select(func.sum(history.WeeklyCount.count))) == 2


def test_weekly_counts_are_added_up_by_version(database: Database) -> None:
    monday = date(2026, 11, 23)
    with database.writing() as connection:
        for _ in range(2):
            add_counts(connection, [{("income", "1", monday): {"jobs": 1, "drift:age:3": 5}}] * 2)
        add_counts(connection, [{("income", "2", monday): {"jobs": 1}, ("other", "1", monday): {"single": 1}}])
        add_counts(connection, [{("income", "1", date(2025, 1, 6)): {"jobs": 9}}])
    with database.reading() as connection:
        found = history.weekly_counts(connection, "income", date(2026, 1, 1))
        assert found == {(monday, "1"): {"jobs": 4, "drift:age:3": 20}, (monday, "2"): {"jobs": 1}}
        assert history.weekly_counts(connection, "income", monday, "1", with_values=False) == {
            (monday, "1"): {"jobs": 4}
        }
        assert history.known_models(connection) == ["income", "other"]
