"""A real browser for the tests of this folder, which are skipped with a message where there is none."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import chromium_path, running_chromium
from tests.browser.contexts import Contexts
from tests.browser.kinds import KINDS, Kind, add_kind
from tests.made_once import made_once
from tests.stack import Stack

NO_CHROMIUM = "the browser tests were skipped: no Chromium is installed (on Debian: apt-get install chromium)"
# Fail instead of skipping.
REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
TIMEOUT_MS = 30_000

NewPage = Callable[..., Page]


def predict(page: Page) -> None:
    """Click Predict and wait for the prediction of what is in the form.

    The form predicts while it is filled in, so a result alone may be that of the fields filled in so far.
    """
    page.get_by_role("button", name="Predict").click()
    expect_prediction_complete(page)


def expect_prediction_complete(page: Page) -> None:
    """Wait until no prediction is under way; after typing, one starts only after a pause or when the field is left."""
    expect(page.locator("#outcome")).not_to_have_attribute("aria-busy", "true")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        if REQUIRED:
            pytest.fail(NO_CHROMIUM)
        pytest.skip(NO_CHROMIUM)
    expect.set_options(timeout=TIMEOUT_MS)
    with running_chromium(path) as browser:
        yield browser


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[Contexts]:
    """Contexts for the tests of a module."""
    contexts = Contexts(browser, TIMEOUT_MS)
    yield contexts
    contexts.close()


@pytest.fixture
def new_page(contexts: Contexts, service: Stack) -> Iterator[NewPage]:
    """A factory of pages of the service, with options of ``Contexts``. Fails on script errors."""
    errors = list[str]()

    def make(**options: Any) -> Page:
        page = contexts.new_page(**{"base_url": service.url, "timezone_id": "Asia/Tokyo", **options})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
        return page

    yield make
    contexts.give_back()
    assert not errors


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A page of desktop size."""
    return new_page(viewport={"width": 1280, "height": 900})


@pytest.fixture(scope="module")
def kinds(service: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Kind]]:
    """Models of all other kinds, in the service as long as the tests of a module need them."""
    models, kinds_ = service.folder / "models", {name: make() for name, make in KINDS.items()}

    def make(folder: Path) -> None:
        for name, kind in kinds_.items():
            add_kind(name, kind, folder, tmp_path_factory.mktemp(name))

    made = made_once(tmp_path_factory, "kinds", make)
    for name in kinds_:
        shutil.copytree(made / name, models / name)
    yield kinds_
    for name in kinds_:
        shutil.rmtree(models / name)
