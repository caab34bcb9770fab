"""Uploads in a real browser."""

import csv
import gzip
import io
import re
import socket
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import NewPage
from tests.browser.people import HEADER, PEOPLE, ROW, csv_file, drop, many
from tests.stack import Stack, wait_until


def rows_of(page: Page, button: str) -> list[dict[str, str]]:
    """Download a file from the page of a job and read it."""
    with page.expect_download() as download:
        page.get_by_role("link", name=button).click()
    return list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))


def jobs(service: Stack) -> list[str]:
    return [job["id"] for job in service.get("/api/v1/jobs").json()["jobs"]]


def test_a_file_chosen_by_button_is_previewed_uploaded_scored_and_read(page: Page, service: Stack) -> None:
    before = jobs(service)
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(csv_file(f"{PEOPLE}{ROW},x\n"))
    preview = page.locator("#preview")
    expect(preview).to_contain_text("File preview")
    expect(preview).to_contain_text("utf-8, delimiter: comma; 4 rows")
    expect(preview).to_contain_text("Age: not a number (1 of 4 rows)")
    expect(preview.get_by_role("row", name="marital_status Marital status")).to_be_visible()
    expect(preview.get_by_role("row", name="1 <=50K 15.05% 39 State-gov")).to_be_visible()
    expect(preview.get_by_role("row", name="2 Age: not a number. <b>old</b>")).to_be_visible()
    assert jobs(service) == before, "nothing was uploaded yet"
    page.get_by_role("button", name="Upload and score people.csv").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job-state")).to_contain_text("Succeeded")
    rows = rows_of(page, "Download results")
    assert [row["prediction"] for row in rows] == ["<=50K", "", ">50K", ""]
    assert rows[0]["probability"] == "0.150521"
    expect(page.locator("#rejects")).to_contain_text("Age: not a number (1 row)")
    assert {row["row"] for row in rows_of(page, "Download rejected rows")} == {"2", "4"}


def test_a_file_may_be_dropped_anywhere_on_the_page(page: Page) -> None:
    page.goto("/models/income")
    drop(page, gzip.compress(PEOPLE.encode()), "people.csv.gz")
    expect(page.locator("#preview")).to_contain_text("File preview")
    expect(page.get_by_role("heading", name="File preview")).to_be_in_viewport()
    page.get_by_role("button", name="Upload and score", exact=True).click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job-state")).to_contain_text("All 3 rows are done")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PEOPLE.replace("age", "agee"), "Missing column: “age” (the file has “agee”: did you mean that column?)"),
        (PEOPLE.replace(",sex", ",number"), "Missing column: “sex”"),
        (f"{HEADER},Age\n{ROW},1\n", "Duplicate column: “Age”"),
        (f"{HEADER}\n", "no data rows"),
        (
            "\x89PNG\r\n\x1a\n",
            "This looks like a PNG image; a file is needed as CSV, Excel (.xlsx, .xls), OpenDocument (.ods), Parquet, "
            "Arrow or JSON lines.",
        ),
    ],
)
def test_a_wrong_file_is_refused_before_it_is_uploaded(page: Page, text: str, message: str) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(csv_file(text.encode("latin-1")))
    expect(page.locator("#file-error")).to_contain_text(message)
    expect(page.get_by_label("File", exact=True)).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Upload and score", exact=True).click()
    expect(page.locator("#preview")).to_be_focused()
    assert all("/preflight" in url for url in sent), "only the first bytes were sent for the check"
    page.get_by_label("File", exact=True).set_input_files(csv_file(PEOPLE))
    expect(page.locator("#file-error")).to_have_count(0)
    expect(page.locator("#preview")).to_contain_text("File preview")


def test_a_file_of_another_type_is_refused_with_the_next_step(page: Page) -> None:
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(csv_file(b"PK\x03\x04 xl/workbook.xml"))
    expect(page.get_by_role("heading", name="This file cannot be read")).to_be_visible()
    expect(page.locator("#preview")).to_contain_text("upload it as CSV")


