"""Files as people have them, through the running service: they come out as they went in, with our columns."""

import csv
import io
from typing import Any

import pytest

from tests.stack import Stack

HEADER = "age,workclass,education,marital_status,race,sex,hours_per_week"
PEOPLE = [
    ["39", "State-gov", "Bachelors", "Never-married", "White", "Male", "40"],
    ["28", "Private", "Masters", "Married-civ-spouse", "Black", "Female", "45"],
    ["51", "?", "HS-grad", "Divorced", "White", "Female", "20"],
] * 3
NAMES = HEADER.split(",")


def file_of(delimiter: str = ",", line_end: str = "\n", quote: str = "", people: list[list[str]] = PEOPLE) -> str:
    """The people as a file, every second field in the quotes."""
    lines = [NAMES, *people]
    quoted = [[f"{quote}{text}{quote}" if at % 2 else text for at, text in enumerate(line)] for line in lines]
    return "".join(delimiter.join(line) + line_end for line in quoted)


@pytest.fixture(scope="module")
def plain(service: Stack) -> list[tuple[str, str]]:
    """Predictions and probabilities of the people."""
    _, results = service.score(file_of().encode())
    rows = csv.DictReader(io.StringIO(results.decode(), newline=""))
    return [(row["prediction"], row["probability"]) for row in rows]


def scored(
    text: str, plain: list[tuple[str, str]], delimiter: str = ",", line_end: str = "\n", decimal: str = "."
) -> str:
    """The file with our columns."""
    lines = text.split(line_end)
    at = next(at for at, line in enumerate(lines) if "education" in line.lower())
    lines[at] += delimiter + delimiter.join(["prediction", "probability", "error"])
    for row, answer in enumerate(plain, at + 1):
        lines[row] += delimiter + delimiter.join(answer).replace(".", decimal) + delimiter
    return line_end.join(lines)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "semicolons": (file_of(";", "\r\n", '"'), {"delimiter": ";", "line_end": "\r\n"}),
    "carets": (file_of("^"), {"delimiter": "^"}),
    "tildes": (file_of("~", quote='"'), {"delimiter": "~"}),
    "runs of spaces": (file_of("  ", quote='"').replace("\n", "  \n"), {"delimiter": " "}),
    "another delimiter": (file_of("§"), {"delimiter": "§", "query": {"delimiter": "§"}}),
    "carriage returns": (file_of(line_end="\r", quote='"'), {"line_end": "\r"}),
    "apostrophes": (file_of(quote="'"), {}),
    "spaces before quotes": (file_of(" , ", quote='"'), {}),
    "backslashes": (
        f"note,{HEADER}\n" + "".join(f'"say \\"hi, you\\"",{line}\n' for line in file_of().splitlines()[1:]),
        {},
    ),
    "a title, a comment and a blank line": ("People of 2024\n# by hand, all\n\n" + file_of(), {"skipped_lines": 3}),
    "titles": (file_of(";").replace("age", "AGE").replace("workclass", "Work class"), {"delimiter": ";"}),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("case", CASES)
def test_a_file_comes_back_byte_for_byte_with_our_columns(
    service: Stack, plain: list[tuple[str, str]], case: str, encoding: str
) -> None:
    text, told = CASES[case]
    given = told.get("query", {}) | ({"encoding": encoding} if encoding == "cp1252" else {})
    delimiter, line_end = told.get("delimiter", ","), told.get("line_end", "\n")
    job, results = service.score(text.encode(encoding), **given)
    assert job["rows"] == {"total": 9, "scored": 9, "rejected": 0, "warned": 0, "repaired": 0}, case
    assert (job["delimiter"], job["skipped_lines"]) == (delimiter, told.get("skipped_lines", 0))
    wanted = scored(text, plain, delimiter, line_end)
    if case in ("apostrophes",):
        wanted = wanted.replace('"', "'")
    assert results.decode(encoding) == wanted


