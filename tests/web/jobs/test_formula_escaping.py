"""Escaping formulas: each text that a spreadsheet would run, and nothing else."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.csv.dialect import Dialect
from tests.jobs.csv.reference_reader import read
from tests.properties import examples
from web.jobs.formula_escaping import formula_escaper

DELIMITERS = [",", ";", "\t", "|"]
GROUPED = r"[0-9]{1,3}(\.[0-9]{3})+(,[0-9]+)?|[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?|[0-9]{1,3}([ '][0-9]{3})+([.,][0-9]+)?"
NUMBER = re.compile(rf"[+-]({GROUPED}|[0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?( ?%)?")
PHONE = re.compile(r"\+[0-9]([ ./()-]{0,2}[0-9]){6,14}")
DASHED_PHONE = re.compile(r"\+[0-9]{1,3}(-[0-9]{2,4}){2,4}")
FIELD = st.sampled_from([
    "=1+1", "-5", "+1.5e3", "-x", "@", "\t", "a=b", '6" nail', "-", "+.5", "5", "", "é=", " =", "-1e", "-1.234,56",
    "-5 %", "a;=b", "a\r=b", "\r-5", "a\r-5", 'a\r"=b', "a\r", "a,-5", "a|@x", "x;-5;=1",
    "a\t+49 30 1234567", "=a;=b", "a,;=b", 'a;"=b', 'a;""=b', "a;b",
])  # fmt: skip
QUOTED = st.sampled_from([
    "=1", "a,\n=b", "-5", '""=""', "+x", "", "=a,b", ",-7", '"","=1', "\r=1", "\r\n=1", "\r", "a;=b", 'a;""=b""',
    "-1,5", "a,=b", "-1,234.56", "a|\r=b", "a;\r\n", "-5\n+x", "-5,+x", "a;-5\n+x", "\t=1",
    "\n=1", "\n\n-5", "\nx", "a;\n=1",
])  # fmt: skip


@examples(150, long=500)
@given(
    st.lists(st.lists(FIELD | QUOTED.map('"{}"'.format), min_size=2, max_size=5), min_size=1, max_size=8),
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
@example([["=1", '"x"'] * 1100], ",", "\n", True)
@example([["-", "5"], ["+", '"5"'], ["-", "5,"]], ",", "\n", True)
@example([["a", ""], ["", '""'], ["", '"x;"']], ",", "\r\n", True)
def test_only_formulas_get_an_apostrophe(rows: list[list[str]], delimiter: str, line_end: str, ended: bool) -> None:
    rows = [[field for field in row if field.startswith('"') or delimiter not in field] or ["a"] for row in rows]
    text = line_end.join(delimiter.join(row) for row in rows) + line_end * ended
    escaped = formula_escaper(delimiter)(text.encode()).decode()
    found = [record.fields for record in read(escaped, delimiter).records]
    assert found == [
        [expected(field, delimiter) for field in record.fields] for record in read(text, delimiter).records
    ]
    assert formula_escaper(delimiter)(escaped.encode()).decode() == escaped


def expected(field: str, delimiter: str) -> str:
    lead, content, close = (field[:1], field[1:-1], '"') if field.startswith('"') else ("", field, "")
    found = ["'" * runs(content, at, delimiter, bool(lead)) + letter for at, letter in enumerate(content)]
    return lead + "".join(found) + close


def runs(content: str, at: int, delimiter: str, quoted: bool) -> bool:
    """Whether a spreadsheet would take for a formula what begins there: as a field, or behind another delimiter."""
    if not re.match(r"\n*[=+\-@\t\r]", content[at:]) or (content[at] == delimiter and not quoted):
        return False
    # To a spreadsheet, a carriage return ends a line as well.
    others = re.escape("".join(other for other in DELIMITERS if other != delimiter)) + "\r" * (not quoted)
    behind = re.search(rf'[{others}]("{{0,2}})\Z', content[:at])
    if at == 0:
        return not is_number(content)
    if behind is None:
        return False
    end = r"(?=,|;|\t|\||\r?\n|\Z)"
    closed = re.compile(rf'"{{{int(bool(behind[1]))},2}}{end}')
    ends = [stop for stop in range(at + 1, len(content) + 1) if closed.match(content, stop)]
    return not any(is_number(content[at:stop]) for stop in ends)


def is_number(text: str) -> bool:
    phone = PHONE.fullmatch(text) and (not re.search("[-/]", text) or re.search(r"[0-9.][ ()]{1,2}[0-9.]", text))
    return bool(NUMBER.fullmatch(text) or phone or DASHED_PHONE.fullmatch(text))


@pytest.mark.parametrize(
    ("delimiter", "field"),
    [
        *((";", number) for number in ("-1.234,56", "-1234,5", "+12,5 %", "-,5", "-1.234.567", "-12%", "-1 234,5")),
        *((",", number) for number in ('"-1,234.56"', '"+1,234,567"', "-1234.5", "-12.5%", "+1e-5", "-1'234.5")),
        *((",", phone) for phone in ("+49 30 1234567", "+1 (555) 123-4567", "+1-555-123-4567", "+44.20.7946.0958")),
        (";", "-1\N{NO-BREAK SPACE}234,5"),
        ("\t", "-1,234.56"),
        ("|", "12,-5"),
    ],
)
def test_numbers_are_left_alone_in_the_notation_of_the_file(delimiter: str, field: str) -> None:
    text = f"a{delimiter}{field}\r\n{field}{delimiter}b\r\n{field}".encode()
    assert formula_escaper(delimiter)(text) == text


@pytest.mark.parametrize(
    ("delimiter", "field", "escaped"),
    [
        (";", "-1.23.456,5", "'-1.23.456,5"),
        (",", "-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0"),
        (",", "+49 30 12345 =1", "'+49 30 12345 =1"),
        (",", "+12345-67890", "'+12345-67890"),
        (",", "+1/2/3456789", "'+1/2/3456789"),
        (",", "+1 - 2 - 3456789", "'+1 - 2 - 3456789"),
        (",", "+1-(555)-123-4567", "'+1-(555)-123-4567"),
        (",", '"\n=1+1"', '"\'\n=1+1"'),
        (",", '"\n\n@SUM(1)"', '"\'\n\n@SUM(1)"'),
        (",", '"\r=1+1"', '"\'\r=1+1"'),
        (",", '"\r\n=1+1"', '"\'\r\n=1+1"'),
        (",", "\r=1+1", "'\r'=1+1"),
        (",", "a\r=1+1", "a\r'=1+1"),
        (",", 'a\r"=1+1"', 'a\r"\'=1+1"'),
        (",", "a;=HYPERLINK(1)", "a;'=HYPERLINK(1)"),
        (",", "a\t@SUM(1)", "a\t'@SUM(1)"),
        (",", "a|\t=1", "a|'\t'=1"),
        (";", "a,=1,b", "a,'=1,b"),
        (";", 'a,"=1"', 'a,"\'=1"'),
        (";", '"a,""=1"""', '"a,""\'=1"""'),
        ("|", "=1,-2", "'=1,-2"),
        (",", '"a;-5;=b"', '"a;-5;\'=b"'),
        (",", '"-5,+cmd|x"', '"\'-5,+cmd|x"'),
        (",", '"-5\n+cmd|x"', '"\'-5\n+cmd|x"'),
        (";", 'a,"-5,+cmd"', "a,\"'-5,'+cmd\""),
    ],
)
def test_formulas_are_escaped(delimiter: str, field: str, escaped: str) -> None:
    for before, after in (("", f"{delimiter}x\r\n"), (f"x{delimiter}", "\r\n"), (f"x{delimiter}", "")):
        assert formula_escaper(delimiter)(f"{before}{field}{after}".encode()) == f"{before}{escaped}{after}".encode()


