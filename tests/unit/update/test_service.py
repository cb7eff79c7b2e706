"""The service manager as the updater asks it: real processes of a command that answers as systemctl does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bpci_node.update import service
from bpci_node.update.service import Service, own_services

SYSTEMCTL = """#!/bin/sh
echo "$*" >>{home}/asked
case "$1" in show) echo "After=basic.target {after} system.slice" ;; esac
"""
AT_BOOT = "0::/system.slice/bpci-update-recover.service\n"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], list[str]]:
    """Start a unit that comes after another one, from within control groups; return what systemctl was asked."""

    def start(after: str, groups: str) -> list[str]:
        command = tmp_path / "systemctl"
        command.write_text(SYSTEMCTL.format(home=tmp_path, after=after))
        command.chmod(0o755)
        (tmp_path / "cgroup").write_text(groups)
        (tmp_path / "asked").write_text("")
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setattr(service, "_GROUPS", tmp_path / "cgroup")
        assert Service("bpci-node.service").start(5) == ""
        assert Service("bpci-node.service").restart(5) == ""
        return [line for line in (tmp_path / "asked").read_text().splitlines() if "start" in line]

    return start


def test_a_unit_that_the_node_comes_after_does_not_wait_for_it(asked: Callable[[str, str], list[str]]) -> None:
    found = asked("bpci-update-recover.service", AT_BOOT)
    assert found == ["start --no-block bpci-node.service", "restart --no-block bpci-node.service"]


@pytest.mark.parametrize(
    ("after", "groups"),
    [
        ("bpci-update-recover.service", "0::/user.slice/user-0.slice/session-3.scope\n"),
        ("bpci-update-recover.service", "0::/system.slice/bpci-update-window.service\n"),
        ("bpci-machine.service", AT_BOOT),
        ("bpci-update-recover.service", ""),
    ],
    ids=["by hand", "the window", "another order", "no control groups"],
)
def test_whoever_else_starts_the_node_waits_until_it_is_ready(
    asked: Callable[[str, str], list[str]], after: str, groups: str
) -> None:
    assert asked(after, groups) == ["start bpci-node.service", "restart bpci-node.service"]


def test_own_services_are_found_in_every_form_of_control_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_GROUPS", tmp_path / "cgroup")
    assert own_services() == set()
    mixed = (
        "9:name=systemd:/system.slice/a.service\n8:pids:/\n0::/user.slice/user@0.service/app.slice/b.service/inner\n"
    )
    (tmp_path / "cgroup").write_text(mixed)
    assert own_services() == {"a.service", "user@0.service", "b.service"}
