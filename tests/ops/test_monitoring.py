"""The alert rules and the board: every metric in them exists, every alert is described, and Prometheus reads them."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.conftest import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
RULES: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
BOARD: dict[str, Any] = json.loads((MONITORING / "grafana" / "scoreline.json").read_text())
EXPRESSIONS = [
    *(rule["expr"] for rule in RULES),
    *(target["expr"] for panel in BOARD["panels"] for target in panel["targets"]),
]
NO_PROMTOOL = "the alert rules were not checked: promtool is not installed (on Debian: apt-get install prometheus)"


def documented_metrics() -> set[str]:
    """Those of the table for operators, which are those that the service has: ``tests/e2e/test_metrics.py``."""
    table = OPERATIONS.partition("| metric |")[2].partition("\n\n")[0]
    return set(re.findall(r"`(scoreline_\w+)`", table))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_in_a_rule_or_on_the_board_exists(expression: str) -> None:
    names = {
        re.sub(r"_seconds_(bucket|count|sum)$", "_seconds", name) for name in re.findall(r"scoreline_\w+", expression)
    }
    assert names or 'up{job="scoreline"}' in expression
    assert names <= documented_metrics()


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    table = OPERATIONS.partition("| alert |")[2].partition("\n\n")[0]
    assert [rule["alert"] for rule in RULES] == re.findall(r"^\| ([A-Z]\w+) \|", table, re.MULTILINE)
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in RULES)


def test_the_board_asks_the_source_that_is_provided_and_no_panel_covers_another() -> None:
    [source] = yaml.safe_load((MONITORING / "grafana" / "datasources.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"]} == {source["uid"]}
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in BOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_prometheus_accepts_its_configuration_and_the_expressions(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        (pytest.fail if os.environ.get("REQUIRE_PROMTOOL") == "1" else pytest.skip)(NO_PROMTOOL)
    panels = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(EXPRESSIONS)]
    board = tmp_path / "board.yml"
    board.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": panels}]}))
    for command in (["check", "config", str(MONITORING / "prometheus.yml")], ["check", "rules", str(board)]):
        checked = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
