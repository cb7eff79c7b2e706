"""Network interfaces as the kernel shows them, and the one that the default route uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bpci_node.host.context import read_number, read_text

_VIRTUAL_DRIVERS = {"virtio_net", "vif", "hv_netvsc", "vmxnet3", "ena", "gve"}
_ROUTE_UP = 0x1
_LOOPBACK_TYPE = 772  # ARPHRD_LOOPBACK, linux/if_arp.h
_MAX_LAYERS = 8


class LinkKind(StrEnum):
    """How an interface is attached."""

    ETHERNET = "ethernet"
    WIFI = "wifi"
    VIRTUAL = "virtual"


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface that is not the loopback."""

    name: str
    """Kernel name, such as ``enp1s0``."""
    kind: LinkKind
    """How it, or what lies under a bridge, bond or VLAN, is attached."""
    driver: str
    """Kernel driver; empty for interfaces without a device."""
    carrier: bool
    """Whether there is a link."""
    megabits_per_second: int | None
    """Negotiated speed; ``None`` if the interface has none to tell (Wi-Fi, most virtual ones, no link)."""
    half_duplex: bool
    """Whether only one side may send at a time."""


def list_interfaces(root: Path = Path("/")) -> list[Interface]:
    """Return all interfaces but the loopback, by name."""
    try:
        names = sorted(entry.name for entry in (root / "sys/class/net").iterdir() if entry.is_dir())
    except OSError:
        return []
    return [_interface(root, name) for name in names if not _is_loopback(root, name)]


def default_route(root: Path = Path("/")) -> str | None:
    """Return the interface of the default route with the lowest metric, IPv4 before IPv6, or ``None``."""
    for routes in (_routes_v4(root), _routes_v6(root)):
        best = min(routes, default=None)
        if best is not None:
            return best[1]
    return None


def _routes_v4(root: Path) -> Iterator[tuple[int, str]]:
    # Source: proc(5), /proc/net/route: addresses are hexadecimal, metric is decimal.
    for line in (read_text(root / "proc/net/route") or "").splitlines()[1:]:
        parts = line.split()
        if len(parts) >= 8 and parts[1] == "00000000" == parts[7] and int(parts[3], 16) & _ROUTE_UP:
            yield int(parts[6]), parts[0]


def _routes_v6(root: Path) -> Iterator[tuple[int, str]]:
    # Source: Linux, net/ipv6/route.c, rt6_info_route: destination, prefix length, ..., metric, ..., flags, device.
    for line in (read_text(root / "proc/net/ipv6_route") or "").splitlines():
        parts = line.split()
        if len(parts) == 10 and parts[0] == "0" * 32 and parts[1] == "00" and parts[9] != "lo":
            yield int(parts[5], 16), parts[9]


def _interface(root: Path, name: str) -> Interface:
    base = root / "sys/class/net" / name
    carrier = read_number(base / "carrier") == 1
    speed = read_number(base / "speed") if carrier else None
    return Interface(
        name=name,
        kind=_kind(root, name, _MAX_LAYERS),
        driver=_driver(base),
        carrier=carrier,
        megabits_per_second=speed if speed is not None and 0 < speed < 10**7 else None,
        half_duplex=carrier and read_text(base / "duplex") == "half",
    )


def _kind(root: Path, name: str, layers: int) -> LinkKind:
    base = root / "sys/class/net" / name
    if (base / "wireless").exists() or (base / "phy80211").exists():
        return LinkKind.WIFI
    if (base / "device").exists():
        return LinkKind.VIRTUAL if _driver(base) in _VIRTUAL_DRIVERS else LinkKind.ETHERNET
    lower = [entry.name.removeprefix("lower_") for entry in base.glob("lower_*")] if layers else []
    kinds = {_kind(root, item, layers - 1) for item in lower}
    for kind in (LinkKind.WIFI, LinkKind.ETHERNET):
        if kind in kinds:
            return kind
    return LinkKind.VIRTUAL


def _driver(base: Path) -> str:
    link = base / "device/driver"
    return link.readlink().name if link.is_symlink() else ""


def _is_loopback(root: Path, name: str) -> bool:
    return read_number(root / "sys/class/net" / name / "type") == _LOOPBACK_TYPE
