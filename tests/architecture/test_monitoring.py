"""Alerts and the Grafana dashboard: promtool reads them, and every figure that they ask for is documented."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.repository import ROOT
from tests.support.tools import require

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
BOARD = ROOT / "deploy" / "grafana" / "tepi.json"
PAGE = ROOT / "docs" / "logs-and-metrics.md"
METRIC = re.compile(r"\btepi_(?:edge|control|dns|origin)_[a-z_]+")
PARTS_OF_A_HISTOGRAM = ("_bucket", "_sum", "_count")


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [require("promtool"), *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return list(json.loads(BOARD.read_text())["panels"])


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def documented() -> set[str]:
    return set(METRIC.findall(PAGE.read_text()))


def test_promtool_finds_nothing_wrong_with_the_alerts() -> None:
    checked = promtool("check", "rules", "--lint-fatal", ALERTS)
    assert checked.returncode == 0, checked.stderr + checked.stdout


def test_alerts_are_raised_when_they_should_be_and_only_then() -> None:
    tested = promtool("test", "rules", ALERTS.with_name("alerts.test.yaml"))
    assert tested.returncode == 0, tested.stderr + tested.stdout


def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    variables = {"$__rate_interval": "5m", "$site": ".*", "$node": ".*"}
    rules = []
    for number, query in enumerate(queries()):
        for name, value in variables.items():
            query = query.replace(name, value)
        assert "$" not in query
        rules.append({"record": f"query:{number}", "expr": query})
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stderr + checked.stdout


@pytest.mark.parametrize("asked", [*queries(), *(alert["expr"] for alert in alerts())])
def test_every_figure_that_is_asked_for_is_documented(asked: str) -> None:
    for name in METRIC.findall(asked):
        for ending in PARTS_OF_A_HISTOGRAM:
            name = name.removesuffix(ending)
        assert name in documented()


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in ("warning", "critical")
        assert set(alert["annotations"]) == {"summary", "description"}


def test_panels_have_units_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