def test_errors_are_shown_beside_the_fields_of_the_form(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Threshold").fill("7")
    page.get_by_role("button", name="Upload and score").click()
    expect(page.locator("#file-error")).to_have_text("Error: Choose a file, or try the sample file.")
    expect(page.locator("#threshold-error")).to_contain_text("Enter a number from 0 to 1")
    expect(page.get_by_label("Threshold")).to_be_focused()
    page.get_by_label("File", exact=True).set_input_files(csv_file(PEOPLE))
    page.get_by_role("button", name="Upload and score people.csv").click()
    expect(page.get_by_label("Threshold")).to_be_focused()
    expect(page.get_by_label("Threshold")).to_have_value("7")
    page.get_by_label("Threshold").fill("0.7")
    expect(page.locator(".error")).to_have_count(0)


def test_a_misspelt_column_is_marked_in_the_table(page: Page) -> None:
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(
        csv_file("note," + PEOPLE.replace("age", "agee").replace("\n", "\n,"))
    )
    expect(page.get_by_role("row", name="agee")).to_contain_text("Misspelt? The model needs Age")
    expect(page.get_by_role("row", name="note")).to_contain_text("passed through")


def test_the_sample_takes_one_click(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Try the sample file").click()
    expect(page.locator("#preview")).to_contain_text("sample.csv")
    expect(page.get_by_role("button", name="Upload and score sample.csv")).to_be_visible()


def break_connection(route: Route, service: Stack) -> None:
    """Break the connection of an upload after its first row, while the service still waits for the rest."""
    path, key = route.request.url.removeprefix(service.url), route.request.headers["idempotency-key"]
    headers = {"Host": "localhost", "Content-Type": "text/csv", "Content-Length": "100000", "Idempotency-Key": key}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection = socket.create_connection(("127.0.0.1", service.port))
    route.request.frame.page.once("close", lambda _: connection.close())
    connection.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n{HEADER}\n{ROW}\n".encode())
    wait_until(lambda: service.knows_key(key))
    route.abort("connectionreset")


def test_a_lost_connection_offers_a_retry(page: Page, service: Stack) -> None:
    before = jobs(service)
    page.goto("/")
    page.get_by_label("Threshold").fill("0.1")
    page.get_by_label("File", exact=True).set_input_files(csv_file(PEOPLE))
    page.route("**/api/v1/jobs?*", lambda route: break_connection(route, service), times=1)
    page.get_by_role("button", name="Upload and score people.csv").click()
    expect(page.get_by_role("heading", name="Connection lost")).to_be_visible()
    assert jobs(service) == before
    expect(page.get_by_label("Threshold")).to_have_value("0.1")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job-state")).to_contain_text("All 3 rows are done")
    assert [row["prediction"] for row in rows_of(page, "Download results")] == [">50K", "", ">50K"]


def test_an_upload_shows_its_progress_and_can_be_canceled(page: Page, service: Stack) -> None:
    before = jobs(service)
    page.goto("/")
    # 4 MB at 1 MB a second.
    page.context.new_cdp_session(page).send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_000_000},
    )
    page.get_by_label("File", exact=True).set_input_files(csv_file(many(80_000)))
    page.get_by_role("button", name="Upload and score people.csv").click()
    expect(page.get_by_role("progressbar", name="Upload")).to_have_js_property("max", len(many(80_000)))
    expect(page).to_have_title(re.compile(r"^[1-9]\d?% uploaded – people.csv"))
    expect(page.locator("#preview .hint")).to_contain_text(re.compile(r"of 4.1 MB, [\d.]+ kB per second"))
    page.get_by_role("button", name="Cancel upload").click()
    expect(page.get_by_role("heading", name="Upload canceled")).to_be_visible()
    assert jobs(service) == before


def test_without_javascript_the_form_uploads(new_page: NewPage) -> None:
    page = new_page(java_script_enabled=False)
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(csv_file(PEOPLE))
    page.get_by_role("button", name="Upload and score").click()
    page.wait_for_url("**/jobs/*")
    page.locator("#job-state", has_text="All 3 rows are done").wait_for()
    assert page.locator("#rejects").is_visible()


def test_a_file_is_scored_with_the_keyboard_alone(page: Page) -> None:
    # Intercept the file chooser early, or Chromium may open a dialog of its own.
    page.on("filechooser", lambda _: None)
    page.goto("/#upload")
    page.get_by_label("Threshold").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Options", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("File", exact=True)).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(csv_file(PEOPLE))
    expect(page.locator("#preview")).to_contain_text("File preview")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Upload and score", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job-state")).to_contain_text("Succeeded")


def test_a_messy_file_is_explained_before_it_is_uploaded(page: Page) -> None:
    page.goto("/")
    text = f"Report 2024\n{HEADER.replace(',', ';')}\n" + 2 * f"{ROW.replace(',', ';')},0\n" + "Total;;;;;;80,0\n"
    page.get_by_label("File", exact=True).set_input_files(csv_file(text))
    notes = page.locator("#preview .notes")
    expect(notes).to_contain_text("Numbers have decimal commas")
    expect(notes).to_contain_text("The first line before the header appears in the results")
    expect(notes).to_contain_text("The last line holds totals. It is rejected; all other rows are scored.")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Decimal mark").select_option(".")
    expect(page.locator("#preview")).to_contain_text("not a number (2 of 3 rows)")


def test_old_results_are_dropped_where_the_preview_offers_it(page: Page) -> None:
    page.goto("/")
    text = f"{HEADER},prediction,probability,error\n{ROW},>50K,0.9,\n"
    page.get_by_label("File", exact=True).set_input_files(csv_file(text))
    page.locator("#preview").get_by_label("Drop the columns of earlier results").check()
    expect(page.locator("#preview .notes")).to_contain_text("The 3 columns that earlier results added will be dropped.")
    page.get_by_role("button", name="Upload and score people.csv").click()
    page.wait_for_url("**/jobs/*")
    assert list(rows_of(page, "Download results")[0])[-4:] == ["hours_per_week", "prediction", "probability", "error"]
