"""The machine's network interfaces as they are now, and what that means in plain words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bpci_node.setup.system import System


@dataclass(frozen=True, slots=True)
class Interface:
    """One physical interface."""

    name: str
    """Kernel name."""
    is_wireless: bool
    """Whether it is Wi-Fi."""
    has_link: bool
    """Whether a cable is in it and something answers at its other end, or it has joined a network."""
    addresses: tuple[str, ...]
    """Global addresses with prefix length, IPv4 first."""


def list_interfaces(system: System) -> list[Interface]:
    """Return the physical interfaces, those with an address first."""
    addresses = _addresses(system)
    found = []
    directory = system.path("/sys/class/net")
    for entry in sorted(directory.iterdir()) if directory.is_dir() else []:
        if not (entry / "device").exists():
            continue
        is_wireless = (entry / "wireless").exists() or (entry / "phy80211").exists()
        # The carrier of Wi-Fi is there as soon as a station listens; the passphrase is still to be found right then.
        sign, there = ("operstate", "up") if is_wireless else ("carrier", "1")
        has_link = _text(system, f"/sys/class/net/{entry.name}/{sign}") == there
        found.append(Interface(entry.name, is_wireless, has_link, addresses.get(entry.name, ())))
    return sorted(found, key=lambda item: (not item.addresses, not item.has_link, item.is_wireless, item.name))


def own_addresses(system: System) -> list[str]:
    """Return the machine's global IP addresses without prefix, IPv4 first; never a name."""
    found = [address.split("/")[0] for group in _addresses(system).values() for address in group]
    return sorted(found, key=lambda address: (":" in address, found.index(address)))


def default_gateway(system: System) -> str:
    """Return the address of the default gateway, IPv4 before IPv6; empty if there is none."""
    for family in ("-4", "-6"):
        for row in _ip(system, family, "route", "show", "default"):
            if row.get("gateway"):
                return str(row["gateway"])
    return ""


def preflight(found: list[Interface], gateway: str) -> list[str]:
    """Return the state of the network in whole sentences, one or two per interface."""
    if not found:
        return ["This machine has no network interface that its system knows."]
    lines = []
    for item in found:
        kind = "Wi-Fi" if item.is_wireless else "Wired"
        if item.addresses:
            state = f"has the address {item.addresses[0]}."
        elif item.has_link:
            state = "is connected, but has no address yet. Is there a router that gives one?"
        elif item.is_wireless:
            state = "is not joined to a network yet."
        else:
            state = "has no cable in it, or the other end is off."
        lines.append(f"{kind} {item.name} {state}")
    if any(item.addresses for item in found):
        lines.append(
            f"Way out: {gateway}." if gateway else "There is no default gateway: only this network is reached."
        )
    return lines


def _addresses(system: System) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in _ip(system, "address", "show"):
        usable = [
            (entry["family"] != "inet", f"{entry['local']}/{entry['prefixlen']}")
            for entry in row.get("addr_info", [])
            if entry.get("scope") == "global" and not entry.get("deprecated") and not entry.get("temporary")
        ]
        if usable:
            found[str(row["ifname"])] = tuple(text for _, text in sorted(usable, key=lambda pair: pair[0]))
    return found


def _ip(system: System, *arguments: str) -> list[dict[str, Any]]:
    done = system.runner(("ip", "-json", *arguments), b"")
    try:
        rows = json.loads(done.output or b"[]")
    except ValueError:
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _text(system: System, name: str) -> str:
    try:
        return system.path(name).read_text().strip()
    except OSError:
        return ""  # the kernel answers EINVAL for the carrier of an interface that is down
