"""Formulas made harmless: each field that a spreadsheet would run, and nothing else."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.jobs.reference_reader import read
from web.results import formula_escaper

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
FIELD = st.sampled_from(
    ["=1+1", "-5", "+1.5e3", "-x", "@", "\t", "a=b", '6" nail', "-", "+.5", "5", "", "é=", " =", "-1e"]
)
QUOTED = st.sampled_from(["=1", "a,\n=b", "-5", '""=""', "+x", "", "=a,b", ",-7", '"","=1'])


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.lists(FIELD | QUOTED.map('"{}"'.format), min_size=2, max_size=5), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
@example([["=1", '"x"'] * 1100], ",", "\n", True)
def test_only_formulas_get_an_apostrophe(rows: list[list[str]], delimiter: str, line_end: str, ended: bool) -> None:
    rows = [[field for field in row if delimiter not in field] or ["a"] for row in rows]
    text = line_end.join(delimiter.join(row) for row in rows) + line_end * ended
    escaped = formula_escaper(delimiter)(text.encode()).decode()
    found = [record.fields for record in read(escaped, delimiter).records]
    assert found == [
        [expected(field, delimiter) for field in record.fields] for record in read(text, delimiter).records
    ]


def expected(field: str, delimiter: str) -> str:
    lead, content = (field[:1], field[1:-1]) if field.startswith('"') else ("", field)
    runs = content[:1] in ("=", "+", "-", "@", "\t") and content[:1] != delimiter
    return field if not runs or NUMBER.fullmatch(content) else lead + "'" + field[len(lead) :]
