"""The pages of a service that asks who you are: they work without JavaScript, fit all widths, and are accessible."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.people import HEADER, PEOPLE, ROW, csv_file
from tests.browser.test_all_pages import assert_accessible
from tests.stack import Stack, running_stack, wait_until

pytestmark = pytest.mark.slow

EMAIL, PASSWORD = "ann@example.org", "correct horse battery"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    """A service with an administrator, who has one job of a name and two of another, and actual outcomes."""
    settings = {"SCORELINE_AUTH": "on", "SCORELINE_WEB_PROCESSES": "1"}
    with running_stack(tmp_path_factory.mktemp("accounts"), models, **settings) as stack:
        log = stack.folder / "log"
        address = wait_until(lambda: re.search(r"/welcome/[\w-]+", log.read_text()))[0]
        with stack.client() as browser:
            secret = re.search(r'csrf-token" content="([^"]+)"', browser.get(address).text)
            assert secret
            form = {"email": EMAIL, "name": "Ann", "password": PASSWORD, "_csrf_token": secret[1]}
            browser.post(address, data=form)
            secret = re.search(r'csrf-token" content="([^"]+)"', browser.get("/account").text)
            assert secret
            headers = {"X-CSRF-Token": secret[1], "Content-Type": "text/csv", "Prefer": "wait=60, until=ended"}
            for name in ("people.csv", "people.csv", "loans.csv"):
                job = browser.post(f"/api/v1/jobs?filename={name}", content=PEOPLE.encode(), headers=headers).json()
            outcomes = f"job,row,value\n{job['id']},1,<=50K\n{job['id']},3,>50K\n"
            browser.post("/api/v1/models/income/outcomes", content=outcomes.encode(), headers=headers)
            wait_until(lambda: "Live performance" in browser.get("/models/income").text)
            wait_until(lambda: browser.get(f"/api/v1/history/jobs/{job['id']}").status_code == 200)
        yield stack


def sign_in(page: Page, path: str = "/account") -> Page:
    page.goto(path)
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(re.escape(path)))
    return page


def assert_fits(page: Page) -> None:
    for width in (390, 1024, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert not page.locator(".scroll:has(.entries)").evaluate_all(
            "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).map(box => box.innerText)"
        )
    assert_accessible(page)


def test_a_legend_tells_the_series_of_a_single_week_apart(page: Page, service: Stack) -> None:
    sign_in(page, "/history")
    figures = page.locator("figure.plot").filter(has=page.locator(".legend"))
    expect(figures.first).to_be_visible()
    looks = "dots => dots.map(dot => dot.tagName + getComputedStyle(dot).stroke)"
    for figure in figures.all():
        in_legend = figure.locator(".legend .dot").evaluate_all(looks)
        assert len({look.partition("rgb")[0] for look in in_legend}) == len(set(in_legend)) == len(in_legend) > 1
        assert figure.locator(":scope > svg .dot").evaluate_all(looks) == in_legend


def test_the_page_for_signing_in_says_what_is_wrong(page: Page) -> None:
    page.goto("/signin?next=/jobs")
    assert_fits(page)
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("The e-mail address or the password is wrong.")
    expect(page.get_by_label("E-mail address")).to_have_value(EMAIL)
    assert_fits(page)


@pytest.mark.parametrize(
    "path",
    [
        *("/account", "/tokens", "/users", "/audit", "/jobs?sort=name", "/", "/history?model=income"),
        *("/history/deletion?model=income", "/models/income"),
    ],
)
def test_a_page_for_people_with_an_account_is_accessible_and_fits(page: Page, path: str) -> None:
    sign_in(page, "/account")
    page.goto(path)
    assert_fits(page)


def test_on_a_phone_each_user_is_a_card_with_all_that_may_be_changed(new_page: NewPage) -> None:
    page = sign_in(new_page(viewport={"width": 390, "height": 900}, java_script_enabled=False), "/users")
    user = page.get_by_role("row").filter(has_text=EMAIL)
    expect(user.get_by_role("button", name="Disable")).to_be_in_viewport(ratio=1)
    expect(user.get_by_role("button", name="New password")).to_be_in_viewport(ratio=1)
    cells = user.get_by_role("cell")
    titles = cells.evaluate_all("cells => cells.map(cell => getComputedStyle(cell, '::before').content)")
    assert titles == ['"Role"', '"Last signed in"', '"Account"']


def test_a_wide_table_of_figures_keeps_its_first_column_in_view(new_page: NewPage) -> None:
    page = sign_in(new_page(viewport={"width": 390, "height": 900}), "/models/income")
    box = page.locator("#live-figures").locator("..")
    first = box.get_by_role("rowheader").first
    expect(first).to_be_visible()
    box.evaluate("box => box.scrollLeft = box.scrollWidth")
    assert first.evaluate("cell => cell.getBoundingClientRect().left") == box.evaluate(
        "box => box.getBoundingClientRect().left"
    )


def test_everything_works_without_javascript(new_page: NewPage) -> None:
    page = sign_in(new_page(java_script_enabled=False))
    page.goto("/tokens")
    page.get_by_label("Used by").fill("nightly report")
    page.get_by_role("button", name="Create token").click()
    expect(page.locator("#token")).to_have_text(re.compile(r"scl_\w{49}"))
    page.goto("/tokens")
    page.get_by_role("button", name="Revoke nightly report").click()
    expect(page.locator("main")).to_contain_text("The token is revoked.")
    page.goto("/users")
    page.get_by_label("E-mail address").fill("ben@example.org")
    page.get_by_role("button", name="Invite").click()
    expect(page.locator("#address")).to_contain_text("/welcome/")
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(csv_file(PEOPLE))
    page.get_by_label("Show the job to everyone who is signed in").check()
    page.get_by_role("button", name="Upload and score").click()
    expect(page).to_have_url(re.compile(r"/jobs/[0-9a-f]{32}"))
    page.goto("/account")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/account")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_file_is_checked_and_uploaded_by_who_is_signed_in(page: Page) -> None:
    sign_in(page)
    page.goto("/")
    page.get_by_label("Age", exact=True).fill("50")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#probability")).to_be_visible()
    page.get_by_label("File", exact=True).set_input_files(csv_file(PEOPLE))
    expect(page.locator("#preview")).to_contain_text("File preview")
    page.get_by_role("button", name="Upload and score").first.click()
    expect(page).to_have_url(re.compile(r"/jobs/[0-9a-f]{32}"))
    expect(page.locator("#job-state")).to_contain_text("done")


def test_rejected_rows_are_corrected_by_who_is_signed_in(page: Page) -> None:
    sign_in(page)
    page.goto("/")
    page.get_by_label("File", exact=True).set_input_files(csv_file(f"{HEADER}\n{ROW}\n{ROW.replace('Male', 'M')}\n"))
    page.get_by_role("button", name="Upload and score").first.click()
    page.get_by_label("sex, row 2", exact=True).fill("Male")
    page.get_by_role("button", name="Score the corrected rows").click()
    expect(page.locator("#job")).to_contain_text("Corrects rejected rows of")


def test_what_is_selected_stays_so_while_the_list_refreshes(page: Page) -> None:
    sign_in(page, "/jobs?q=people")
    expect(page.locator(".apart").first).to_be_visible()  # equal names are told apart
    box = page.get_by_role("checkbox").first
    box.check()
    with page.expect_response(re.compile("/jobs")):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("checkbox").first).to_be_checked()
    page.get_by_role("button", name="Delete selected").click()
    expect(page.get_by_role("heading", name="Delete 1 job?")).to_be_visible()
    assert_fits(page)
    page.get_by_role("link", name="Keep").click()


def upload_and_refresh(page: Page, name: str) -> None:
    """Upload a file as another page of the same browser does, and refresh the list."""
    page.evaluate(
        """([name, body]) => fetch(`/api/v1/jobs?filename=${name}`, { method: "POST", body, headers: {
            "Content-Type": "text/csv", "X-CSRF-Token": document.querySelector("[name=csrf-token]").content } })""",
        [name, PEOPLE],
    )
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_the_focus_stays_on_its_job_while_others_arrive(page: Page) -> None:
    sign_in(page, "/jobs?q=people")
    box = page.get_by_role("checkbox", name="Select people").last
    box.focus()
    chosen, count = box.get_attribute("value"), page.locator("[name=job]").count()
    upload_and_refresh(page, "people.csv")
    expect(page.locator("[name=job]")).to_have_count(count + 1)
    page.keyboard.press("Space")
    expect(page.locator("[name=job]:checked")).to_have_attribute("value", str(chosen))


def test_what_can_be_done_with_jobs_appears_with_the_first_one(page: Page) -> None:
    sign_in(page, "/jobs?q=first")
    delete = page.get_by_role("button", name="Delete selected")
    expect(delete).to_be_hidden()
    upload_and_refresh(page, "first.csv")
    expect(page.locator("[name=job]")).to_have_count(1)
    expect(delete).to_be_visible()


def test_all_jobs_of_a_page_are_selected_at_once(page: Page) -> None:
    sign_in(page, "/jobs?q=people")
    boxes, every = page.get_by_role("checkbox", name="Select people"), page.get_by_label("Select all on this page")
    expect(every).to_be_in_viewport(ratio=1)  # also where the list is long
    every.check()
    number = boxes.count()
    expect(page.locator("[name=job]:checked")).to_have_count(number)
    expect(page.locator("main")).to_contain_text(f"{number} selected")
    boxes.first.uncheck()
    expect(every).not_to_be_checked()
    expect(page.locator("main")).to_contain_text(f"{number - 1} selected")
    every.check()
    every.uncheck()
    expect(page.locator("[name=job]:checked")).to_have_count(0)


def test_the_api_page_takes_a_token(page: Page) -> None:
    sign_in(page, "/tokens")
    page.get_by_label("Used by").fill("docs")
    page.get_by_role("button", name="Create token").click()
    token = page.locator("#token").inner_text()
    page.goto("/api/v1/docs")
    page.get_by_role("button", name="Authorize", exact=True).first.click()
    page.locator(".modal-ux input").fill(token)
    page.locator(".modal-ux .auth-btn-wrapper button[type=submit]").click()
    page.locator(".modal-ux .close-modal").click()
    page.context.clear_cookies()
    page.get_by_role("button", name="List jobs").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
