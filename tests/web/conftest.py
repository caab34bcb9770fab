"""What the tests of the pages share."""

from collections.abc import Iterator

import pytest

from tests.stack import Stack
from tests.web.reading import upload_by_form
from tests.web.records import FAULTY


@pytest.fixture
def job_path(service: Stack) -> Iterator[str]:
    """The page of a job with one row scored and three rejected."""
    path = upload_by_form(service, FAULTY).headers["Location"]
    yield path
    service.request("POST", f"{path}/delete")
