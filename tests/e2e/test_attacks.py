"""Attacks on one running service: none gets through, none makes it fall, and what belongs to others stays as it was."""

import csv
import io
import itertools
import re
import socket
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.e2e.attacks import ATTACKS, KEY, VICTIM, Attack, request
from tests.e2e.test_jobs_api import FILE, GOOD, HEADER
from tests.e2e.test_security import INSIDES
from tests.e2e.test_slow_clients import clients, head, serves_others
from tests.stack import CSV, Stack

ECHOES = re.compile(rb"text/html.*<script>|root:|\nSet-Cookie", re.IGNORECASE | re.DOTALL)
LEADS = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[+-][0-9.]+")
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass
class Victim:
    """Another's job, and what is to be seen of it."""

    client: httpx.Client
    job: dict[str, Any]
    results: bytes

    def jobs(self) -> list[str]:
        """Ids of all the jobs that there are."""
        return [job["id"] for job in self.client.get("/api/v1/jobs?limit=200").json()["jobs"]]

    def check(self) -> None:
        assert self.client.get(self.job["links"]["self"]).json() == self.job
        assert self.client.get(self.job["links"]["results"]).content == self.results


@pytest.fixture(scope="module")
def victim(service: Stack) -> Iterator[Victim]:
    headers = {**CSV, "Idempotency-Key": KEY, "Prefer": "wait=60"}
    job = service.request("POST", "/api/v1/jobs", content=FILE, headers=headers).json()
    assert job["state"] == "succeeded"
    with service.client() as client:
        yield Victim(client, job, client.get(job["links"]["results"]).content)
        client.delete(job["links"]["self"])


@dataclass
class Before:
    """The processes that serve before all attacks, and how long the log is."""

    webs: set[int]
    logged: int


@pytest.fixture(scope="module", autouse=True)
def before(service: Stack) -> Before:
    return Before(web_processes(service), (service.folder / "log").stat().st_size)


def web_processes(service: Stack) -> set[int]:
    return {process.pid for process in service.processes("gunicorn", "web.wsgi")}


def answer_to(service: Stack, text: bytes) -> bytes:
    """All that comes on a connection on which this is sent."""
    with clients(service, 1) as [connection]:
        connection.settimeout(30)
        try:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # it was answered before all had been sent
            pass
        answer = b""
        try:
            while block := connection.recv(65536):
                answer += block
        except ConnectionResetError:
            pass
        return answer


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_an_attack_is_answered_and_changes_nothing(service: Stack, victim: Victim, attack: Attack) -> None:
    jobs = victim.jobs()
    answer = answer_to(service, attack.text.replace(VICTIM.encode(), victim.job["id"].encode()))
    statuses = [int(status) for status in STATUS.findall(answer)]
    assert statuses == [attack.status], answer[:500]
    assert not ECHOES.search(answer)
    assert not INSIDES.search(answer.decode("utf-8", "replace"))
    victim.check()
    assert victim.jobs() == jobs


def test_the_second_request_on_a_connection_is_looked_at_as_the_first(service: Stack, victim: Victim) -> None:
    first, path = head("GET", "/healthz"), f"/api/v1/jobs/{victim.job['id']}"
    for second, status in (
        (request("DELETE", path, host="evil.example"), 421),
        (request("DELETE", path, "Origin: http://evil.example"), 403),
        (request("DELETE", f"{path}:input"), 404),
        (request("POST", "/api/v1/jobs", "Content-Length: 1", "Transfer-Encoding: chunked", body=b"0"), 400),
    ):
        assert [int(found) for found in STATUS.findall(answer_to(service, first + second))] == [200, status]
    victim.check()


RUNS = [
    "=1+1", "@SUM(1)", "+cmd|x", "-1+1", "\t=1", "a;=1", "a|@x", "a\t-1+1", 'a,"=1', "=HYPERLINK(1)", "==1", "\t\t=1",
    "+-1+1", "-@x", "=cmd|' /C calc'!A0", "@a;+b", "\r=1", "\r\n=1", "-5\n+x", "-5,\n+x", "\n=1", "-1;=2", "+1 =2",
]  # fmt: skip
"""Texts that begin a formula, or would if another delimiter separated fields."""


def table_of(delimiter: str, text: str) -> bytes:
    """A file with a scored and a rejected row, each with the text beside it, under a header that is a formula."""
    target = io.StringIO(newline="")
    rows = [[*row.split(","), text] for row in (GOOD, GOOD.replace("39", "x"))]
    csv.writer(target, delimiter=delimiter).writerows([[*HEADER.split(","), "=note"], *rows])
    return target.getvalue().encode()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("text", RUNS)
def test_no_spreadsheet_runs_what_was_in_a_file(service: Stack, text: str, delimiter: str) -> None:
    """Whichever delimiter it takes, no cell of the results or the rejects begins a formula."""
    job = service.upload(table_of(delimiter, text)).json()
    files = [service.get(job["links"][name], params={"escape": "formulas"}) for name in ("results", "rejects")]
    files += [service.get(job["links"]["results"], params={"format": "excel-csv"})]
    files += [service.get(job["links"]["rejects"], params={"shape": "records", "escape": "formulas"})]
    # A spreadsheet that takes another delimiter than the file's does not see the ends of its lines within quotes.
    readers = [delimiter] if set(text) & {"\r", "\n"} else [",", ";", "\t", "|"]
    for file, reader in itertools.product(files, readers):
        assert file.status_code == 200
        for row in csv.reader(io.StringIO(file.text.removeprefix("\ufeff"), newline=""), delimiter=reader):
            assert not [cell for cell in row if cell.lstrip("\n")[:1] in LEADS and not NUMBER.fullmatch(cell)], row
    service.request("DELETE", job["links"]["self"])


def test_no_workbook_holds_a_formula(service: Stack) -> None:
    rows = b"".join(table_of(",", text).partition(b"\n")[2] for text in RUNS)
    job = service.upload(table_of(",", "").partition(b"\n")[0] + b"\n" + rows).json()
    with zipfile.ZipFile(io.BytesIO(service.get(job["links"]["results"], params={"format": "xlsx"}).content)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml")
        assert sheet.count(b"<row ") == 1 + 2 * len(RUNS)
        assert not re.search(rb"<f[ >/]|hyperlink", sheet)
    service.request("DELETE", job["links"]["self"])


def test_whoever_stops_in_the_middle_of_an_attack_holds_up_nobody(service: Stack) -> None:
    with ExitStack() as stack:
        for attack in ATTACKS:
            stack.enter_context(clients(service, 1, attack.text[: min(len(attack.text) // 2, 4_000)]))
        serves_others(service)


def test_after_all_of_them_the_same_processes_serve_and_none_has_failed(
    service: Stack, victim: Victim, before: Before
) -> None:
    serves_others(service)
    victim.check()
    assert web_processes(service) == before.webs
    log = (service.folder / "log").read_bytes()[before.logged :]
    assert not re.search(rb"Traceback|request failed|internal_error", log)


def test_there_are_enough_of_them_and_each_has_a_name() -> None:
    assert len(ATTACKS) >= 150
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
