"""The contract's table 'Reading an uploaded CSV', line by line, through the running service."""

import csv
import io
from typing import Any

import pytest

from tests.stack import CSV, Stack, problem_of

HEADER = "age,workclass,education,marital_status,race,sex,hours_per_week"
GOOD = "39,State-gov,Bachelors,Never-married,White,Male,40"
OTHER = "28,Private,Masters,Married-civ-spouse,Black,Female,45"


def rows_of(results: bytes, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(results.decode(), newline=""), delimiter=delimiter))


def score(service: Stack, *records: str, header: str = HEADER, **query: Any) -> list[dict[str, str]]:
    _, results = service.score("\n".join([header, *records]).encode() + b"\n", **query)
    return rows_of(results)


def with_value(column: str, value: str) -> str:
    values = dict(zip(HEADER.split(","), GOOD.split(","), strict=True))
    return ",".join({**values, column: value}.values())


@pytest.mark.parametrize(("column", "value", "code"), [
    ("age", "abc", "not_a_number"),
    ("age", '"1,234"', "not_a_number"),
    ("age", '"39,5"', "not_a_number"),
    ("age", "0x10", "not_a_number"),
    ("age", "３９", "not_a_number"),
    ("age", "inf", "not_a_number"),
    ("age", "1e999", "not_a_number"),
    ("age", "1_0", "not_a_number"),
    ("age", "39.5", "not_an_integer"),
    ("age", "16", "out_of_range"),
    ("age", "91", "out_of_range"),
    ("hours_per_week", "0", "out_of_range"),
    ("hours_per_week", "-5", "out_of_range"),
    ("sex", "Mal", "unknown_category"),
    ("education", "PhD in everything", "unknown_category"),
    *(("age", word, "missing") for word in ("", "?", "NA", "N/A", "NaN", "null", "none", "  ")),
    *(("race", word, "missing") for word in ("", "?", "NA")),
])  # fmt: skip
def test_a_bad_value_rejects_its_record_alone(service: Stack, column: str, value: str, code: str) -> None:
    before, bad, after = score(service, GOOD, with_value(column, value), OTHER)
    assert (bad["prediction"], bad["probability"]) == ("", "")
    assert bad["error"].startswith(code)
    assert column in bad["error"]
    assert (before["probability"], before["error"]) == ("0.150521", "")
    assert after["prediction"]
    assert after["error"] == ""


@pytest.mark.parametrize(("column", "value"), [
    ("age", " 39 "), ("age", "39.0"), ("age", "3.9e1"), ("age", "+39"), ("age", '"39"'), ("age", "039"),
    ("sex", " male "), ("sex", "MALE"), ("education", "bachelors"),
])  # fmt: skip
def test_spaces_case_and_other_spellings_of_a_number_are_accepted(service: Stack, column: str, value: str) -> None:
    plain, other = score(service, GOOD, with_value(column, value))
    assert other["probability"] == plain["probability"] == "0.150521"


@pytest.mark.parametrize("word", ["", "?", "NA", "n/a", "NaN", "NULL", "None", " ? "])
def test_missing_is_used_where_the_model_allows_it(service: Stack, word: str) -> None:
    missing, other = score(service, with_value("workclass", word), with_value("workclass", "?"))
    assert missing["probability"] == other["probability"] != ""


def test_a_suggestion_names_the_close_category(service: Stack) -> None:
    [row] = score(service, with_value("education", "Bachelor"))
    assert "did you mean 'Bachelors'" in row["error"]


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize(
    ("record", "kept"),
    [
        ("39,State-gov,Bachelors", ["39", "State-gov", "Bachelors", "", "", "", ""]),
        (GOOD + ",1,2", GOOD.split(",")),
    ],
)
def test_a_ragged_record_is_rejected_wherever_it_stands(
    service: Stack, record: str, kept: list[str], where: int
) -> None:
    records = [GOOD, OTHER]
    records.insert(where, record)
    rows = score(service, *records)
    assert [row["error"][:6] for row in rows] == ["ragged" if n == where else "" for n in range(3)]
    assert [rows[where][name] for name in HEADER.split(",")] == kept
    assert {row["prediction"] for n, row in enumerate(rows) if n != where} <= {"<=50K", ">50K"}


