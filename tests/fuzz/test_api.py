"""The running service keeps what its description says, whatever it is sent: all of schemathesis's checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import ROOT, Stack

pytestmark = pytest.mark.slow

# `make fuzz` asks for more. The seed is the same each time, so that a change that passes here passes anywhere.
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "1")
SEED = os.environ.get("FUZZ_SEED", "1")


def test_the_description_and_the_service_agree(service: Stack, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/api/v1/openapi.json"),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure"),
        *("--max-examples", EXAMPLES, "--seed", SEED, "--workers", "1", "--generation-database", "none", "--no-color"),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.api_hooks", "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Tested: 32" in found.stdout, found.stdout
