from collections.abc import Callable
from typing import Any

from bpci_node.host.interfaces import LinkKind, default_route, list_interfaces


def test_the_loopback_is_left_out_and_kinds_are_told_apart(machine: Callable[[str], Any]) -> None:
    found = {item.name: item for item in list_interfaces(machine("mini_pc").root)}
    assert set(found) == {"enp2s0", "wlo1"}
    assert found["enp2s0"].kind is LinkKind.ETHERNET
    assert (found["enp2s0"].driver, found["enp2s0"].megabits_per_second) == ("r8169", 1000)
    assert found["wlo1"].kind is LinkKind.WIFI
    assert not found["wlo1"].carrier


def test_a_virtual_interface_has_no_speed(machine: Callable[[str], Any]) -> None:
    (found,) = list_interfaces(machine("virtual_machine").root)
    assert (found.kind, found.megabits_per_second) == (LinkKind.VIRTUAL, None)


def test_a_bond_is_what_lies_under_it(machine: Callable[[str], Any]) -> None:
    found = {item.name: item for item in list_interfaces(machine("lvm_server").root)}
    assert (found["bond0"].kind, found["bond0"].megabits_per_second) == (LinkKind.ETHERNET, 2000)


def test_the_default_route_with_the_lowest_metric_counts(machine: Callable[[str], Any]) -> None:
    assert default_route(machine("lvm_server").root) == "bond0"


def test_a_default_route_of_ipv6_is_found_when_ipv4_has_none(tree: Any) -> None:
    zero, way = "0" * 32, "fe800000000000000000000000000001"
    tree.write(
        "proc/net/ipv6_route",
        f"{zero} 00 {zero} 00 {way} 00000400 00000001 00000000 00000003 enp2s0\n"
        f"{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n"
        f"{way} 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 enp3s0",
    )
    assert default_route(tree.root) == "enp2s0"


def test_a_machine_without_network_has_neither(tree: Any) -> None:
    assert list_interfaces(tree.root) == []
    assert default_route(tree.root) is None
