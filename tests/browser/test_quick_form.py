"""Single predictions in a real browser."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.people import ANSWER

ERROR = "[data-field={}] .error"
TWO_FRAMES = "() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))"


def test_the_result_appears_beside_the_form_and_follows_each_change(page: Page) -> None:
    page.goto("/")
    page.evaluate("window.name = 'the first load'; window.loaded = true")
    expect(page.locator("#outcome")).to_contain_text("Fill in the form")
    page.get_by_role("button", name="Predict").click()
    probability = page.locator("#probability")
    expect(probability).to_have_text(re.compile(r"^\d+\.\d\d%$"))
    first = probability.text_content()
    page.get_by_label("Education").select_option("Doctorate")
    expect(probability).not_to_have_text(str(first))
    second = probability.text_content()
    page.get_by_label("Age", exact=True).fill("51")
    expect(probability).not_to_have_text(str(second))
    expect(page.locator("#announcements")).to_contain_text(str(probability.text_content()))
    assert page.title().startswith(str(probability.text_content()))
    assert page.evaluate("window.loaded"), "the page was not reloaded"
    expect(page.locator("#outcome")).to_contain_text("What if: the single changes with the largest effect")


def test_the_link_opens_the_form_with_the_same_values(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Age", exact=True).fill("61")
    page.get_by_label("Work class").select_option("")
    page.get_by_label("Marital status").select_option("Divorced")
    expect(page.locator("#permalink")).to_have_attribute("href", re.compile("age=61.*Divorced"))
    assert "age=61" in page.url, "a reload keeps the values"
    expect(page.locator("#permalink")).to_have_attribute("href", re.compile("workclass=&"))
    answer = page.locator("#outcome").inner_text()
    page.goto(str(page.locator("#permalink").get_attribute("href")))
    expect(page.get_by_label("Age", exact=True)).to_have_value("61")
    expect(page.get_by_label("Work class")).to_have_value("")
    expect(page.get_by_label("Marital status")).to_have_value("Divorced")
    assert page.locator("#outcome").inner_text() == answer


def test_a_click_is_not_lost_if_the_page_changes_while_the_button_is_held(page: Page) -> None:
    page.goto(ANSWER)
    hours = page.get_by_label("Hours per week")
    hours.select_text()
    page.keyboard.type("200")
    page.get_by_role("button", name="Predict").hover()
    # Pressing the button leaves the field, whose new value is validated at once; the error would move the button.
    with page.expect_event("requestfinished"):
        page.mouse.down()
    page.evaluate(TWO_FRAMES)
    page.mouse.up()
    expect(page.locator(ERROR.format("hours_per_week"))).to_be_visible()
    expect(hours).to_be_focused()


def test_an_error_shows_beside_its_field_and_input_is_kept(page: Page) -> None:
    page.goto(ANSWER)
    expect(page.locator("#probability")).to_be_visible()
    page.get_by_label("Age", exact=True).fill("200")
    page.get_by_label("Hours per week").fill("")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(ERROR.format("age"))).to_contain_text("“200” is out of range")
    expect(page.locator(ERROR.format("hours_per_week"))).to_contain_text("Enter a whole number")
    expect(page.get_by_label("Age", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Age", exact=True)).to_be_focused()
    expect(page.get_by_label("Age", exact=True)).to_have_value("200")
    expect(page.locator("#probability")).to_have_count(0)
    page.get_by_label("Age", exact=True).fill("20")
    page.get_by_label("Hours per week").fill("30")
    page.get_by_label("Hours per week").press("Tab")
    expect(page.locator("#probability")).to_be_visible()
    expect(page.locator(".error")).to_have_count(0)
    expect(page.get_by_label("Age", exact=True)).not_to_have_attribute("aria-invalid", "true")


def test_a_lost_connection_keeps_the_input_and_offers_a_retry(page: Page) -> None:
    page.goto("/")
    page.context.set_offline(True)
    page.get_by_label("Age", exact=True).fill("44")
    expect(page.locator("#outcome")).to_contain_text("Connection lost")
    expect(page.get_by_label("Age", exact=True)).to_have_value("44")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#probability")).to_be_visible()


def test_without_javascript_the_result_is_a_new_page(new_page: NewPage) -> None:
    page = new_page(java_script_enabled=False)
    page.goto("/")
    page.get_by_label("Age", exact=True).fill("50")
    page.get_by_role("button", name="Predict").click()
    page.wait_for_url("**/prediction?age=50&**")
    assert re.match(r"^\d+\.\d\d%$", str(page.locator("#probability").text_content()))
    assert page.get_by_label("Age", exact=True).input_value() == "50"
    assert not page.get_by_text("Try the sample file").is_visible(), "what needs JavaScript is hidden"


def test_the_form_is_filled_in_with_the_keyboard_alone(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(3):  # past the two links to the parts of the page
        page.keyboard.press("Tab")
    expect(page.get_by_label("Age", exact=True)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#probability")).to_be_visible()
    expect(page.get_by_label("Age", exact=True)).to_have_value("39")
