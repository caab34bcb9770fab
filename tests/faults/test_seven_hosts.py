"""The service on hosts of its own, as network namespaces: one is killed, one is cut off, and the primary is lost."""

import json
from pathlib import Path

import pytest

from bench import hosts, namespaces


def test_no_row_is_missing_or_repeated(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not namespaces.can_be_made():
        pytest.skip("network namespaces cannot be made here")
    options = ["--rows", "60000", "--chunk-bytes", "100000", "--rounds", "0"]
    status = hosts.main([*options, "--models", str(models)])
    said = capsys.readouterr()
    assert status == 0, said.err
    report = json.loads(said.out)
    assert (report["missing"], report["repeated_or_out_of_order"]) == (0, 0)
    assert report["progress when the primary was killed"] < 1
