"""Every kind of model in a real browser, with and without JavaScript: predictions are those of the pipeline."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage, predict
from tests.browser.kinds import KINDS, Kind
from tests.browser.people import csv_file
from tests.slow import slow
from web.pages.formatting import format_significant

# Typing into more fields than this takes too long: the form predicts after each of them.
MAX_TYPED = 10
# Not tested without JavaScript, since their pages are like those of other kinds.
ALIKE = ("likeliest", "votes", "letters", "price", "clusters", "wide58")
VARIANTS = [(name, javascript) for name in KINDS for javascript in (True, False) if javascript or name not in ALIKE]
# One for each part of the pages that kinds do not share.
QUICK = [
    *((name, True) for name in ("margins", "classes", "unseen", "names", "labels", "outliers")),
    *((name, False) for name in ("reviews", "targets")),
]
NUMBER = re.compile(r"-?[0-9]+\.[0-9]+(e-?[0-9]+)?")
# Fields may hide properties of their form.
GET_ID = "element => Element.prototype.getAttribute.call(element, 'id')"
FILL = """(form, record) => {
    for (const field of document.querySelectorAll("#record-form [data-field]")) {
        const control = field.querySelector("input, select, textarea");
        if (control.name in record) control.value = record[control.name];
    }
}"""


def record_of(kind: Kind, row: int) -> dict[str, str]:
    """Return a training record as a person would type it."""
    values = kind.inputs.iloc[row]
    return {name: "" if pd.isna(value) else text_of(value) for name, value in values.items()}


def text_of(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or str(value) in ("True", "False") else str(value)


def fill(page: Page, record: dict[str, str]) -> None:
    """Fill in the form, field by field."""
    if len(record) > MAX_TYPED:
        page.locator("#record-form").evaluate(FILL, record)
        return
    for name, text in record.items():
        control = page.locator("#record-form").locator(f'[name="{name}"]')
        if control.evaluate("control => control.tagName") == "SELECT":
            control.select_option(text)
        else:
            control.fill(text)


def shown(answer: str) -> str:
    """A prediction as the page shows it: numbers in six digits."""
    return format_significant(float(answer)) if NUMBER.fullmatch(answer) else answer


def assert_valid_layout(page: Page) -> None:
    """Assert that ids are unique and that the page fits narrow and wide screens."""
    ids = page.locator("[id]").evaluate_all(f"elements => elements.map({GET_ID})")
    assert len(ids) == len(set(ids))
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(
    ("name", "javascript"),
    [*QUICK, *slow(*(variant for variant in VARIANTS if variant not in QUICK))],
    ids=lambda value: {True: "with JavaScript", False: "without"}.get(value, value),
)
def test_form_and_upload_give_the_predictions_of_the_pipeline(
    new_page: NewPage, kinds: dict[str, Kind], name: str, javascript: bool
) -> None:
    kind, page = kinds[name], new_page(java_script_enabled=javascript, viewport={"width": 1280, "height": 900})
    answers = kind.answers
    other = next(row for row, answer in enumerate(answers) if answer != answers[0])
    page.goto(f"/models/{name}")
    for row in (0, other):
        fill(page, record_of(kind, row))
        predict(page)
        expect(page.locator("#decision, #prediction, #targets td")).to_have_text([*map(shown, answers[row])])
        assert page.locator("#record-form .error").count() == 0
    assert_valid_layout(page)
    page.locator("#file").set_input_files(csv_file(kind.inputs.to_csv(index=False)))
    if javascript:
        expect(page.locator("#preview")).to_contain_text("File preview")
    page.get_by_role("button", name="Upload and score", exact=True).click()
    page.wait_for_url("**/jobs/*")
    page.locator("#job-state", has_text=f"All {len(answers)} rows are done").wait_for()
    assert_valid_layout(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download results").click()
    rows = csv.DictReader(io.StringIO(Path(download.value.path()).read_text(), newline=""))
    for row, answer in zip(rows, answers, strict=True):
        predicted = [text for name, text in row.items() if re.match("prediction($|_)", name)]
        assert [*map(shown, predicted)] == [*map(shown, answer)]
