"""Single predictions of other models: long texts, odd names, unseen values, a slow phone, two tabs."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage, expect_prediction_complete, predict
from tests.browser.kinds import Kind
from tests.browser.people import ANSWER, csv_file
from tests.browser.test_all_pages import LIGHT, assert_accessible

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
TOP = "element => element.getBoundingClientRect().top"
SLOW = {"offline": False, "latency": 1_500, "downloadThroughput": 100_000, "uploadThroughput": 50_000}

pytestmark = pytest.mark.usefixtures("kinds")


def slow_down(page: Page) -> None:
    """Make an open page as slow as on an old phone with a bad connection."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    session.send("Network.emulateNetworkConditions", SLOW)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_long_text_has_a_prediction_but_no_link(new_page: NewPage, javascript: bool) -> None:
    page = new_page(java_script_enabled=javascript)
    page.goto("/models/reviews")
    # The leading line end and spaces are part of the text.
    text = "\n good " + "Überall gut! " * 20_000
    page.locator("[name=review]").fill(text)
    page.locator("[name=kind]").select_option("house")
    page.locator("[name=stars]").fill("4.5")
    predict(page)
    expect(page.locator("#decision")).to_have_text("glad")
    expect(page.locator("#outcome")).to_contain_text("too long for a link")
    assert page.locator("[name=review]").input_value() == text


def test_a_short_text_is_shared_by_a_link(page: Page) -> None:
    page.goto("/models/reviews")
    page.locator("[name=review]").fill("bad,\nreally bad & ugly")
    page.locator("[name=kind]").select_option("flat")
    page.locator("[name=stars]").fill("1")
    predict(page)
    expect(page.locator("#decision")).to_have_text("sad")
    page.goto(str(page.locator("#permalink").get_attribute("href")))
    assert page.locator("[name=review]").input_value() == "bad,\nreally bad & ugly"
    expect(page.locator("#decision")).to_have_text("sad")


def test_features_named_like_parameters_are_independent_of_them(page: Page, kinds: dict[str, Kind]) -> None:
    page.goto("/models/names")
    # A field of that name hides the property of the form.
    get_id = "element => Element.prototype.getAttribute.call(element, 'id')"
    ids = page.locator("[id]").evaluate_all(f"elements => elements.map({get_id})")
    assert len(ids) == len(set(ids))
    assert not [own for own in ids if any(character.isspace() for character in own)]
    for place, name in enumerate(kinds["names"].inputs):
        page.locator(f'#record-form [name="{name}"]').fill(str(10 + place))
    predict(page)
    expect(page.locator("#decision")).to_be_visible()
    page.reload()
    assert page.locator("#record-form [name=threshold]").input_value() == "12"
    assert page.locator("#upload-form [name=threshold]").input_value() == "0.5"
    page.locator("#record-form [name='A b']").fill("twelve")
    predict(page)
    expect(page.locator("#record-form .error")).to_have_text("Error: “twelve” is not a number. Enter a number.")
    expect(page.locator("#record-form [name='A b']")).to_be_focused()


def test_unseen_values_are_scored_with_a_warning(new_page: NewPage) -> None:
    for javascript in (False, True):
        page = new_page(java_script_enabled=javascript)
        page.goto("/models/unseen")
        age, pet = page.locator("[name=age]"), page.locator("[name=pet]")
        expect(page.locator("[data-field=age]")).to_contain_text("In training: 1")
        expect(page.locator("[data-field=pet]")).to_contain_text("two dogs")
        assert not any(age.get_attribute(limit) for limit in ("min", "max", "step"))
        age.fill("140.5")
        page.locator("[name=income]").fill(" +3e3 ")
        pet.fill("Hamster")
        predict(page)
        expect(page.locator("#decision")).to_be_visible()
        expect(page.locator("#record-form .error")).to_have_count(0)
        expect(page.locator("[data-field=age] .unusual")).to_contain_text("“140.5” is")
        expect(page.locator("[data-field=pet] .unusual")).to_have_text(
            "“Hamster” was not seen in training. It is scored anyway."
        )
        assert "warning" in str(pet.get_attribute("aria-describedby"))
        expect(page.locator("#outcome-warnings li")).to_have_count(2)
    assert_accessible(page, "#record", [LIGHT])


