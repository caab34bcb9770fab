"""The formatters of scripts and of the server give the same texts."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from web.pages.error_texts import FAULT_TEXTS, ROW_SUBJECT, describe_error
from web.pages.formatting import (
    as_sentence,
    format_duration,
    format_number,
    format_percent,
    format_progress,
    format_size,
)

CALL = """async ([name, values, more]) => {
    const module = await import("/static/format.js");
    return values.map((value) => module[name](value, ...more));
}"""
NUMBERS = [0, 0.001, 0.005, 0.125, 0.126, 1.005, 2.5, 10, 99.994, 99.999, 100, 999.5, 1234.5, 1_234_567, 1e15, -3.25]
SHARES = [0, 0.0004, 0.005, 0.0625, 0.125, 0.150521, 1 / 3, 0.5, 0.99949, 0.9995, 0.9999, 1]
SECONDS = [0, 0.2, 0.5, 1.4999, 1.5, 59.4, 59.5, 61, 3599.4, 3599.5, 3725, 90_061]
BYTES = [0, 1, 2, 999, 1000, 1049, 1050, 99_949, 99_950, 999_999, 4_104_734, 1_100_000_000, 5 * 10**15]
TEXTS = ["a text", "Ends.", "why?", "goes on…", ""]
TITLES = {"age": "Age", "marital_status": "Marital status"}
ERRORS = [
    "not_a_number in age: 'old' is not a number",
    "missing in marital_status: marital_status is missing; out_of_range in age: '7' is outside 17..90",
    "unknown_category in marital_status: 'divorce' is unknown; did you mean 'Divorced'?",
    'unknown_category in other: "d\'or" is unknown; did you mean "d\'Or"?',
    "ragged: 3 fields instead of 7",
    "something else: entirely",
]


@pytest.mark.parametrize(
    ("name", "own", "values", "more"),
    [
        ("formatNumber", format_number, NUMBERS, []),
        ("formatPercent", format_percent, SHARES, []),
        ("formatPercent", format_percent, SHARES, [1]),
        ("formatPercent", format_percent, SHARES, [2]),
        ("formatProgress", format_progress, SHARES, []),
        ("formatSize", format_size, BYTES, []),
        ("formatDuration", format_duration, SECONDS, []),
        ("asSentence", as_sentence, TEXTS, []),
    ],
)
def test_scripts_format_as_the_server_does(
    page: Page, name: str, own: Callable[..., str], values: list[Any], more: list[int]
) -> None:
    page.goto("/jobs")
    assert page.evaluate(CALL, [name, values, more]) == [own(value, *more) for value in values]


def test_scripts_describe_errors_as_the_server_does(page: Page) -> None:
    page.goto("/jobs")
    texts = {"titles": TITLES, "faults": FAULT_TEXTS, "row": ROW_SUBJECT}
    assert page.evaluate(CALL, ["describeError", ERRORS, [texts]]) == [
        describe_error(error, TITLES) for error in ERRORS
    ]
