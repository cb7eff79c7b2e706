"""``bpci machine``: options and what they mean; the machine itself is simulated in the tests of set-up."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from bpci_node.cli.machine import command
from bpci_node.cli.machine_network import _wanted
from bpci_node.cli.support import command as support
from bpci_node.errors import UsageError
from bpci_node.setup.answers import NetworkAnswers
from tests.unit.setup.conftest import machine  # noqa: F401 - a fixture
from tests.unit.setup.simulated import SimulatedMachine

NOTHING: dict[str, Any] = {
    "mode": None, "address": None, "gateway": "", "address6": "", "gateway6": "", "dns": (), "interface": "",
    "wifi": "", "country": "", "passphrase_stdin": False, "is_open": False,
}  # fmt: skip


def test_automatic_is_what_the_system_does_by_itself(machine: SimulatedMachine) -> None:  # noqa: F811
    assert _wanted(machine.system, NOTHING | {"mode": "dhcp"}) == NetworkAnswers()


def test_a_fixed_address_goes_to_the_wire_that_is_there(machine: SimulatedMachine) -> None:  # noqa: F811
    found = _wanted(machine.system, NOTHING | {"address": "192.0.2.5/24", "gateway": "192.0.2.1", "dns": ("9.9.9.9",)})
    assert found == NetworkAnswers("static", "eth0", "192.0.2.5/24", "192.0.2.1", ("9.9.9.9",))


def test_wifi_goes_to_the_radio_and_its_passphrase_is_asked_for(
    machine: SimulatedMachine,  # noqa: F811
) -> None:
    machine.add_radio()
    found = _wanted(machine.system, NOTHING | {"wifi": "Attic", "country": "DE", "is_open": True})
    assert (found.interface, found.wifi_ssid, found.wifi_passphrase) == ("wlan0", "Attic", "")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "give either"),
        ({"mode": "dhcp", "address": "192.0.2.5/24"}, "give either|exclude"),
        ({"address": "192.0.2.5"}, "--address"),
        ({"address": "192.0.2.5/24", "gateway": "198.51.100.1"}, "--gateway"),
        ({"wifi": "x" * 40, "country": "DE", "is_open": True, "interface": "wlan0"}, "--wifi"),
        ({"wifi": "Attic", "country": "Germany", "is_open": True, "interface": "wlan0"}, "--country"),
        ({"wifi": "Attic", "country": "DE"}, "no Wi-Fi interface"),
    ],
    ids=["nothing", "both", "prefix", "gateway", "name", "country", "radio"],
)
def test_options_that_do_not_fit_are_named(
    machine: SimulatedMachine,  # noqa: F811
    options: dict[str, Any],
    reason: str,
) -> None:
    with pytest.raises(UsageError, match=reason):
        _wanted(machine.system, NOTHING | options)


def test_no_option_takes_a_passphrase() -> None:
    for name in ("try", "set"):
        shown = CliRunner().invoke(command, ["network", name, "--help"]).output
        assert "--passphrase-stdin" in shown
        assert "--passphrase " not in shown


@pytest.mark.parametrize(
    "group", [command, command.commands["network"], support], ids=["machine", "network", "support"]
)
def test_every_command_shows_examples(group: click.Group) -> None:
    for name, item in group.commands.items():
        if not isinstance(item, click.Group):
            assert "Example" in CliRunner().invoke(group, [name, "--help"]).output, name