@pytest.mark.parametrize(
    "record",
    [
        '"39"x,State-gov,Bachelors,Never-married,White,Male,40,note',
        '39,State-gov,Bachelors,Never-married,White,Male,40,5" x,y"',
        '39,State-gov,Bachelors,Never-married,White,Male,40,"he said \\"hi\\" to me"',
        '39,State-gov,Bachelors,Never-married,White,Male,40,"ends so \\""',
        "39,State-gov,Bachelors,Never-married,White,Male,40,one\rtwo",
    ],
)
def test_a_malformed_record_is_rejected_and_its_neighbours_are_not(service: Stack, record: str) -> None:
    rows = score(service, GOOD + ',"first"', record, OTHER + ",last", header=HEADER + ",note")
    assert [row["error"][:9] for row in rows] == ["", "malformed", ""]
    assert [row["note"] for row in rows][::2] == ["first", "last"]


def test_a_quote_that_is_not_closed_costs_no_other_row(service: Stack) -> None:
    lines = [f"{HEADER},note", f"{GOOD},one", f'{GOOD}.5,"two', f"{OTHER},three", f'{OTHER}.5,"four, five', f"{GOOD},"]
    job, results = service.score("\n".join(lines).encode())
    assert job["rows"] == {"total": 5, "scored": 3, "rejected": 2, "warned": 0, "repaired": 0}
    rows = rows_of(results)
    assert [row["error"].partition(":")[0] for row in rows] == ["", "malformed", "", "open_quote", ""]
    assert [row["note"] for row in rows] == ["one", '"two', "three", '"four, five', ""]
    rejects = rows_of(service.get(job["links"]["rejects"]).content)
    assert [(line["row"], line["code"], line["note"]) for line in rejects] == [
        ("2", "malformed", '"two'), ("4", "open_quote", '"four, five'),
    ]  # fmt: skip


def test_all_of_hundreds_of_repaired_rows_are_listed(service: Stack) -> None:
    age, rest = GOOD.split(",", 1)
    job, _ = service.score("\n".join([HEADER, *[f'"{age},{rest}'] * 300, GOOD]).encode())
    assert job["rows"] == {"total": 301, "scored": 301, "rejected": 0, "warned": 0, "repaired": 300}
    summary = service.get(job["links"]["summary"]).json()
    assert [repaired["row"] for repaired in summary["repaired"]] == list(range(1, 301))


def test_one_quote_too_many_is_taken_away_where_that_leaves_one_reading(service: Stack) -> None:
    age, rest = GOOD.split(",", 1)
    lines = [f'{HEADER},"note', f'{age},"{rest},one', f"{GOOD},two", f'{GOOD}.5,"a "b', f'"{age},{rest},four']
    job, results = service.score("\n".join(lines).encode())
    assert job["rows"] == {"total": 4, "scored": 3, "rejected": 1, "warned": 0, "repaired": 2}
    assert job["notes"] == {"repaired_quote": 2}
    rows = rows_of(results)
    assert [row["note"] for row in rows] == ["one", "two", '"a "b', "four"]
    assert {row["prediction"] for row in rows if not row["error"]} == {rows[1]["prediction"]}
    summary = service.get(job["links"]["summary"]).json()
    assert summary["repaired"] == [{"row": row, "code": "repaired_quote"} for row in (1, 4)]
    assert summary["notes"] == job["notes"]
    assert "Repaired rows" in service.get(job["links"]["page"]).text


def test_the_refusal_of_a_header_names_its_line_delimiter_and_quote(service: Stack) -> None:
    header = HEADER.replace("age,workclass", '"age,workclass').replace("race", '"race')
    detail = service.upload(f"\n{header}\n{GOOD}\n".encode()).json()["detail"]
    assert 'the header lacks a quote (") or has one too many' in detail
    assert "line 2 was taken as the header, with a comma as delimiter" in detail


def test_a_quote_inside_an_unquoted_field_is_an_ordinary_character(service: Stack) -> None:
    rows = score(service, GOOD + ',6" nail', OTHER + ',a "b" c', GOOD + ',"quoted"', header=HEADER + ",note")
    assert [row["note"] for row in rows] == ['6" nail', 'a "b" c', "quoted"]
    assert {row["error"] for row in rows} == {""}


def test_quoted_fields_keep_delimiters_quotes_and_newlines(service: Stack) -> None:
    note = '"a ""b"", c\r\nd\ne\r"'
    _, results = service.score(f"{HEADER},note\r\n{GOOD},{note}\r\n{OTHER},{note}".encode())
    assert results.count(note.encode()) == 2
    assert [row["note"] for row in rows_of(results)] == ['a "b", c\r\nd\ne\r'] * 2
    assert not results.endswith(b"\n")


