"""The Makefile with a stand-in for Python: what it tells, and what it takes for an installed .venv."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.ops.conftest import ROOT

# Makes a venv whose Python is itself; the files named in conditions make one step fail.
PYTHON = """#!/bin/sh
here={here}
echo "$*" >> $here/calls
case "$*" in
  *version_info*) test ! -e $here/too-old ;;
  *ensurepip*) test ! -e $here/no-venv ;;
  "-m venv "*) mkdir -p $3/bin && cp $0 $3/bin/python ;;
  *"pip install"*) test ! -e $here/no-index ;;
esac
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    python = tmp_path / "python"
    python.write_text(PYTHON.format(here=tmp_path))
    python.chmod(0o755)
    return tmp_path


def make(here: Path, target: str, python: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", target, f"PYTHON={python or here / 'python'}", f"VENV={here / 'venv'}"]
    # `make test` runs this, too; what it tells the makes below it is not for this one.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def calls(here: Path) -> str:
    text = (here / "calls").read_text()
    (here / "calls").unlink()
    return text


def ours(run: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in run.stderr.splitlines() if not line.startswith("make: ***")]


@pytest.mark.parametrize(("condition", "words"), [("too-old", "older than Python 3.11"), ("no-venv", "python3-venv")])
def test_a_python_that_will_not_do_is_told_in_one_line(here: Path, condition: str, words: str) -> None:
    (here / condition).touch()
    run = make(here, "run")
    assert run.returncode != 0
    assert [words in line for line in ours(run)] == [True]


def test_a_missing_python_is_told_in_one_line(here: Path) -> None:
    run = make(here, "run", python="python-that-is-not-there")
    assert run.returncode != 0
    assert ours(run) == ["scoreline: there is no 'python-that-is-not-there'; PYTHON=... names a Python 3.11 or newer"]


def test_installs_once_and_launches(here: Path) -> None:
    assert make(here, "run").returncode == 0
    assert "-m pip install" in calls(here)
    assert make(here, "run").returncode == 0
    assert calls(here) == "-m ops.launch\n"


@pytest.mark.parametrize("target", ["run", "test"])
def test_a_broken_off_install_is_begun_anew(here: Path, target: str) -> None:
    assert make(here, "run").returncode == 0
    for stamp in (here / "venv").glob(".runtime") if target == "run" else ():
        stamp.unlink()
    (here / "no-index").touch()
    assert make(here, target).returncode != 0
    (here / "no-index").unlink()
    calls(here)
    (here / "venv" / "left over").touch()
    assert make(here, "run").returncode == 0
    assert "-m venv" in calls(here)
    assert not (here / "venv" / "left over").exists()


def test_a_venv_whose_python_has_gone_is_made_anew(here: Path) -> None:
    assert make(here, "run").returncode == 0
    python = here / "venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    assert make(here, "run").returncode == 0
    assert not python.is_symlink()
