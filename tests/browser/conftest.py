"""A real browser for the tests of this folder; where there is none they are skipped, and it is said so."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import chromium_path, running_chromium
from tests.browser.kinds import KINDS, Kind, add_kind
from tests.stack import Stack

WITHOUT = "the browser tests were skipped: no Chromium is installed (on Debian: apt-get install chromium)"
# Set where skipping these tests must not pass for success.
REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
SLOWEST_MS = 30_000

NewPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        if REQUIRED:
            pytest.fail(WITHOUT)
        pytest.skip(WITHOUT)
    expect.set_options(timeout=SLOWEST_MS)
    with running_chromium(path) as browser:
        yield browser


@pytest.fixture
def new_page(browser: Browser, service: Stack) -> Iterator[NewPage]:
    """Makes pages of the service; options as for a browser context. Fails where a page has script errors."""
    contexts, errors = [], list[str]()

    def make(**options: Any) -> Page:
        context = browser.new_context(**{"base_url": service.url, "timezone_id": "Asia/Tokyo", **options})
        context.set_default_timeout(SLOWEST_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A page in the usual size."""
    return new_page(viewport={"width": 1280, "height": 900})


@pytest.fixture(scope="module")
def kinds(service: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Kind]]:
    """A dozen models of other kinds, which the service has for as long as they are needed."""
    models, made = service.folder / "models", {name: make() for name, make in KINDS.items()}
    for name, kind in made.items():
        add_kind(name, kind, models, tmp_path_factory.mktemp(name))
    yield made
    for name in made:
        shutil.rmtree(models / name)
