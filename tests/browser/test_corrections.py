"""Rejected rows are corrected in a real browser: in the grid, and without JavaScript with a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import NewPage
from tests.browser.people import HEADER, ROW
from tests.browser.test_all_pages import SHIFT, assert_accessible
from tests.slow import slow
from tests.stack import Stack

COLUMNS = HEADER.split(",")
SEX_M, NO_AGE, OLD = ROW.replace("Male", "M"), ROW.replace("39", ""), ROW.replace("39", "200")
# Rows 1 to 60, every other one sound, 30 rejected: 18 with one fault, 6 each of two other kinds.
MESSY = [ROW if n % 2 else SEX_M if n <= 36 else NO_AGE if n <= 48 else OLD for n in range(1, 61)]


def file_of(rows: Sequence[str]) -> bytes:
    return "\n".join([f"{HEADER},id", *(f"{row},{n}" for n, row in enumerate(rows, 1)), ""]).encode()


@pytest.fixture
def messy(service: Stack) -> Iterator[dict[str, Any]]:
    job = service.upload(file_of(MESSY), filename="people.csv").json()
    yield job
    service.request("POST", f"{job['links']['page']}/delete")


def cell(page: Page, row: int, column: str) -> Locator:
    return page.get_by_label(f"{column}, row {row}", exact=True)


def count(page: Page) -> Locator:
    return page.locator("#grid-count")


def paste(page: Page, text: str) -> None:
    """Paste as the browser does when cells of a spreadsheet are on the clipboard."""
    page.evaluate(
        """(text) => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text/plain", text);
            const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
            document.activeElement.dispatchEvent(event);
        }""",
        text,
    )


def focused(page: Page) -> str | None:
    return page.evaluate("document.activeElement.ariaLabel")


def test_thirty_rows_are_repaired_by_keyboard_paste_and_apply_to_all(
    page: Page, service: Stack, messy: dict[str, Any], tmp_path: Path
) -> None:
    page.goto(messy["links"]["page"])
    expect(count(page)).to_have_text("0 of 30 corrected")
    faulty = cell(page, 2, "sex")
    expect(faulty).to_have_attribute("aria-invalid", "true")
    expect(faulty).to_have_accessible_description("Not a valid value. Enter Female or Male.")
    # What is wrong in one row is applied to all with the same value.
    faulty.focus()
    page.keyboard.type("Male")
    expect(count(page)).to_have_text("1 of 30 corrected")
    page.keyboard.press("Control+Enter")
    expect(count(page)).to_have_text("18 of 30 corrected")
    expect(page.locator("#announcements")).to_contain_text("Replaced “M” with “Male” in sex: 18 rows.")
    expect(cell(page, 36, "sex")).to_have_value("Male")
    # A column of a spreadsheet is pasted over the rows without an age.
    cell(page, 38, "age").focus()
    paste(page, "\r\n".join(str(age) for age in range(31, 37)) + "\r\n")
    expect(count(page)).to_have_text("24 of 30 corrected")
    expect(cell(page, 48, "age")).to_have_value("36")
    # Then the page is reloaded: nothing that was typed is lost.
    page.reload()
    expect(count(page)).to_have_text("24 of 30 corrected")
    expect(cell(page, 48, "age")).to_have_value("36")
    # The rest is typed row by row.
    cell(page, 50, "age").focus()
    for n in range(6):
        page.keyboard.type(str(50 + n))
        page.keyboard.press("Enter")
    expect(count(page)).to_have_text("30 of 30 corrected")
    page.get_by_role("button", name="Score the corrected rows").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: messy["id"] not in url)
    expect(page.locator("#job-state")).to_contain_text("All 60 rows are done")
    expect(page.locator("#grid")).to_have_count(0)
    expect(page.locator("#job")).to_contain_text("Corrects rejected rows of")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download results").click()
    download.value.save_as(tmp_path / "results.csv")
    right = list(MESSY)
    for n in range(2, 61, 2):
        age = 31 + (n - 38) // 2 if 38 <= n <= 48 else 50 + (n - 50) // 2 if n >= 50 else 39
        right[n - 1] = ROW.replace("39", str(age))
    _, expected = service.score(file_of(right))
    assert (tmp_path / "results.csv").read_bytes() == expected
    # The corrected job leads to its corrections, and has forgotten what was sent.
    page.get_by_role("link", name="the job of").click()
    expect(page.locator("#job")).to_contain_text("Corrected in")
    expect(count(page)).to_have_text("0 of 30 corrected")


def german(sex: str) -> bytes:
    """A German export: a title, semicolons, decimal commas, totals at the end. Every other row has ``sex``."""
    row = ROW.replace(",", ";") + ",0"
    rows = [(row if n % 2 else row.replace("Male", sex)) + f";{n}.000,50" for n in range(1, 61)]
    header = "Age;Work class;Education;Marital status;Race;Sex;Hours per week;Umsatz für März"
    return "\r\n".join(["Bericht;;;;;;;", "", header, *rows, "Summe;;;;;;;1.830.030,00", ""]).encode("cp1252")


def test_a_german_export_is_checked_uploaded_repaired_and_downloaded_whole(
    page: Page, service: Stack, tmp_path: Path
) -> None:
    page.goto("/#upload")
    file: Any = {"name": "bericht.csv", "mimeType": "text/csv", "buffer": german("männlich")}
    page.get_by_label("File", exact=True).set_input_files(file)
    preview = page.locator("#preview")
    expect(preview).to_contain_text("windows-1252, delimiter: semicolon; 61 rows")
    expect(preview).to_contain_text("The first 2 lines before the header appear in the results as in the file.")
    expect(preview).to_contain_text("Numbers have decimal commas")
    expect(preview).to_contain_text("The last line holds totals.")
    page.get_by_role("button", name="Upload and score bericht.csv").click()
    expect(count(page)).to_have_text("0 of 31 corrected")
    cell(page, 2, "Sex").focus()
    page.keyboard.type("Male")
    page.keyboard.press("Control+Enter")
    expect(count(page)).to_have_text("30 of 31 corrected")
    before = page.url
    page.get_by_role("button", name="Score the corrected rows").click()
    page.wait_for_url(lambda url: url != before)
    expect(page.locator("#job-state")).to_contain_text("All 61 rows are done")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download results").click()
    download.value.save_as(tmp_path / "results.csv")
    job, _ = service.score(german("Male"), filename="bericht.csv")
    expected = service.get(job["links"]["results"], params={"escape": "formulas"}).content
    assert (tmp_path / "results.csv").read_bytes() == expected
    assert job["rows"] == {"total": 61, "scored": 60, "rejected": 1, "warned": 0, "repaired": 0}


def test_cells_are_moved_between_and_restored_as_in_a_spreadsheet(page: Page, messy: dict[str, Any]) -> None:
    page.goto(messy["links"]["page"])
    cell(page, 4, "age").focus()
    for key, expected in (
        ("ArrowDown", "age, row 6"), ("ArrowUp", "age, row 4"), ("ArrowRight", "workclass, row 4"),
        ("ArrowLeft", "age, row 4"), ("ArrowLeft", "age, row 4"), ("Enter", "age, row 6"),
        ("Shift+Enter", "age, row 4"), ("Tab", "workclass, row 4"), ("Shift+Tab", "age, row 4"),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert focused(page) == expected, key
    page.keyboard.type("57")
    expect(count(page)).to_have_text("0 of 30 corrected, 1 begun")
    page.keyboard.press("Escape")
    expect(cell(page, 4, "age")).to_have_value("39")
    expect(count(page)).to_have_text("0 of 30 corrected")
    # F2 edits within the cell: the arrows then move the cursor.
    page.keyboard.press("F2")
    page.keyboard.press("ArrowLeft")
    page.keyboard.type("1")
    expect(cell(page, 4, "age")).to_have_value("319")
    assert focused(page) == "age, row 4"
    page.get_by_role("button", name="Discard all changes").click()
    expect(cell(page, 4, "age")).to_have_value("39")


def test_a_block_of_quoted_cells_is_pasted(page: Page, messy: dict[str, Any]) -> None:
    page.goto(messy["links"]["page"])
    cell(page, 2, "sex").focus()
    paste(page, 'Female\t60\t"a\tb"\nMale\t"50"\t\n')
    expect(cell(page, 2, "sex")).to_have_value("Female")
    expect(cell(page, 2, "hours_per_week")).to_have_value("60")
    expect(cell(page, 2, "id")).to_have_value("a\tb")
    expect(cell(page, 4, "hours_per_week")).to_have_value("50")
    expect(cell(page, 4, "id")).to_have_value("")


def test_choices_are_offered_and_a_refusal_loses_nothing(page: Page, service: Stack, messy: dict[str, Any]) -> None:
    page.goto(messy["links"]["page"])
    options = cell(page, 2, "sex").evaluate("input => [...input.list.options].map((option) => option.value)")
    assert options == ["Female", "Male"]
    cell(page, 2, "sex").fill("Male")
    service.request("DELETE", messy["links"]["self"])
    page.get_by_role("button", name="Score the corrected rows").click()
    expect(page.locator("#grid-note")).to_contain_text("Job not found")
    expect(cell(page, 2, "sex")).to_have_value("Male")
    expect(count(page)).to_have_text("1 of 30 corrected")


def test_a_row_that_is_right_as_shown_is_sent_as_such(page: Page, service: Stack) -> None:
    job = service.upload(f"{HEADER}\n{ROW},surplus\n{ROW}\n".encode()).json()
    page.goto(job["links"]["page"])
    expect(page.locator(".grid tbody th")).to_contain_text("Too few or too many fields.")
    page.get_by_label("Right as shown").check()
    expect(count(page)).to_have_text("1 of 1 corrected")
    page.get_by_role("button", name="Score the corrected rows").click()
    page.wait_for_url(lambda url: job["id"] not in url)
    expect(page.locator("#job-state")).to_contain_text("All 2 rows are done")
    expect(page.locator(".facts")).to_contain_text("Rows rejected0")


def test_ten_thousand_rejected_rows_come_page_by_page(page: Page, service: Stack) -> None:
    rows = [SEX_M if n % 2 else OLD for n in range(1, 10_001)]
    job = service.upload(file_of(rows)).json()
    page.goto(job["links"]["page"])
    expect(count(page)).to_have_text("0 of 10,000 corrected")
    rows_shown = page.locator(".grid tbody tr")
    expect(rows_shown).to_have_count(100)
    nodes = page.evaluate("document.querySelectorAll('*').length")
    page.get_by_role("button", name="Next rows").click()
    expect(page.locator("#grid .pager")).to_contain_text("Rejected rows 101 to 200 of 10,000")
    cell(page, 200, "age").focus()
    page.keyboard.press("ArrowDown")
    expect(cell(page, 201, "age")).to_be_focused()
    expect(rows_shown).to_have_count(100)
    assert abs(page.evaluate("document.querySelectorAll('*').length") - nodes) < 50
    cell(page, 201, "sex").fill("Male")
    page.locator("#grid-apply").click()
    expect(count(page)).to_have_text("5,000 of 10,000 corrected")
    cell(page, 202, "age").fill("39")
    page.locator("#grid-apply").click()
    expect(count(page)).to_have_text("10,000 of 10,000 corrected")
    page.reload()
    expect(count(page)).to_have_text("10,000 of 10,000 corrected")
    page.get_by_role("button", name="Score the corrected rows").click()
    page.wait_for_url(lambda url: job["id"] not in url)
    expect(page.locator("#job-state")).to_contain_text("All 10,000 rows are done")
    expect(page.locator(".facts")).to_contain_text("Rows scored10,000")


@pytest.mark.parametrize("width", [390, *slow(1024, 1600)])
def test_the_grid_is_accessible_still_and_fits(page: Page, messy: dict[str, Any], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(messy["links"]["page"])
    expect(count(page)).to_have_text("0 of 30 corrected")
    assert page.evaluate(SHIFT) < 0.01
    assert page.evaluate("document.documentElement.scrollWidth") == width
    cell(page, 2, "sex").fill("Male")
    page.locator("#corrections details > summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert_accessible(page, "#corrections")


def test_rows_are_corrected_with_a_spreadsheet_and_without_javascript(
    new_page: NewPage, service: Stack, messy: dict[str, Any], tmp_path: Path
) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(messy["links"]["page"])
    expect(page.locator("#grid")).to_be_hidden()
    page.locator("#corrections summary").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the rejected rows to edit").click()
    download.value.save_as(tmp_path / "rejects.csv")
    table = list(csv.reader(io.StringIO((tmp_path / "rejects.csv").read_text())))
    file = page.get_by_label("Edited file")

    def upload(rows: list[list[str]]) -> None:
        out = io.StringIO()
        csv.writer(out, delimiter=";", lineterminator="\r\n").writerows(rows)
        file.set_input_files({"name": "rejects.csv", "mimeType": "text/csv", "buffer": out.getvalue().encode("utf-16")})
        page.locator("#corrections-form").get_by_role("button", name="Upload and score").click()

    upload(table)
    expect(page.get_by_role("alert")).to_contain_text("Nothing was changed")
    upload([table[0], *([*row[:8], "3", *row[9:]] for row in table[1:3])])
    expect(page.get_by_role("alert")).to_contain_text("A row is given more than once")
    sex = table[0].index("sex")
    upload([table[0], *([*row[:sex], "Male", *row[sex + 1 :]] for row in table[1:])])
    expect(page.locator("#job-state")).to_contain_text("All 60 rows are done")
    expect(page.locator(".facts")).to_contain_text("Rows rejected12")
    assert COLUMNS == table[0][:7]
