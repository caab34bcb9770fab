"""The units for systemd: systemd reads them without a warning, and they run the project's own commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.launch import read_procfile
from tests.ops.conftest import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
PYTHON = "/opt/scoreline/.venv/bin/python"
NO_SYSTEMD = "the units were not checked: systemd-analyze is not installed (on Debian: apt-get install systemd)"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_reads_the_unit_without_a_warning(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        (pytest.fail if os.environ.get("REQUIRE_SYSTEMD") == "1" else pytest.skip)(NO_SYSTEMD)
    here = tmp_path / unit.name.replace("@", "@bulk")
    here.write_text(unit.read_text().replace(PYTHON, sys.executable))
    command = ["systemd-analyze", "verify", "--man=no", str(here)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    # Of the machine's own units, too, there may be warnings.
    assert [line for line in checked.stderr.splitlines() if "scoreline" in line and str(tmp_path) in line] == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_unit_keeps_to_its_own_folder(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    for line in ("User=scoreline", "NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=scoreline"):
        assert line in lines
    # The launcher, or the worker's main process, tells its own processes to stop.
    assert "KillMode=mixed" in lines


def test_the_units_run_the_launcher_and_the_workers() -> None:
    texts = {unit.name: unit.read_text() for unit in UNITS}
    assert f"ExecStart={PYTHON} -m ops.launch\n" in texts["scoreline.service"]
    _, *worker = read_procfile(ROOT / "Procfile")["worker"]
    assert f"ExecStart={PYTHON} {' '.join(worker).replace('bulk', '%i')}\n" in texts["scoreline-worker@.service"]
