"""The files of requirements name every package by its version, and no address that it comes from."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTRAS = ("explain", "boosters", "onnx", "tracing", "dev")


def pins(name: str) -> set[str]:
    return set((ROOT / name).read_text().splitlines())


@pytest.mark.parametrize("name", ["requirements.txt", *(f"requirements-{extra}.txt" for extra in EXTRAS)])
def test_every_line_is_a_package_with_its_version(name: str) -> None:
    lines = pins(name)
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9._-]+==[0-9][^ /]*( ; [^/]+)?", line)] == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_has_the_versions_that_the_service_has(extra: str) -> None:
    assert pins("requirements.txt") <= pins(f"requirements-{extra}.txt")


@pytest.mark.parametrize("extra", EXTRAS[:-1])
def test_the_test_tools_include_every_extra(extra: str) -> None:
    assert pins(f"requirements-{extra}.txt") <= pins("requirements-dev.txt")


def test_make_pins_every_file() -> None:
    makefile = (ROOT / "Makefile").read_text()
    listed = re.search(r"for name in (.*); do", makefile)
    assert listed
    assert set(listed[1].split()) == {path.stem for path in ROOT.glob("requirements*.in")}