def test_rows_with_warnings_are_counted_on_the_page_of_their_job(page: Page, kinds: dict[str, Kind]) -> None:
    frame = kinds["unseen"].inputs.head(5).astype(object)
    frame.loc[1, "age"], frame.loc[[1, 2], "pet"], frame.loc[4, "income"] = 150, "Hamster", "much"
    page.goto("/models/unseen")
    page.get_by_label("File", exact=True).set_input_files(csv_file(frame.to_csv(index=False)))
    expect(page.locator("#preview ul").last.locator("li")).to_have_text(
        ["Age: outside the range seen in training (1 of 5 rows)", "Pet: not seen in training (2 of 5 rows)"]
    )
    page.get_by_label("Add a column with warnings").check()
    page.get_by_role("button", name="Upload and score", exact=True).click()
    expect(page.locator("#job-state")).to_contain_text("All 5 rows are done")
    expect(page.locator("#job")).to_contain_text("Scored with a warning2")
    expect(page.locator("#warnings")).to_contain_text("2 of 4 scored rows have values not seen in training")
    expect(page.locator("#warnings tbody tr")).to_have_text(
        ["PetNot seen in training2", "AgeOutside the range seen in training1"]
    )
    expect(page.locator("#results tbody tr").nth(1)).to_contain_text("Hamster")
    expect(page.locator("#results thead")).to_contain_text("warnings")
    expect(page.locator("#results tr.rejected")).to_have_count(1)
    assert_accessible(page, "#warnings", [LIGHT])


def test_a_model_without_a_threshold_mentions_none(page: Page) -> None:
    page.goto("/models/likeliest")
    expect(page.get_by_label("Threshold")).to_have_count(0)
    for name in ("size_0", "size_1"):
        page.locator(f"[name={name}]").fill("50")
    predict(page)
    expect(page.locator(".decision")).to_contain_text("Predicted class: ")
    assert "hreshold" not in page.locator("main").inner_text()


def test_a_custom_threshold_is_called_so(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Try the sample file").click()
    page.get_by_label("Threshold").fill("0.3")
    page.get_by_role("button", name="Upload and score sample.csv").click()
    expect(page.locator("#job-state")).to_contain_text("Succeeded")
    expect(page.locator("#job")).to_contain_text("0.3 (custom; default 0.5)")


@pytest.mark.parametrize(("name", "is_explained"), [("votes", False), ("targets", False), ("binary", True)])
def test_feature_contributions_are_promised_only_where_there_are_any(page: Page, name: str, is_explained: bool) -> None:
    page.goto(f"/models/{name}")
    assert ("feature contributions" in page.locator("#outcome").inner_text()) == is_explained
    provenance = page.locator("#about dt", has_text="Feature contributions").locator("..")
    expect(provenance).to_contain_text("Available, by" if is_explained else "Not available:")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("targets", ["heat load", "Kühllast"]),
        ("labels", ["sells", "grade"]),
        ("outliers", ["outlier", "Outlier score", "below 0 is an outlier"]),
        ("clusters", ["Distance to the cluster center"]),
    ],
)
def test_all_pages_show_the_output_of_other_kinds(
    page: Page, kinds: dict[str, Kind], name: str, words: list[str]
) -> None:
    page.goto(f"/models/{name}")
    for column in kinds[name].inputs:
        page.locator(f"[name={column}]").fill("500")
    predict(page)
    for text in words:
        expect(page.locator("#outcome")).to_contain_text(text)
    assert_accessible(page, "#outcome", [LIGHT])
    if name in ("targets", "labels"):
        expect(page.locator("#about")).to_contain_text("2 targets")
    page.get_by_label("File", exact=True).set_input_files(csv_file(kinds[name].inputs.to_csv(index=False)))
    expect(page.locator("#preview th").first).to_be_visible()
    assert "undefined" not in page.locator("#preview").inner_text()
    page.get_by_role("button", name="Upload and score", exact=True).click()
    expect(page.locator("#job-state")).to_contain_text("Succeeded")
    counts = {"labels": ["sells", "grade", "50.0%"], "outliers": ["outlier", "normal"], "clusters": ["0", "1", "2"]}
    for text in counts.get(name, []):
        expect(page.locator("section.results")).to_contain_text(text)
    if name in counts:
        assert_accessible(page, "section.results", [LIGHT])


