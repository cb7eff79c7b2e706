"""The role that watches: rules proved by Prometheus's own tool, and real alerts that reach real receivers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.infra.alert_cases import CASES, promtool_tests
from tests.infra.conftest import Owned
from tests.infra.container import ROOT, Container
from tests.infra.native import Play, in_root

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

ROLE = ROOT / "ansible/roles/monitoring/files/usr"
SHARE = "/usr/share/bpci/monitoring"
RULES = sorted(path.name for path in (ROLE / "share/bpci/monitoring/rules").glob("*.yml"))
UNITS = sorted(path.name for path in (ROLE / "lib/systemd/system").iterdir())
SINK = "/srv/bpci/tests/infra/alert_sink.py"
CONFIG = """v = 1
[[mail]]
name = "owner"
to = ["owner@example.org"]
from = "node@example.org"
server = "127.0.0.1"
port = 2525
security = "none"
user = "node"
password_file = "/etc/bpci/alerts/mail.password"
[[ntfy]]
name = "phone"
url = "http://127.0.0.1:8080"
topic = "canary-topic"
[[webhook]]
name = "chat"
url = "http://127.0.0.1:8080/hook"
least = "critical"
[dead_man]
url = "http://127.0.0.1:8080/ping/canary"
every_minutes = 1
"""
SHORTER = f"""set -eu
rm -rf /run/watch; cp -r {SHARE} /run/watch
sed -i -E 's/^( *for:) .*/\\1 0s/' /run/watch/rules/*.yml
sed -i -e 's#{SHARE}#/run/watch#' -e 's/_interval: 15s/_interval: 1s/' /run/watch/prometheus.yml
chmod -R a+rX /run/watch
mkdir -p /run/systemd/system/bpci-prometheus.service.d
cat >/run/systemd/system/bpci-prometheus.service.d/test.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/bin/prometheus --config.file=/run/watch/prometheus.yml --web.external-url=/prometheus/ \\
  --storage.tsdb.path=/var/lib/bpci/monitoring/prometheus --rules.alert.resend-delay=15s \\
  --web.listen-address=127.0.0.1:9090
END
systemctl daemon-reload
systemctl restart bpci-prometheus
"""
"""The same rules and receivers with less patience, so that the test need not have it."""


def rules_in(name: str) -> list[str]:
    text = (ROLE / "share/bpci/monitoring/rules" / name).read_text()
    return re.findall(r"^ +- alert: (\w+)$", text, re.MULTILINE)


def test_every_rule_has_both_its_cases() -> None:
    names = [rule for name in RULES for rule in rules_in(name)]
    assert len(set(names)) == len(names)
    assert set(names) == {*CASES, "BpciWatchdog"}


def test_every_rule_says_how_urgent_it_is_and_what_to_do_next() -> None:
    for name in RULES:
        text = (ROLE / "share/bpci/monitoring/rules" / name).read_text()
        for block in text.split("- alert: ")[1:]:
            assert re.search(r"labels: \{severity: (info|warning|critical), area: [a-z]+\}", block), block
            for key in ("summary", "description", "action"):
                assert re.search(rf"^          {key}: \S", block, re.MULTILINE), block


@pytest.mark.parametrize("name", RULES)
def test_every_rule_fires_when_it_should_and_only_then(play: Play, name: str) -> None:
    room = play.root / "tmp" / "rules"
    room.mkdir(exist_ok=True)
    try:
        files = []
        for step in ("1m", "1h"):
            path = room / f"{step}.yml"
            path.write_text(json.dumps(promtool_tests(f"{SHARE}/rules/{name}", rules_in(name), step)))
            files.append(f"/tmp/rules/{path.name}")
        assert in_root(play, "promtool", "test", "rules", *files).count("SUCCESS") == 2
    finally:
        shutil.rmtree(room)


def test_what_is_shipped_is_accepted_by_the_tools_themselves(play: Play) -> None:
    in_root(play, "promtool", "check", "config", f"{SHARE}/prometheus.yml")
    in_root(play, "amtool", "check-config", f"{SHARE}/alertmanager.yml")


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_well_formed_and_confined(play: Play, unit: str) -> None:
    root = f"--root={play.root}"
    instance = unit.replace("@.", "@1.")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", root, instance], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if unit.partition(".")[0].rstrip("@") in line]
    assert done.returncode == 0, done.stderr
    assert not ours, ours
    if unit.endswith(".service"):
        command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", root, instance]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-600:] + done.stderr


def test_the_distributions_own_units_stay_still(play: Play) -> None:
    for unit in ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "smartmontools"):
        assert in_root(play, "systemctl", "is-enabled", f"{unit}.service", status=1).strip() == "disabled"


class Told:
    """What arrived at the sink."""

    def __init__(self, machine: Container) -> None:
        self.machine = machine

    def items(self) -> list[dict[str, str]]:
        text = self.machine.run("journalctl -u alert-sink -o cat --no-pager")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def wait(self, what: str, wanted: Callable[[list[dict[str, str]]], Any], seconds: float = 180) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := wanted(self.items())):
            assert time.monotonic() < deadline, f"{what} never came; what came: {self.items()}\n" + self.machine.run(
                "bpci alerts list --all; bpci alerts receivers; journalctl -b --no-pager -u 'bpci-alert*' -n 40",
                status=None,
            )
            time.sleep(0.5)
        return found


@pytest.fixture(scope="module")
def told(owned: Owned) -> Iterator[Told]:
    """The machine with real receivers of every kind."""
    machine = owned.machine
    machine.run(f"systemd-run --unit=alert-sink --property=DynamicUser=yes python3 {SINK}")
    machine.run(SHORTER)
    machine.run(
        "umask 077; echo canary-password >/etc/bpci/alerts/mail.password;"
        f" cat >/etc/bpci/alerts.toml <<'END'\n{CONFIG}END"
    )
    assert "mail:owner" in machine.run("bpci alerts apply")
    # Only the waiting is shortened; who gets what stays as it was made.
    machine.run(
        'sed -i -E -e \'s/("group_wait": )"30s"/\\1"0s"/\' -e \'s/("group_interval": )"(30s|5m)"/\\1"1s"/\''
        ' -e \'s/("repeat_interval": )"1m"/\\1"2s"/\' /etc/bpci/alerts/alertmanager.yml'
    )
    machine.run("systemctl reload bpci-alertmanager")
    yield Told(machine)
    machine.run(
        "systemctl stop alert-sink; rm -rf /run/systemd/system/bpci-prometheus.service.d /run/watch", status=None
    )
    machine.run("rm /etc/bpci/alerts.toml /etc/bpci/alerts/*; systemd-tmpfiles --create bpci-monitoring.conf")
    machine.run("systemctl daemon-reload; systemctl restart bpci-prometheus bpci-alertmanager; systemctl reset-failed")


def test_it_runs_beside_the_node_on_loopback_alone(owned: Owned) -> None:
    units = "bpci-prometheus bpci-alertmanager bpci-node-exporter bpci-alert-relay.socket bpci-disk-health.timer"
    # Set-up starts them and does not wait.
    owned.machine.run(
        "for i in $(seq 240); do ss -Hltn | grep -q 127.0.0.1:9093 && exit; sleep 0.5; done; exit 1", seconds=180
    )
    states = owned.machine.run(f"systemctl is-active {units} bpci-certificate-dates.timer").split()
    assert states == ["active"] * 6
    listening = owned.machine.run("ss -Hltn | awk '{print $4}'").split()
    assert {f"127.0.0.1:{port}" for port in (9090, 9093, 9095, 9100)} <= set(listening)
    assert not [place for place in listening if re.search(r":9[01]\d\d$", place) and not place.startswith("127.0.0.1:")]


def test_a_failed_unit_is_told_to_everybody_who_wants_to_know(told: Told) -> None:
    told.machine.run(
        "systemd-run --unit=provoked --property=Type=exec false; systemctl is-failed provoked", status=None
    )
    letter = told.wait(
        "the letter",
        lambda items: [x for x in items if "WARNING: the unit provoked.service failed" in x.get("letter", "")],
    )
    assert b64encode(b"\0node\0canary-password").decode() == letter[0]["signed_in"]
    assert "Next: Run 'sudo bpci doctor unit --fix'" in letter[0]["letter"].replace("=\r\n", "")
    shown = told.wait(
        "the message",
        lambda items: [x for x in items if x.get("path") == "/" and "WARNING: the unit provoked" in x["body"]],
    )
    message = json.loads(shown[0]["body"])
    assert (message["topic"], message["priority"]) == ("canary-topic", 4)
    assert "the unit provoked.service failed" in message["title"]
    found = json.loads(told.machine.run("bpci alerts list --json", status=1))
    assert [item["severity"] for item in found["alerts"] if item["labels"].get("name") == "provoked.service"] == [
        "warning"
    ]


def test_disks_and_certificates_are_looked_at(owned: Owned) -> None:
    owned.machine.run("systemctl start bpci-disk-health bpci-certificate-dates")
    directory = "/var/lib/prometheus/node-exporter"
    assert "# TYPE bpci_disk_wear_percent gauge" in owned.machine.run(f"cat {directory}/bpci_smart.prom")
    assert "bpci_certificate_expiry_timestamp_seconds" in owned.machine.run(f"cat {directory}/bpci_tls.prom")
    assert owned.machine.run(f"stat -c %a:%U:%G {directory}").strip() == "3775:root:bpci-metrics"


def test_every_figure_that_the_documentation_names_is_there(told: Told) -> None:
    table = (ROOT / "docs/monitoring.md").read_text().partition("## Figures")[2]
    rows = dict(re.findall(r"^\| (the machine|Prometheus|Alertmanager) \| (.*) \|$", table, re.MULTILINE))
    for row, url in {
        "the machine": "9100/metrics",
        "Prometheus": "9090/prometheus/metrics",
        "Alertmanager": "9093/alerts/metrics",
    }.items():
        fetch = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{url}').read().decode())"
        given = set(re.findall(r"^(\w+)[{ ]", told.machine.run(f'python3 -c "{fetch}"'), re.MULTILINE))
        assert set(re.findall(r"`(\w+)`", rows[row])) <= given, row


def test_a_silence_is_kept_and_can_be_ended(told: Told) -> None:
    done = json.loads(
        told.machine.run("bpci alerts silence BpciUnitFailed --for 30m --where name=provoked.service --json")
    )
    quiet = json.loads(told.machine.run("bpci alerts list --json", status=None))
    assert not [item for item in quiet["alerts"] if item["labels"].get("name") == "provoked.service"]
    told.machine.run(f"bpci alerts unsilence {done['silence']}")
    assert told.machine.run("bpci alerts silences").strip() == "Nothing is silenced."


def test_a_node_that_is_down_is_told_at_once_and_it_is_said_when_that_is_over(told: Told) -> None:
    def hooked(items: list[dict[str, str]], state: str) -> list[dict[str, Any]]:
        found = [json.loads(item["body"]) for item in items if item.get("path") == "/hook"]
        return [x for x in found if x["status"] == state and x["alerts"][0]["labels"]["alertname"] == "BpciNodeDown"]

    told.machine.run("systemctl stop bpci-node")
    try:
        told.wait("the alert of the node", lambda items: hooked(items, "firing"))
    finally:
        told.machine.run("systemctl start bpci-node")
    told.wait("the end of the alert", lambda items: hooked(items, "resolved"))


def test_the_dead_mans_switch_is_pinged_while_all_works(told: Told) -> None:
    told.wait("a second ping", lambda items: len([x for x in items if x.get("path") == "/ping/canary"]) > 1)


def test_a_test_goes_the_whole_way_or_says_where_it_ended(told: Told) -> None:
    done = json.loads(told.machine.run("bpci alerts test --json", seconds=150))
    assert {item["receiver"]: item["reason"] for item in done["results"]} == dict.fromkeys(
        ("mail:owner", "ntfy:phone", "webhook:chat")
    )
    assert "last delivered" in told.machine.run("bpci alerts receivers")
    told.machine.run("systemctl stop alert-sink")
    text = told.machine.run("bpci alerts test ntfy:phone --json", status=1, seconds=150)
    assert "refused the connection" in json.loads(text)["results"][0]["reason"]
    assert told.machine.run("bpci alerts test mail:nobody", status=1) == ""


def test_no_secret_reaches_log_or_alertmanager(told: Told) -> None:
    assert told.machine.run("grep -l canary /etc/bpci/alerts/alertmanager.yml", status=1) == ""
    log = told.machine.run("journalctl -b --no-pager -u 'bpci-alert*' -u bpci-prometheus")
    assert "canary" not in log
    assert told.machine.run("stat -c %a:%U /etc/bpci/alerts/relay.json").strip() == "600:root"