def test_a_line_end_is_no_carriage_return_of_a_field() -> None:
    text = b'a,b\r\n,\r\n"",""\r\n"x;",\r\n"a;",""\r\n'
    assert formula_escaper(",")(text) == text


def test_quotes_without_end_cost_no_time() -> None:
    field = b'"' * 1_000_000 + b"=1"
    assert len(formula_escaper(",")(b"a," + field)) <= len(field) + 3


@pytest.mark.parametrize("delimiter", ["^", "~", " ", "\x1f"])
def test_formulas_are_found_behind_every_delimiter(delimiter: str) -> None:
    fields = ["a", "=1+1", "-5", "-1.234,56", "+49/30/1234567", "-12%", "@x", '"=b"', "+1-555-123-4567"]
    wanted = ["a", "'=1+1", "-5", "-1.234,56", "'+49/30/1234567", "-12%", "'@x", '"\'=b"', "+1-555-123-4567"]
    escaped = formula_escaper(delimiter)((delimiter.join(fields) + "\n").encode()).decode()
    assert escaped == delimiter.join(wanted) + "\n"


def test_where_apostrophes_quote_a_space_precedes_a_formula() -> None:
    assert formula_escaper(",", Dialect(quote="'"))(b'1,"=1+1",=2\n') == b'1," =1+1", =2\n'
