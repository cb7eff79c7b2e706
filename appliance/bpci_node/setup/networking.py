"""The machine's network as its owner has set it: units of systemd-networkd, and Wi-Fi beside them.

The files on the root are written from ``settings.toml`` and may be written again at any time. A trial
(:mod:`bpci_node.setup.trial`) puts the same texts below ``/run`` instead, where a restart forgets them.
"""

from __future__ import annotations

from bpci_node.errors import HostError
from bpci_node.setup import wifi
from bpci_node.setup.answers import NetworkAnswers
from bpci_node.setup.system import System

NETWORK_UNIT = "/etc/systemd/network/10-bpci.network"
WIRED = "en* eth*"
"""Interfaces that ask for an address where the owner has named none."""
RADIO_METRIC = 2048
"""Metric of the way out over Wi-Fi; that of a cable is 1024 (systemd.network(5)), so a cable goes first."""


def network_file(network: NetworkAnswers) -> str:
    """Return the unit of systemd-networkd for a fixed address, for Wi-Fi, or for asking the router."""
    lines = ["[Match]", f"Name={network.interface or WIRED}", "", "[Network]"]
    if network.mode == "static":
        for address, gateway in ((network.address, network.gateway), (network.address6, network.gateway6)):
            lines += [f"Address={address}"] if address else []
            lines += [f"Gateway={gateway}"] if gateway else []
        lines += [f"DNS={server}" for server in network.dns]
        return "\n".join([*lines, "DHCP=no", ""])
    lines += ["DHCP=yes", "", "[DHCPv4]", "ClientIdentifier=mac"]
    if network.wifi_ssid:
        lines += [f"RouteMetric={RADIO_METRIC}", "", "[IPv6AcceptRA]", f"RouteMetric={RADIO_METRIC}"]
    return "\n".join([*lines, ""])


def has_unit(network: NetworkAnswers) -> bool:
    """Tell whether the settings say more than that the network is left as the system has it."""
    return network.mode == "static" or bool(network.wifi_ssid)


def network_is_set(system: System, network: NetworkAnswers) -> bool:
    """Tell whether the network's files say what the owner has set."""
    if _strangers(system, network):
        return False
    if network.wifi_ssid and not system.holds(
        wifi.path_of(network.interface), wifi.supplicant_file(network), wifi.MODE
    ):
        return False
    if not has_unit(network):
        return not system.exists(NETWORK_UNIT)
    return system.holds(NETWORK_UNIT, network_file(network))


def check_manager(system: System) -> None:
    """Check that systemd-networkd runs the network here.

    Raises:
        HostError: it does not (``host.network``).
    """
    if not system.attempt("systemctl", "is-enabled", "--quiet", "systemd-networkd.service"):
        raise HostError(
            "this machine's network is not run by systemd-networkd, so its settings can't be changed from here",
            code="host.network",
            hint='Set it with the system\'s own tools, and leave it as it is here (mode = "dhcp").',
        )


def set_network(system: System, network: NetworkAnswers) -> None:
    """Give the machine the address and the Wi-Fi that its owner has set, or leave the network as the system has it.

    Raises:
        HostError: systemd-networkd does not run the network here (``host.network``), or failed (``host.command``).
        StorageError: ``storage.write``.
    """
    if network_is_set(system, network):
        return
    if has_unit(network):
        check_manager(system)
    for interface in _strangers(system, network):
        system.attempt("systemctl", "disable", "--now", wifi.unit_of(interface))
        system.remove(wifi.device_link_of(interface))
        system.remove(wifi.path_of(interface))
    if not has_unit(network):
        system.remove(NETWORK_UNIT)
    else:
        system.write(NETWORK_UNIT, network_file(network))
        if network.dns and not system.path("/etc/resolv.conf").is_symlink():
            system.write("/etc/resolv.conf", "".join(f"nameserver {server}\n" for server in network.dns))
    if network.wifi_ssid:
        system.write(wifi.path_of(network.interface), wifi.supplicant_file(network), wifi.MODE)
        system.link(wifi.device_link_of(network.interface), wifi.UNIT_FILE)
        system.run("systemctl", "enable", wifi.unit_of(network.interface))
    if system.attempt("systemctl", "is-active", "--quiet", "systemd-networkd.service"):
        if network.wifi_ssid:
            system.run("systemctl", "restart", wifi.unit_of(network.interface))
        take_up(system, network.interface)
    elif network.wifi_ssid:
        # Early in the boot of a new root: what was enabled just now is not among what this boot starts by itself.
        system.run("systemctl", "--no-block", "start", wifi.unit_of(network.interface))


def take_up(system: System, *interfaces: str) -> None:
    """Let systemd-networkd read its units anew, and apply them to these interfaces.

    Raises:
        HostError: ``host.command``.
    """
    system.run("networkctl", "reload")
    for interface in dict.fromkeys(interfaces):
        if interface:
            system.run("networkctl", "reconfigure", interface, hint=f"Is there an interface {interface}?")


def _strangers(system: System, network: NetworkAnswers) -> list[str]:
    """Return the interfaces whose Wi-Fi an earlier setting has left behind; a file that is not ours is left alone."""
    found = []
    for path in sorted(system.path(wifi.DIRECTORY).glob("wpa_supplicant-*.conf")):
        interface = path.stem.removeprefix("wpa_supplicant-")
        mine = not (network.wifi_ssid and interface == network.interface)
        if mine and system.read_text(wifi.path_of(interface)).startswith(wifi.MARK):
            found.append(interface)
    return found
