"""What all pages have in common: errors, origins, and that they are whole and self-contained."""

from urllib.parse import urlsplit

import pytest

from tests.stack import Stack
from tests.web.reading import Page, page_of
from tests.web.records import QUICK


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nothing", 404, "Page not found"),
        ("GET", "/jobs/0123456789abcdef", 404, "Job not found It may have expired or been deleted."),
        ("GET", "/models/nothing", 404, "Model not found"),
        ("GET", "/predictions/nothing", 404, "Prediction not found"),
        ("POST", "/", 405, "Method not allowed"),
        ("GET", "/jobs?state=lost", 422, "Invalid parameter"),
        ("GET", "/jobs?cursor=lost", 422, "Invalid parameter"),
        ("POST", "/jobs/0123456789abcdef/cancel", 404, "Job not found"),
    ],
)
def test_errors_are_pages_that_say_what_to_do_next(
    service: Stack, method: str, path: str, status: int, text: str
) -> None:
    page = Page(service.request(method, path))
    assert page.status == status
    assert text in page.text("main")
    assert {"/", "/jobs"} <= set(page.links())
    assert service.get(f"/api/v1{path.partition('?')[0]}/nothing").headers["Content-Type"] == "application/problem+json"


def test_deleting_a_job_that_is_gone_leads_to_the_list(service: Stack) -> None:
    answer = service.request("POST", f"/jobs/{'0123456789abcdef' * 2}/delete")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://elsewhere.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://elsewhere.example"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({}, True),
    ],
)
def test_forms_of_other_sites_change_nothing(
    service: Stack, job_path: str, headers: dict[str, str], allowed: bool
) -> None:
    answer = service.request("POST", f"{job_path}/delete", headers=headers)
    assert answer.status_code == (303 if allowed else 403)
    assert page_of(service, job_path).status == (404 if allowed else 200)


def test_the_own_origin_is_allowed(service: Stack) -> None:
    answer = service.request("POST", f"/jobs/{'0' * 32}/delete", headers={"Origin": service.url})
    assert answer.status_code == 303


@pytest.mark.parametrize("path", ["/", "/models/income", QUICK + "?age=1", "/jobs", "/nothing", "/api/v1/docs"])
def test_every_page_is_whole_and_asks_nobody_else(service: Stack, path: str) -> None:
    answer = service.get(path)
    page = Page(answer)
    assert page.root.attrib["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert "#main" in page.links(), "the skip link"
    assert not page.all("style")
    assert not [element for element in page.root.iter() if "style" in element.attrib]
    assert all(script.attrib["src"] and not script.text for script in page.all("script"))
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]
    labels = {label.attrib["for"] for label in page.all("label")}
    for tag in ("input", "select"):
        shown = [e for e in page.all(tag) if e.get("type") != "hidden"]
        assert all(e.get("aria-label") or e.attrib["id"] in labels for e in shown)
    for element in page.root.iter():
        for address in (element.get("src"), element.get("href")):
            assert not address or not urlsplit(address).netloc
            if address and element.tag in ("link", "script"):
                assert service.get(address).status_code == 200
