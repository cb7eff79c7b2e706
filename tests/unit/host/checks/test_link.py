from collections.abc import Callable
from typing import Any

import pytest

from bpci_node.host.checks.link import LINK
from bpci_node.host.profiles import COMMUNITY, DEV, ENTERPRISE
from bpci_node.host.result import Verdict
from bpci_node.host.runner import run_check


@pytest.mark.parametrize(
    ("name", "community", "text"),
    [
        ("mini_pc", "pass", "enp2s0: cable 1000 Mbit/s"),
        ("virtual_machine", "pass", "ens3: virtual"),
        ("lvm_server", "pass", "bond0: cable 2000 Mbit/s"),
        ("stick", "warn", "wlan0: Wi-Fi"),
        ("mirrored", "fail", "no network interface"),
    ],
)
def test_recorded_machines_are_judged(machine: Callable[[str], Any], name: str, community: str, text: str) -> None:
    result = run_check(LINK, machine(name).context(), COMMUNITY)
    assert (result.verdict.value, result.text) == (community, text)


def test_a_slow_or_half_duplex_port_is_named(machine: Callable[[str], Any]) -> None:
    tree = machine("mini_pc")
    base = "sys/class/net/enp2s0"
    tree.write(f"{base}/duplex", "half")
    assert run_check(LINK, tree.context(), COMMUNITY).verdict is Verdict.WARN
    tree.write(f"{base}/speed", 10)
    result = run_check(LINK, tree.context(), COMMUNITY)
    assert (result.verdict, result.measured) == (Verdict.FAIL, 10_000_000)


def test_a_gigabit_port_is_enough_for_an_enterprise_node_and_a_tenth_is_not(machine: Callable[[str], Any]) -> None:
    tree = machine("mini_pc")
    assert run_check(LINK, tree.context(), ENTERPRISE).verdict is Verdict.PASS
    tree.write("sys/class/net/enp2s0/speed", 100)
    assert run_check(LINK, tree.context(), ENTERPRISE).verdict is Verdict.FAIL


def test_before_an_address_is_set_the_cable_is_shown_and_the_route_missed(machine: Callable[[str], Any]) -> None:
    tree = machine("mini_pc")
    tree.route()
    result = run_check(LINK, tree.context(), COMMUNITY)
    assert (result.verdict, result.text) == (Verdict.WARN, "enp2s0: cable 1000 Mbit/s no default route")


def test_without_a_link_the_owner_is_asked_to_plug_in(machine: Callable[[str], Any]) -> None:
    tree = machine("mini_pc")
    tree.route()
    tree.write("sys/class/net/enp2s0/carrier", 0)
    result = run_check(LINK, tree.context(), COMMUNITY)
    assert result.verdict is Verdict.WARN
    assert "Plug in" in result.hint


def test_a_machine_without_network_can_be_used_to_try_it_out(machine: Callable[[str], Any]) -> None:
    assert run_check(LINK, machine("mirrored").context(), DEV).verdict is Verdict.PASS
