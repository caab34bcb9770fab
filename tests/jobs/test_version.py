"""The version stands in one place for the code and in one for packaging."""

import tomllib

from jobs.version import VERSION
from tests.stack import ROOT


def test_the_code_and_its_package_have_the_same_version() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