GERMAN = (
    "Auswertung Personen;;;;;;;\r\n"
    "\r\n"
    "Age;Work class;Education;Marital status;Race;Sex;Hours per week;Einkommen\r\n"
    "39,0;State-gov;Bachelors;Never-married;White;Male;40;1.234,56 €\r\n"
    "28;Private;Masters;Married-civ-spouse;Black;Femal;45,00;-2.000,10\r\n"
    "28;Private;Masters;Married-civ-spouse;Black;Female;45;Müller\r\n"
    "Age;Work class;Education;Marital status;Race;Sex;Hours per week;Einkommen\r\n"
    "51;?;HS-grad;Divorced;White;Female;20;5\r\n"
    "Summe;;;;;;;1.234,56\r\n"
)


def test_a_german_export_is_read_as_it_was_meant(service: Stack, plain: list[tuple[str, str]]) -> None:
    job, results = service.score(GERMAN.encode("cp1252"), filename="personen.csv")
    assert job["rows"] == {"total": 6, "scored": 3, "rejected": 3, "warned": 0, "repaired": 0}
    told = {name: job[name] for name in ("encoding", "delimiter", "decimal", "skipped_lines")}
    assert told == {"encoding": "windows-1252", "delimiter": ";", "decimal": ",", "skipped_lines": 2}
    lines = results.decode("cp1252").split("\r\n")
    assert [line.partition(";prediction")[0] for line in lines[:3]] == GERMAN.split("\r\n")[:3]
    answers = [(prediction, probability.replace(".", ",")) for prediction, probability in plain]
    assert lines[3] == GERMAN.split("\r\n")[3] + ";" + ";".join(answers[0]) + ";"
    assert lines[5].endswith("Müller;" + ";".join(answers[1]) + ";")
    assert lines[7].endswith(";5;" + ";".join(answers[2]) + ";")
    rejects = service.get(job["links"]["rejects"]).content.decode("cp1252").splitlines()
    assert [line.split(";")[:4] for line in rejects[1:]] == [
        ["2", "sex", "Femal", "unknown_category"],
        ["4", "", "", "repeated_header"],
        ["6", "", "", "totals_line"],
    ]
    escaped = service.get(job["links"]["results"], params={"escape": "formulas"}).content.decode("cp1252")
    assert ";-2.000,10;" in escaped


def test_ambiguous_numbers_are_never_guessed(service: Stack) -> None:
    people = [[*PEOPLE[0]] for _ in range(3)]
    people[0][6], people[1][6], people[2][6] = "40,0", "1.234", "41,0"
    text = file_of(";", people=people).encode()
    job, results = service.score(text)
    assert (job["decimal"], job["rows"]["rejected"]) == (",", 1)
    assert b"ambiguous_number in hours_per_week: '1.234' may have" in results
    given, results = service.score(text, decimal=",")
    assert b"out_of_range in hours_per_week: 1.234 is outside" in results
    given, results = service.score(text, decimal=".")
    assert given["rows"]["rejected"] == 3
    assert b"0.150521" not in results


def test_with_commas_between_fields_a_decimal_comma_is_stated_and_quoted(service: Stack) -> None:
    text = file_of().replace(",40\n", ',"40,0"\n').encode()
    job, results = service.score(text, decimal=",")
    assert (job["decimal"], job["rows"]["rejected"]) == (",", 0)
    assert b'White,Male,"40,0",<=50K,"0,150521",\n' in results


@pytest.mark.parametrize(("last", "code"), [
    ("Total,,,,,,\n", "totals_line"), ("grand total,,,,,,400\n", "totals_line"), (",,,,,Σ,81\n", "totals_line"),
    ("Summe:,,,,,,400\n\n\n", "totals_line"), ("TOTAL,,\n", "totals_line"),
    ("total,Private,Masters,Divorced,Black,Female,45\n", "not_a_number"),
    ("Total,,,,,,\n" + ",".join(PEOPLE[0]) + "\n", "not_a_number"),
])  # fmt: skip
def test_totals_at_the_end_are_rejected_with_one_fault(service: Stack, last: str, code: str) -> None:
    job, _ = service.score((file_of() + last).encode())
    assert job["rows"]["rejected"] == 1
    lines = service.get(job["links"]["rejects"]).text.splitlines()
    assert lines[1].split(",")[0] == "10"
    assert lines[1].split(",")[3] == code
    assert len(lines) == 2 or code == "not_a_number"