@pytest.mark.parametrize("name", ["wide58", "wide751"])
def test_the_result_stays_in_view_beside_a_form_of_many_fields(page: Page, kinds: dict[str, Kind], name: str) -> None:
    page.goto(f"/models/{name}")
    values = kinds[name].inputs.iloc[0].to_dict()
    fill = "(form, values) => form.querySelectorAll('input').forEach((input) => { input.value = values[input.name]; })"
    page.locator("#record-form").evaluate(fill, values)
    predict(page)
    expect(page.locator("#probability")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Predict")).to_be_in_viewport()
    field = page.locator("#record-form input").nth(20)
    field.fill("51")
    field.press("Tab")
    expect_prediction_complete(page)
    expect(page.locator("#announcements")).to_contain_text("probability")
    expect(page.locator("#probability")).to_be_in_viewport()
    for width in (390, 1024, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width


# A slow phone, a held button, a second tab


def test_on_a_slow_phone_the_result_is_scrolled_to_at_once_and_stays_in_place(new_page: NewPage) -> None:
    page = new_page(**PHONE)
    page.goto("/")
    slow_down(page)
    page.get_by_role("button", name="Predict").tap()
    outcome = page.locator("#outcome")
    expect(outcome).to_have_attribute("aria-busy", "true")
    expect(page.locator("#outcome-heading")).to_be_in_viewport()
    before = page.locator("#outcome-heading").evaluate(TOP)
    expect(page.locator("#probability")).to_be_in_viewport()
    assert page.locator("#outcome-heading").evaluate(TOP) == pytest.approx(before, abs=1)
    expect(outcome).not_to_have_attribute("aria-busy", "true")


def test_on_a_phone_each_prediction_scrolls_to_the_result(new_page: NewPage) -> None:
    page = new_page(**PHONE)
    page.goto(ANSWER)
    expect(page.locator("#follow")).to_contain_text("see the result")
    for age in ("40", "50"):
        page.get_by_label("Age", exact=True).fill(age)
        page.get_by_role("button", name="Predict").tap()
        expect(page.locator("#probability")).to_be_in_viewport()


def test_a_late_error_does_not_move_the_field_being_edited(new_page: NewPage) -> None:
    page = new_page(**PHONE)
    page.goto("/")
    # As in Safari, which does not keep the place by itself.
    page.evaluate("document.documentElement.style.overflowAnchor = 'none'")
    age, hours = page.get_by_label("Age", exact=True), page.get_by_label("Hours per week")
    slow_down(page)
    age.fill("200")
    hours.focus()
    before = hours.evaluate(TOP)
    expect(page.locator("[data-field=age] .error")).to_have_count(1)
    assert hours.evaluate(TOP) == pytest.approx(before, abs=1)
    expect(hours).to_be_focused()


def test_a_button_held_while_switching_windows_does_not_block_the_page(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Try the sample file").hover()
    page.mouse.down()
    # The event of switching to another window; the button is released there.
    page.evaluate("dispatchEvent(new Event('blur'))")
    page.get_by_label("Age", exact=True).evaluate("input => input.form.requestSubmit()")
    expect(page.locator("#probability")).to_be_visible()


def test_two_tabs_are_independent(new_page: NewPage) -> None:
    first = new_page()
    second = first.context.new_page()
    for page, age in ((first, "30"), (second, "60")):
        page.goto("/")
        page.get_by_label("Age", exact=True).fill(age)
        page.get_by_role("button", name="Predict").click()
    for page, age in ((first, "30"), (second, "60")):
        expect(page.locator("#probability")).to_be_visible()
        assert f"age={age}&" in page.url
        assert page.get_by_label("Age", exact=True).input_value() == age
    assert first.locator("#probability").text_content() != second.locator("#probability").text_content()
    # After going back, form and result still match.
    shown = first.locator("#probability").text_content()
    first.goto("/jobs")
    first.go_back()
    assert first.get_by_label("Age", exact=True).input_value() == "30"
    expect(first.locator("#probability")).to_have_text(str(shown))