def test_blank_lines_are_ignored(service: Stack) -> None:
    job, results = service.score(f"\n\n{HEADER}\n\n{GOOD}\n\n\n{OTHER}\n\n".encode())
    assert job["rows"]["total"] == 2
    assert len(results.splitlines()) == 3


@pytest.mark.parametrize(
    "header",
    [
        "Age,WORKCLASS,Education,Marital Status,Race,Sex,Hours per week",
        "age,workclass,education,marital.status,race,sex,hours-per-week",
        " age , workclass ,education,marital-status,race,sex,hours.per.week",
        '"age","workclass","education","marital_status","race","sex","hours_per_week"',
    ],
)
def test_headers_may_be_spelt_in_several_ways(service: Stack, header: str) -> None:
    [row] = score(service, GOOD, header=header)
    assert row["probability"] == "0.150521"


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("separator_line", [True, False])
def test_the_delimiter_is_found(service: Stack, delimiter: str, separator_line: bool) -> None:
    text = f"{HEADER},note\n{GOOD},n\n".replace(",", delimiter)
    job, results = service.score((f"sep={delimiter}\r\n{text}" if separator_line else text).encode())
    assert job["delimiter"] == delimiter
    assert job["rows"]["total"] == 1
    assert rows_of(results, delimiter)[0]["probability"] == "0.150521"


def test_columns_may_stand_anywhere_and_others_pass_through(service: Stack) -> None:
    header = "id,hours_per_week,sex,race,prediction,marital_status,education,workclass,age,error"
    [row] = score(service, "007,40,Male,White,NA,Never-married,Bachelors,State-gov,39,1e5", header=header)
    assert (row["id"], row["prediction"], row["error"]) == ("007", "NA", "1e5")
    assert (row["prediction_2"], row["probability"], row["error_2"]) == ("<=50K", "0.150521", "")


@pytest.mark.parametrize(("text", "codec", "encoding", "charset"), [
    ("café", "cp1252", "windows-1252", "windows-1252"),
    ("café", "utf-8", "utf-8", "utf-8"),
    ("café", "utf-8-sig", "utf-8", "utf-8"),
    ("café 𝄞", "utf-16", "utf-16", "utf-16"),
    ("\ufeffcafé", "utf-16-be", "utf-16", "utf-16"),
])  # fmt: skip
def test_the_encoding_is_found_and_kept(service: Stack, text: str, codec: str, encoding: str, charset: str) -> None:
    mark, note = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    data = f"{mark}{HEADER},note\n{GOOD},{note}\n".encode(codec)
    job, results = service.score(data)
    assert job["encoding"] == encoding
    scored = f"{mark}{HEADER},note,prediction,probability,error\n{GOOD},{note},<=50K,0.150521,\n"
    assert results == scored.encode(codec)
    kept = service.get(job["links"]["results"])
    in_utf8 = service.get(job["links"]["results"], params={"output_encoding": "utf-8"})
    assert kept.headers["Content-Type"] == f"text/csv; charset={charset}"
    assert in_utf8.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert in_utf8.content == scored.removeprefix("\ufeff").encode()


def test_the_encoding_can_be_given(service: Stack) -> None:
    data = f"{HEADER},note\n{GOOD},Łódź\n".encode("cp1250")
    job, results = service.score(data, encoding="cp1250")
    assert job["encoding"] == "cp1250"
    assert results.splitlines()[1] == f"{GOOD},Łódź,<=50K,0.150521,".encode("cp1250")
    assert service.get(job["links"]["results"]).headers["Content-Type"] == "text/csv; charset=windows-1250"


def test_a_record_that_does_not_decode_is_rejected(service: Stack) -> None:
    data = f"{HEADER},note\n{GOOD},café\n".encode() + f"{OTHER},caf\xe9\n".encode("latin-1") + f"{GOOD},ok\n".encode()
    job, results = service.score(data)
    assert job["encoding"] == "utf-8"
    rows = rows_of(results.decode("utf-8", "replace").encode())
    assert [row["error"][:11] for row in rows] == ["", "undecodable", ""]
    # It comes back as it was, except where the results are to be UTF-8.
    assert results.splitlines()[2].startswith(data.splitlines()[2] + b",,,")
    assert b"caf\xe9\n" in service.get(job["links"]["rejects"]).content
    for query in ({"output_encoding": "utf-8"}, {"format": "excel-csv"}, {"format": "jsonl"}):
        assert "caf\ufffd" in service.get(job["links"]["results"], params=query).raise_for_status().content.decode()
    preview = service.request("POST", "/api/v1/preflight", content=data, headers=CSV).raise_for_status().json()
    assert [example["error"] is None for example in preview["examples"]] == [True, False, True]


