"""Workbooks and tables in the browser: dropped or chosen, a sheet chosen, results downloaded in any format."""

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from playwright.sync_api import Page, expect
from python_calamine import CalamineWorkbook

from tests.browser.conftest import NewPage
from tests.e2e.test_formats_in import BOOK, FILES, ROWS


def chosen(name: str, data: bytes) -> Any:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def download(page: Page, label: str) -> bytes:
    with page.expect_download() as started:
        page.get_by_role("link", name=label, exact=True).click()
    return Path(started.value.path()).read_bytes()


def test_a_sheet_is_chosen_in_the_preview_and_the_results_come_in_every_format(page: Page) -> None:
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(chosen("people.xlsx", BOOK))
    expect(page.locator("#preview").get_by_role("heading", name="This file cannot be scored")).to_be_visible()
    page.locator("#preview").get_by_label("Sheet").select_option("People")
    expect(page.locator("#preview").get_by_role("heading", name="File preview")).to_be_visible()
    page.get_by_role("button", name="Upload and score people.xlsx").click()
    expect(page.locator("#job-state")).to_contain_text("All 300 rows are done")
    expect(page.locator("#job")).to_contain_text("xlsx, sheet People")
    book = CalamineWorkbook.from_filelike(io.BytesIO(download(page, "Excel")))
    assert len(book.get_sheet_by_index(0).to_python()) == len(ROWS) + 1
    assert pq.read_table(io.BytesIO(download(page, "Parquet"))).num_rows == len(ROWS)
    assert download(page, "CSV for Excel").startswith(b"\xef\xbb\xbf")
    assert download(page, "JSON lines").count(b"\n") == len(ROWS)


def test_without_javascript_a_sheet_is_named_in_the_form(new_page: NewPage) -> None:
    page = new_page(java_script_enabled=False)
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(chosen("book.xlsx", BOOK))
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Sheet", exact=True).fill("Persons")
    page.get_by_role("button", name="Upload and score", exact=True).click()
    expect(page.get_by_text("There is no such sheet").first).to_be_visible()
    page.get_by_label("File", exact=True).set_input_files(chosen("people.parquet", FILES["people.parquet"]))
    page.get_by_role("button", name="Upload and score", exact=True).click()
    expect(page.locator("#job-state")).to_contain_text("All 300 rows are done")
    assert download(page, "Excel").startswith(b"PK")


def test_a_line_that_is_no_json_object_is_called_that(page: Page) -> None:
    page.goto("/")
    lines = FILES["people.jsonl"].splitlines()[0] + b'\n{"age": oops\n'
    page.get_by_label("File", exact=True).set_input_files(chosen("people.jsonl", lines))
    expect(page.locator("#preview")).to_contain_text("Row: not a JSON object (1 of 2 rows)")
    expect(page.locator("#preview tr.rejected")).to_contain_text("Row: not a JSON object.")
    page.get_by_role("button", name="Upload and score people.jsonl").click()
    expect(page.locator("#rejects h3")).to_have_text("Row: not a JSON object (1 row)")
    expect(page.locator("#results tr.rejected")).to_contain_text("Row: not a JSON object.")
    expect(page.locator("#grid")).to_contain_text("Not a JSON object")
