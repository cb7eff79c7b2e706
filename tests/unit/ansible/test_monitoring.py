"""Rules and dashboards name figures that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bpci_node.host.smart import DiskHealth
from bpci_node.runtime.alerts.collecting import certificates_text, disks_text
from bpci_node.runtime.backup.state import Memory, figures
from bpci_node.update.metrics import write_metrics
from bpci_node.update.settings import Settings

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


def test_what_other_programs_of_ours_write_is_what_is_listed(tmp_path: Path) -> None:
    update = Settings(state=tmp_path, metrics=tmp_path)
    write_metrics(update)
    disks = disks_text([DiskHealth("/dev/sda", is_healthy=True, wear_percent=3)]) + certificates_text({"web": 1})
    written = {
        "our collectors": disks.decode(),
        "backups": figures(Memory()),
        "updates": (tmp_path / "bpci_update.prom").read_text(),
    }
    table = (ROOT / "docs/monitoring.md").read_text().partition("## Figures")[2]
    rows = dict(re.findall(r"^\| (our collectors|backups|updates) \| (.*) \|$", table, re.MULTILINE))
    assert {name: set(re.findall(r"`(\w+)`", row)) for name, row in rows.items()} == {
        name: set(re.findall(r"^(\w+)[{ ]", text, re.MULTILINE)) for name, text in written.items()
    }


@pytest.mark.parametrize("directory", ["", "/var/lib/prometheus/node-exporter/"], ids=["older", "newer"])
def test_files_of_figures_are_known_whether_the_exporter_names_their_directory_or_not(directory: str) -> None:
    (pattern,) = re.findall(r'mtime_seconds\{file=~"([^"]+)"', (SHARE / "rules/monitoring.yml").read_text())
    for name in ("bpci_smart.prom", "bpci_tls.prom"):
        assert re.fullmatch(pattern, directory + name)
    assert not re.fullmatch(pattern, directory + "bpci_backup.prom")


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
