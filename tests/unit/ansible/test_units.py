"""The systemd units as the roles ship them, read without a machine."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

import pytest

ROLES = Path(__file__).resolve().parents[3] / "ansible" / "roles"
NODE = ROLES / "node/files/usr/lib/systemd/system/bpci-node.service"


def read(unit: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(unit)
    return parser


def test_the_node_is_confined_to_an_exposure_of_two_at_most() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", str(NODE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_node_keeps_sight_of_users_whom_its_owner_socket_checks() -> None:
    service = read(NODE)["Service"]
    assert "PrivateUsers" not in service
    assert "DynamicUser" not in service
    assert service["User"] == "bpci"
    assert service["SupplementaryGroups"] == "bpci-owner"


def test_the_wizard_waits_for_no_network() -> None:
    unit = read(ROLES / "console/files/usr/lib/systemd/system/bpci-setup@.service")["Unit"]
    assert unit["DefaultDependencies"] == "no"
    assert "network" not in unit["After"]
    assert "Requires" not in unit


@pytest.mark.parametrize("name", ["bpci-setup@", "bpci-console@"])
def test_wizard_and_console_never_show_at_the_same_time(name: str) -> None:
    """One is there until set-up is complete, the other from then on, and each hands over when it ends."""
    units = ROLES / "console/files/usr/lib/systemd/system"
    negation = {"bpci-setup@": "!", "bpci-console@": ""}[name]
    conditions = (units / f"{name}.service").read_text().splitlines()
    assert f"ConditionPathExists={negation}/var/lib/bpci/setup/complete" in conditions
    setup = read(units / "bpci-setup@.service")
    assert setup["Unit"]["Wants"] == "bpci-console@%i.service"
    assert setup["Service"]["Restart"] == "always"
