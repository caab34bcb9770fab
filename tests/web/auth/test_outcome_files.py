"""Files of what really happened, as people and programs send them."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event, func, select

from database.tables import Outcome
from jobs.csv.dialect import Dialect
from jobs.errors import Detail
from jobs.messages import InputChunk
from jobs.store.chunks import NewJob, ScoredChunk
from jobs.store.prediction_store import new_id
from model.card import ModelKind
from tests.jobs.store.conftest import NEW
from tests.web.auth.conftest import Team
from web.outcomes.matching import match_jobs
from web.outcomes.reading import GivenOutcome, read_outcomes


def job_of(team: Team, rows: int, line: bytes = b"1,2,>50K,0.75,\n", **changed: Any) -> str:
    """A job of a member, with the same results for each row."""
    version = team.services.catalog.card("income").version
    header = {"header": b"a,b,prediction,probability,error", "input_header": b"a,b"}
    new: NewJob = replace(NEW, **{"id": new_id(), "version": version, "owner": team.owner("member")} | header | changed)
    store = team.services.store
    store.begin(new)
    store.append(new.id, 0, InputChunk(1, rows, b"1,2\n" * rows))
    store.seal(new.id, total=rows)
    store.record(new.id, 0, ScoredChunk(line * rows, b"", rows, 0, summary={"prediction:>50K": rows}))
    return new.id


def send(team: Team, data: bytes) -> Any:
    token = team.token("member", "score")
    path, kind = "/api/v1/models/income/outcomes", "text/csv"
    return team.client().post(path, data=data, content_type=kind, headers=token)


def stored(team: Team) -> list[tuple[str, str, float | None]]:
    with team.services.database.reading() as connection:
        rows = connection.execute(select(Outcome.value, Outcome.predicted, Outcome.probability).order_by(Outcome.row))
        return [(row[0], row[1], row[2]) for row in rows]


def test_a_large_file_is_written_in_steps_between_which_others_write(team: Team) -> None:
    job_id, written = job_of(team, 10_000), [0]

    def note(connection: Any) -> None:
        written.append(connection.scalar(select(func.count()).select_from(Outcome)))

    event.listen(team.services.database.engine, "commit", note)
    lines = "".join(f"{job_id},{row},<=50K\n" for row in range(1, 10_001))
    assert send(team, f"job,row,value\n{lines}".encode()).json == {"accepted": 10_000, "rejected": 0, "errors": []}
    steps = [after - before for before, after in pairwise(written)]
    assert (sum(steps), max(steps) <= 2000) == (10_000, True)


def test_lines_before_the_header_of_a_scored_file_do_not_cost_the_probabilities(team: Team) -> None:
    title = b'Customers, all of "them"\n\n'
    dialect = NEW.dialect.with_(skipped_lines=2)
    job_id = job_of(team, 1, header=title + b"a,b,prediction,probability,error", dialect=dialect)
    assert send(team, f"job,row,value\n{job_id},1,<=50K\n".encode()).json["accepted"] == 1
    assert stored(team) == [("<=50K", ">50K", 0.75)]


AS_SAVED = {
    "Excel with semicolons": "\ufeffjob;row;value\r\n{job};1;<=50K\r\n".encode(),
    "Excel's note of the delimiter": b"sep=;\r\njob;row;value\r\n{job};1;<=50K\r\n",
    "Excel's Unicode text": "job\trow\tvalue\r\n{job}\t1\t<=50K\r\n".encode("utf-16"),
    "further columns": b"job,customer,row,value,note\n{job},Ann,1,<=50K,late\n",
    "names in capitals, with spaces": b"Job, Row ,VALUE\n{job}, 1 , <=50k \n",
    "results with their outcome": b"value,job,row\n<=50K,{job},01\n",
    "lines of nothing but delimiters": b"job,row,value\n{job},1,<=50K\n,,\n,,\n\n",
    "ids in capitals": b"job,row,value\n{JOB},1,<=50K\n",
}


@pytest.mark.parametrize("saved", AS_SAVED.values(), ids=AS_SAVED)
def test_a_file_is_taken_as_spreadsheets_save_it(team: Team, saved: bytes) -> None:
    job_id = job_of(team, 1)
    encoding = "utf-16" if saved.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    text = saved.decode(encoding).replace("{job}", job_id).replace("{JOB}", job_id.upper())
    assert send(team, text.encode(encoding)).json == {"accepted": 1, "rejected": 0, "errors": []}
    assert stored(team) == [("<=50K", ">50K", 0.75)]


def test_numbers_are_those_of_the_files_decimal_mark(team: Team) -> None:
    card = team.services.catalog.card("income").model_copy(update={"kind": ModelKind.REGRESSOR})
    line, header = b"1;2;1234,5;\n", {"header": b"a;b;prediction;error", "input_header": b"a;b", "delimiter": ";"}
    job_id = job_of(team, 3, line=line, dialect=Dialect(decimal=","), **header)
    told = f"job;row;value\n{job_id};1;1.300,5\n{job_id};2;1_000\n{job_id};3;,5\n"
    first, bad, last = read_outcomes(told.encode(), card)
    assert isinstance(bad, Detail)
    assert bad.code == "not_a_number"
    with team.app.test_request_context():
        given = [outcome for outcome in (first, last) if isinstance(outcome, GivenOutcome)]
        matched = [match for match in match_jobs(team.services.store, given, card) if isinstance(match, dict)]
    assert [(row["value"], row["predicted"]) for row in matched] == [("1300.5", "1234.5"), (".5", "1234.5")]
    [unclear, _] = read_outcomes(f"job;row;value\n{job_id};1;1.300\n{job_id};2;1.300,5\n".encode(), card)
    assert isinstance(unclear, Detail)
    assert unclear.code == "ambiguous_number"
