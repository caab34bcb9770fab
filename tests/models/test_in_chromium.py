"""Some of the models in a real browser: the form filled in, and the file uploaded and downloaded again."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import TIMEOUT_MS, browser  # noqa: F401
from tests.models.answers import ExpectedPredictions
from tests.models.case import TrainedModel
from tests.models.cases import CASES
from tests.models.ways import differences_of_file, differences_of_page, read_results, run_model, typed
from tests.stack import Stack, wait_until

# With more fields, typing into each takes too long.
MAX_TYPED = 60
FILL = """(form, record) => {
    for (const control of form.querySelectorAll("[name]"))
        if (control.name in record) control.value = record[control.name];
}"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(case, id=case.name, marks=[pytest.mark.models, pytest.mark.xdist_group(case.name)])
        for case in CASES.values()
        if case.browser
    ],
)
def owned(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, TrainedModel]:
    """An added model, and what its owner has."""
    case = request.param
    name, trained = f"{case.name}-in-chromium", case.bring(tmp_path_factory.mktemp(case.name))
    run = run_model(stack, "add", *trained.words, "--name", name)
    assert run.returncode == 0, run.stderr
    return name, trained


@pytest.fixture(params=[True, False], ids=["with-javascript", "without"])
def page(request: pytest.FixtureRequest, browser: Browser, stack: Stack) -> Iterator[Page]:  # noqa: F811
    """A page of the service; an error in its scripts fails the test."""
    context = browser.new_context(base_url=stack.url, java_script_enabled=request.param)
    context.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    found = context.new_page()
    found.on("pageerror", lambda error: errors.append(str(error)))
    yield found
    context.close()
    assert not errors


def answers_of(trained: TrainedModel) -> ExpectedPredictions:
    return trained.answers(trained.table.inputs(trained.scored))


def test_the_form_shows_the_pipelines_own_answer(page: Page, owned: tuple[str, TrainedModel]) -> None:
    name, trained = owned
    wanted = answers_of(trained)
    plain = trained.table.features(trained.scored)
    page.goto(f"/models/{name}")
    for place in (0, len(plain) - 1):
        fill(page, typed(plain.iloc[place]))
        page.get_by_role("button", name="Predict").click()
        with suppress(AssertionError):
            wait_until(partial(_shows, page, wanted, place), TIMEOUT_MS / 1000)
        assert not differences_of_page((200, page.content()), wanted, place)


def _shows(page: Page, wanted: ExpectedPredictions, place: int) -> bool:
    return not differences_of_page((200, page.content()), wanted, place)


def fill(page: Page, record: dict[str, str]) -> None:
    """Fill in the form, field by field."""
    form = page.locator("#record-form")
    if len(record) > MAX_TYPED:
        form.evaluate(FILL, record)
        return
    names = form.locator("[name]").evaluate_all("controls => controls.map((control) => control.name)")
    for name, text in record.items():
        if name not in names:  # what the pipeline does not use
            continue
        control = form.locator("[name]").nth(names.index(name))
        if control.evaluate("control => control.tagName") == "SELECT":
            control.select_option(text)
        else:
            control.fill(text)


def test_an_uploaded_file_is_downloaded_with_the_pipelines_own_answers(
    page: Page, owned: tuple[str, TrainedModel]
) -> None:
    name, trained = owned
    wanted = answers_of(trained)
    page.goto(f"/models/{name}")
    page.locator("#file").set_input_files(str(trained.upload))
    page.get_by_role("button", name="Upload and score", exact=True).click()
    page.wait_for_url("**/jobs/*")
    page.locator("#job-state", has_text=f"All {len(wanted.labels):,} rows are done").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download results").click()
    data = Path(download.value.path()).read_bytes()
    found, sent = read_results(trained.upload.read_bytes(), data, str(trained.table.options.get("sep", ",")))
    assert found.records == sent[1:]
    assert not differences_of_file(found, wanted, trained.table.target, trained.has_scores)
