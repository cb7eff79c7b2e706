"""The network link that the default route uses: cable, Wi-Fi or virtual, and its negotiated speed.

It says what the line to the next switch can carry; what reaches the registry is measured by the bandwidth checks.
"""

from __future__ import annotations

from bpci_node.host.check import PASS, Check, in_megabits, without
from bpci_node.host.context import Context
from bpci_node.host.interfaces import Interface, LinkKind, default_route, list_interfaces
from bpci_node.host.profiles import MEGABIT, Need, Profile
from bpci_node.host.result import Judgement, Measured, Requirement, Verdict

_KIND_TEXTS = {LinkKind.ETHERNET: "cable", LinkKind.WIFI: "Wi-Fi", LinkKind.VIRTUAL: "virtual"}


def _measure(context: Context) -> Measured:
    interfaces = list_interfaces(context.root)
    routed = default_route(context.root)
    chosen = _choose(interfaces, routed)
    if chosen is None:
        return Measured(None, "bit/s", "no network interface", {"interfaces": []})
    speed = chosen.megabits_per_second
    words = [f"{chosen.name}:", _KIND_TEXTS[chosen.kind]]
    if speed is not None:
        words.append(f"{speed} Mbit/s")
    if not chosen.carrier:
        words.append("no link")
    elif routed is None:
        words.append("no default route")
    facts: dict[str, int | str | bool | list[str]] = {
        "interface": chosen.name,
        "kind": chosen.kind.value,
        "driver": chosen.driver,
        "carrier": chosen.carrier,
        "default_route": chosen.name == routed,
        "half_duplex": chosen.half_duplex,
        "interfaces": [interface.name for interface in interfaces],
    }
    return Measured(None if speed is None else speed * MEGABIT, "bit/s", " ".join(words), facts)


def _choose(interfaces: list[Interface], routed: str | None) -> Interface | None:
    """Return the interface of the default route, else the best that is there: with a link, then a cable."""
    order = [LinkKind.ETHERNET, LinkKind.WIFI, LinkKind.VIRTUAL]
    ranked = sorted(interfaces, key=lambda item: (item.name != routed, not item.carrier, order.index(item.kind)))
    return ranked[0] if ranked else None


def _require(profile: Profile) -> Requirement:
    kind = "any" if profile.bandwidth is Need.NONE else "cable"
    return Requirement(f"{kind}, {in_megabits(profile.bandwidth_bits_per_second)}", needed=False)


def _judge(measured: Measured, profile: Profile) -> Judgement:
    facts = measured.facts
    if "interface" not in facts:
        return without(
            profile.bandwidth, "Fit a network card, or check that the system has the driver of the one there."
        )
    if not facts["carrier"]:
        return Judgement(Verdict.WARN, f"Plug in a network cable, or join a Wi-Fi network ({facts['interface']}).")
    if measured.value is not None and int(measured.value) < profile.bandwidth_bits_per_second:
        return Judgement(Verdict.FAIL, "The link is slower than the node needs: check cable, switch port and router.")
    if not facts["default_route"]:
        return Judgement(Verdict.WARN, "There is no way out of the local network yet: set up an address and a gateway.")
    if profile.bandwidth is Need.NONE:
        return PASS
    if facts["half_duplex"]:
        return Judgement(Verdict.WARN, "The link is half duplex: set the switch port to negotiate by itself.")
    if facts["kind"] == LinkKind.WIFI:
        return Judgement(Verdict.WARN, "Wi-Fi drops and varies: a cable is better for a node that others rely on.")
    return PASS


LINK = Check("network_link", "Network link", _measure, _require, _judge)
