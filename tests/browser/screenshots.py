"""Take the screenshots of the README on a service of its own: ``python -m tests.browser.screenshots``."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from model.census.census_model import TRAINING
from model.census.income import load_records
from model.census.train import ensure_trained
from tests.browser.chromium import chromium_path, running_chromium
from tests.browser.people import ANSWER
from tests.stack import ROOT, Stack, running_stack

FOLDER = ROOT / "docs"
WIDTH, HEIGHT = 1280, 1180


def main() -> int:
    """Run the command."""
    path = chromium_path()
    if path is None:
        print("no Chromium is installed (on Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models")
        ensure_trained(models)
        with running_stack(Path(folder, "service"), models) as service, running_chromium(path) as browser:
            take_prediction(new_page(browser, service))
            take_job(new_page(browser, service), service)
    return 0


def new_page(browser: Browser, service: Stack) -> Page:
    """Return a page of the service."""
    return browser.new_context(base_url=service.url, viewport={"width": WIDTH, "height": HEIGHT}).new_page()


def take_prediction(page: Page) -> None:
    """Take a single prediction."""
    page.goto(ANSWER)
    expect(page.locator("#probability")).to_be_visible()
    page.screenshot(path=FOLDER / "quick-form.png")


def take_job(page: Page, service: Stack) -> None:
    """Take a finished job with rejected rows."""
    frame, _ = load_records(TRAINING)
    people = frame.astype({"age": int, "hours_per_week": int}).to_csv(index=False).splitlines()
    people[1_204] = people[1_204].replace(",Bachelors,", ",Bachelor,").replace(",HS-grad,", ",HS grad,")
    people[8_809] = ",".join(["old", *people[8_809].split(",")[1:]])
    data = "\n".join([*people, ""]).encode()
    job = service.upload(data, filename="people.csv").json()
    page.goto(job["links"]["page"])
    expect(page.locator("#job-state")).to_contain_text("All 32,561 rows are done")
    page.screenshot(path=FOLDER / "job.png")


if __name__ == "__main__":
    sys.exit(main())
