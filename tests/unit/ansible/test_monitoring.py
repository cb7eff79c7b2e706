"""Rules and dashboards name figures that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHARE = ROOT / "ansible/roles/monitoring/files/usr/share/bpci/monitoring"
FIGURE = re.compile(r"\b(?:bpci|node|process|prometheus|alertmanager)_[A-Za-z0-9_]+")
DASHBOARDS = sorted((SHARE / "grafana/dashboards").glob("*.json"))
RULES = sorted((SHARE / "rules").glob("*.yml"))


def listed() -> set[str]:
    own = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    names = {name for name, _ in own}
    for name, kind in own:
        if kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    table = (ROOT / "docs/monitoring.md").read_text().partition("## Figures")[2].partition("\n## ")[0]
    return names | set(re.findall(r"`(\w+_\w+)`", table))


def expressions(path: Path) -> list[str]:
    if path.suffix == ".json":
        panels = json.loads(path.read_text())["panels"]
        return [target["expr"] for panel in panels for target in panel["targets"]]
    folded = r"^ {8}expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)"
    return [lines or line for lines, line in re.findall(folded, path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("path", [*RULES, *DASHBOARDS], ids=lambda path: path.name)
def test_every_figure_that_is_named_exists(path: Path) -> None:
    found = expressions(path)
    assert len(found) == len(re.findall(r"\bexpr\b", path.read_text()))
    known = listed()
    for expression in found:
        unknown = set(FIGURE.findall(expression)) - known
        assert not unknown, f"{expression}: {unknown}"


def test_dashboards_read_from_the_source_that_is_provisioned() -> None:
    source = re.findall(r"^    uid: (\w+)$", (SHARE / "grafana/provisioning/prometheus.yml").read_text(), re.MULTILINE)
    assert len({json.loads(path.read_text())["uid"] for path in DASHBOARDS}) == len(DASHBOARDS) == 4
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            assert [panel["datasource"]["uid"]] == source
            assert all(target["datasource"]["uid"] == source[0] for target in panel["targets"])


def test_no_account_with_a_known_password_comes_with_grafana() -> None:
    settings = (SHARE / "grafana/grafana-server.conf").read_text().splitlines()
    assert "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION=true" in settings
    assert "GF_SERVER_HTTP_ADDR=127.0.0.1" in settings