def refused(service: Stack, text: str, **query: str) -> dict[str, Any]:
    """The problem with which an upload is refused."""
    response = service.upload(text.encode(), **query)
    assert response.status_code == 422
    problem: dict[str, Any] = response.json()
    return problem


@pytest.mark.parametrize(("parameter", "value"), [("decimal", "x"), ("delimiter", "ab"), ("delimiter", '"')])
def test_parameters_that_make_no_sense_are_refused(service: Stack, parameter: str, value: str) -> None:
    problem = refused(service, file_of(), **{parameter: value})
    assert (problem["code"], problem["errors"][0]["column"]) == ("bad_parameter", parameter)


def test_a_refusal_says_what_was_taken_as_the_header(service: Stack) -> None:
    problem = refused(service, file_of(";").replace("sex", "seks"))
    assert problem["detail"].endswith("; line 1 was taken as the header, with a semicolon as delimiter")
    rows = "".join("39;State-gov\n" for _ in range(30))
    problem = refused(service, file_of(";", people=[]) + rows)
    assert problem["code"] == "no_row_fits"


def test_the_preflight_tells_all_of_it(service: Stack) -> None:
    report = service.request(
        "POST", "/api/v1/preflight", content=GERMAN.encode("cp1252"), headers={"Content-Type": "text/csv"}
    ).json()
    told = {name: report[name] for name in ("encoding", "delimiter", "decimal", "skipped_lines", "quote", "rows_seen")}
    assert told == {
        "encoding": "windows-1252", "delimiter": ";", "decimal": ",", "skipped_lines": 2, "quote": '"', "rows_seen": 6,
    }  # fmt: skip
    assert {fault["code"]: fault["count"] for fault in report["faults"]} == {
        "unknown_category": 1, "repeated_header": 1, "totals_line": 1,
    }  # fmt: skip
    assert report["examples"][0]["probability"] == 0.150521
    assert len(report["notes"]) == 5


@pytest.mark.parametrize("end", ["", '"Private', "Total;;;;;;"])
def test_the_preflight_of_a_whole_file_counts_what_the_job_does(service: Stack, end: str) -> None:
    # Nothing after the last record shows that the file ends there; the client knows it.
    data = (file_of(";") + end).rstrip("\n").encode()
    sent = {"content": data, "headers": {"Content-Type": "text/csv"}}
    report = service.request("POST", "/api/v1/preflight", params={"whole": "true"}, **sent).json()
    job, _ = service.score(data)
    rejects = service.get(job["links"]["summary"]).json()["rejects"]
    assert report["complete"]
    assert report["rows_seen"] == job["rows"]["total"]
    assert [report["faults"].count(fault) for fault in rejects] == [1] * len(report["faults"])
    assert not service.request("POST", "/api/v1/preflight", **sent).json()["complete"]


def test_results_are_scored_once_more_without_their_old_columns(service: Stack) -> None:
    text = file_of(";").replace("28;", "abc;", 1)
    _, once = service.score(text.encode(), explain=1)
    _, added = service.score(once)
    assert b";prediction_2;probability_2;error_2\n" in added
    _, dropped = service.score(once, drop_results="true", explain=1)
    assert dropped == once
    report = service.request(
        "POST", "/api/v1/preflight", content=once, headers={"Content-Type": "text/csv"}, params={"drop_results": "true"}
    ).json()
    assert [column["header"] for column in report["columns"]] == NAMES
    assert report["result_columns"][:3] == ["prediction", "probability", "error"]
    assert report["rows_seen"] == 9