def test_an_undefined_byte_of_windows_comes_back_as_it_was(service: Stack) -> None:
    data = f"{HEADER},note\n{GOOD},Zürich\n".encode("cp1252") + f"{OTHER},a\x81b\n".encode("latin-1")
    job, results = service.score(data)
    assert (job["encoding"], job["rows"]["rejected"]) == ("windows-1252", 1)
    assert [
        line.startswith(before) for line, before in zip(results.splitlines()[1:], data.splitlines()[1:], strict=True)
    ]
    assert b",a\x81b\n" in service.get(job["links"]["rejects"]).content


REFUSED = [
    (b"", "empty_file", {}),
    (b"\xef\xbb\xbf", "empty_file", {}),
    (b"\n\r\n\n", "empty_file", {}),
    (b"sep=;\r\n\n", "empty_file", {}),
    (GOOD.encode() + b"\n" + OTHER.encode(), "no_header", {}),
    (HEADER.encode(), "no_rows", {}),
    (HEADER.encode() + b"\n\n\n", "no_rows", {}),
    (HEADER.replace("sex", "seks").encode() + b"\n" + GOOD.encode(), "missing_columns", {"column": "sex"}),
    (b"hello\nworld\n", "missing_columns", {"column": "age"}),
    (f"{HEADER},Age\n{GOOD},1\n".encode(), "duplicate_columns", {}),
    (f"{HEADER}\n{GOOD}\n{GOOD}\0\n".encode(), "undecodable", {"row": 2}),
    (f"{HEADER}\n{GOOD}\n".encode("utf-16-le"), "undecodable", {}),
    (f"{HEADER},n\n{GOOD},{'x' * (1024 * 1024 + 1)}\n".encode(), "too_wide", {"row": 1}),
    (f'{HEADER},n\n{GOOD}\n{GOOD},"{"x," * (2 * 1024 * 1024)}"\n'.encode(), "too_wide", {"row": 2}),
    (f"{HEADER},{','.join(f'c{n}' for n in range(2000))}\n{GOOD}\n".encode(), "too_wide", {}),
    (f"{HEADER},{'n' * (1024 * 1024 + 1)}\n{GOOD},1\n".encode(), "too_wide", {}),
]


@pytest.mark.parametrize(("data", "code", "where"), REFUSED, ids=[f"{n}-{case[1]}" for n, case in enumerate(REFUSED)])
def test_a_file_that_cannot_be_read_is_refused_whole(
    service: Stack, data: bytes, code: str, where: dict[str, Any]
) -> None:
    before = service.get("/api/v1/jobs").json()["jobs"]
    response = service.upload(data)
    assert problem_of(response) == (422, code)
    assert where.items() <= response.json()["errors"][0].items()
    assert service.get("/api/v1/jobs").json()["jobs"] == before


def test_a_missing_column_comes_with_the_header_that_may_be_meant(service: Stack) -> None:
    data = HEADER.replace("education", "eduction").replace("race,", "") + "\n"
    errors = service.upload(data.encode() + b"1,2,3,4,5,6\n").json()["errors"]
    assert [(error["column"], error.get("did_you_mean")) for error in errors] == [
        ("education", "eduction"),
        ("race", None),
    ]


def test_a_fault_stands_in_the_rejects_file_with_its_record(service: Stack) -> None:
    job, _ = service.score(f"{HEADER}\n{GOOD}\nabc,,Bachelors,Never-married,White,Mal,40\n{GOOD},9\n".encode())
    assert job["rows"] == {"total": 3, "scored": 1, "rejected": 2, "warned": 0, "repaired": 0}
    lines = rows_of(service.get(job["links"]["rejects"]).content)
    assert [(line["row"], line["column"], line["value"], line["code"]) for line in lines] == [
        ("2", "age", "abc", "not_a_number"), ("2", "sex", "Mal", "unknown_category"), ("3", "", "9", "ragged"),
    ]  # fmt: skip
    assert lines[0]["education"] == "Bachelors"
    assert list(lines[0])[:5] == ["row", "column", "value", "code", "reason"]
