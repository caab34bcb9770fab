"""How a file is written is found out from its first bytes."""

from collections.abc import Sequence

import pytest

from jobs.csv.detection import FileStart, detect
from jobs.csv.dialect import Dialect
from jobs.errors import UploadRefused

WANTED = {"age", "job", "city"}


def count(names: Sequence[str]) -> tuple[int, int]:
    return len(WANTED & {name.strip().casefold() for name in names}), len(WANTED)


def start_of(text: str, delimiter: str | None = None) -> FileStart:
    start = detect(text.encode(), count, final=True, delimiter=delimiter)
    assert start is not None
    return start


@pytest.mark.parametrize(("text", "dialect"), [
    ("age,job,city\n1,a,b\n", Dialect()),
    ("age;job;city\r\n1;a;b\r\n", Dialect(delimiter=";", line_end="\r\n")),
    ("age^job^city\n1^a^b\n", Dialect(delimiter="^")),
    ("age~job~city\n1~a~b\n", Dialect(delimiter="~")),
    ("age  job city\n1   a    b\n", Dialect(delimiter=" ")),
    ('age job city\n1 "a b" c\n', Dialect(delimiter=" ")),
    ("age,job,city\r1,a,b\r2,a,b\r", Dialect(line_end="\r")),
    ("age,job,city\r1,a,b", Dialect(line_end="\r")),
    ("'age','job','city'\n1,'a, b','c'\n", Dialect(quote="'")),
    ("age,job,city\n1,'a','b'\n2,'it''s, yes','c'\n", Dialect(quote="'")),
    ("age,job,city\n1,'tis,the 'season'\n", Dialect()),
    ('age,job,city\n1,"say \\"hi, you\\"",b\n2,"\\"a, b\\"",c\n', Dialect(escape="\\")),
    ('age,job,city\n1,"say \\"hi, you\\"",b\n2,"""a"", b",c\n', Dialect()),
    ('age,job,city\n1,"C:\\dir\\",b\n', Dialect()),
    ('age , job , city\n1 , a , b\n', Dialect()),
    ('"age" , "job", "city"\n1 , "a, b" , "c"\n', Dialect(is_spaced=True)),
    ('age;job;city\n1; "a; b" ;c\n', Dialect(delimiter=";", is_spaced=True)),
    ("Report 2024\n\n# made by, someone\nage,job,city\n1,a,b\n", Dialect(skipped_lines=3)),
    ("Total;;\nage;job;city\n1;a;b\n", Dialect(delimiter=";", skipped_lines=1)),
    ('"Report\nage,job,city\n1,a,b\n', Dialect(skipped_lines=1)),
])  # fmt: skip
def test_the_dialect_is_found(text: str, dialect: Dialect) -> None:
    start = start_of(text)
    assert start.dialect == dialect
    assert count(start.header.columns) == (3, 3)


def test_any_one_character_may_be_the_delimiter() -> None:
    for mark in "§:#_a¦":
        if mark != "a":
            start = start_of(f"age{mark}job{mark}city\n1{mark}b{mark}c\n", delimiter=mark)
            assert start.dialect.delimiter == mark
            assert list(start.rows()) == [["1", "b", "c"]]


def test_lines_before_the_header_are_kept() -> None:
    start = start_of("Report\n\n2024\nage,job,city\n1,a,b\n")
    assert start.header.preamble == b"Report\n\n2024\n"
    assert start.header.with_columns(["x"]) == b"Report\n\n2024\nage,job,city,x"
    assert start.where == "line 4 was taken as the header, with a comma as delimiter"


def test_after_twenty_lines_no_header_is_looked_for() -> None:
    found = start_of("x\n" * 20 + "age,job,city\n1,a,b\n")
    assert found.dialect.skipped_lines == 20
    too_late = start_of("x\n" * 21 + "age,job,city\n1,a,b\n")
    assert (too_late.dialect.skipped_lines, too_late.header.columns) == (0, ("x",))


@pytest.mark.parametrize(("rows", "dropped"), [
    ("1,a,b\n2,a,b\n", 2), ("1,a,b,\n", 1), ("1,a,b,,\n", 0), ("1,a,b,,x\n", 0), ("1,a,b,,\n1,a,b,,\n1,a,b\n", 0),
    ("1,a\n", 0),
])  # fmt: skip
def test_empty_names_that_no_row_fills_are_dropped(rows: str, dropped: int) -> None:
    start = start_of("age,job,city,,\n" + rows)
    assert start.dropped_names == dropped
    assert start.header.raw == b"age,job,city" + b"," * (2 - dropped)


def test_a_file_in_which_no_row_has_the_headers_width_is_refused() -> None:
    with pytest.raises(
        UploadRefused, match="none of the first 30 rows has the 3 fields of the header; most have 2"
    ) as refused:
        start_of("age,job,city\n" + "1,a\n" * 30)
    assert refused.value.code == "no_row_fits"
    assert start_of("age,job,city\n1,a\n2,b\n")


def test_rows_that_all_have_a_stray_quote_are_not_measured_by_the_fields_that_it_hides() -> None:
    assert start_of("age,job,city\n" + '1,"a,b\n' * 30)
    with pytest.raises(UploadRefused, match="none of the first 30 rows has the 3 fields"):
        start_of("age,job,city\n" + '1,"a\n' * 30)


def test_the_first_64_kib_decide() -> None:
    head = b"age,job,city\n" + b"1,a,b\n" * 5000
    assert detect(head, count, final=False) is None
    assert detect(head * 3, count, final=False) is not None


MIB = 1024 * 1024


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["n" * (MIB + 1)], id="a name of more than 1 MiB"),
        pytest.param(['"' + "n\n" * MIB + '"'], id="a quoted name of more than 1 MiB"),
        pytest.param([f"{n}" + "n" * (MIB - 2) for n in range(5)], id="names of more than 4 MiB together"),
        pytest.param([str(n) for n in range(2000)], id="more than 2,000 names"),
    ],
)
@pytest.mark.parametrize("final", [True, False])
def test_a_header_has_the_limits_of_a_row(names: list[str], final: bool) -> None:
    data = f"age,job,city,{','.join(names)}\n".encode() + b"1,a,b,c\n" * 10_000
    with pytest.raises(UploadRefused, match="header") as refused:
        detect(data, count, final=final)
    assert refused.value.code == "too_wide"


def test_a_name_of_1_mib_is_accepted() -> None:
    assert len(start_of(f"age,job,city,{'n' * MIB}\n1,a,b,c\n").header.columns) == 4
