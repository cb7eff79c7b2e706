"""Bandwidth, measured by moving random bytes to and from the registry that the node is going to use.

Payload is timed, and four fifths of the line rate pass: Ethernet, IP and TCP headers take about six per cent of it, and
a transfer of a second or two has not yet made up for its slow start. A registry on this same machine tells nothing of
the line, so that is the verdict ``unknown``.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from bpci_node.errors import BpciError
from bpci_node.host.check import PASS, Check, in_megabits, number, wish
from bpci_node.host.context import Context, Peer
from bpci_node.host.profiles import Need, Profile
from bpci_node.host.result import CouldNotTellError, Judgement, Measured, Requirement, Verdict

FIRST_BYTES = 256 << 10
"""Size of the first transfer, which opens the connection and gives a first estimate."""
MOST_BYTES = 16 << 20
"""Largest transfer that a registry permits."""
ENOUGH_SECONDS = 1.0
"""A transfer of this length is long enough to be believed."""
MOST_TRANSFERS = 3
"""Transfers after which the last one is believed however short it was."""
PAYLOAD_SHARE = (8, 10)
"""Part of the line rate that must arrive as payload."""


def rate_bits_per_second(transfer: Callable[[int], float]) -> tuple[int, int]:
    """Measure one direction: each transfer is sized by the one before to last two seconds, and the last one counts.

    Args:
        transfer: moves that many bytes and returns the seconds it took.
    Returns:
        Bits per second of the last transfer, and the bytes moved in all.
    Raises:
        BpciError: as ``transfer`` does.
    """
    size, moved, rate = FIRST_BYTES, 0, 0
    for _ in range(MOST_TRANSFERS):
        seconds = transfer(size)
        moved += size
        rate = int(size * 8 / max(seconds, 1e-6))
        if seconds >= ENOUGH_SECONDS:
            break
        size = min(MOST_BYTES, max(FIRST_BYTES, rate * 2 // 8))
    return rate, moved


def is_same_host(url: str) -> bool:
    """Tell whether ``url`` leads to this machine: to the loopback, or to an address of its own.

    No packet is sent: the kernel picks the source address for a destination, and for its own addresses that is the
    destination itself.

    Raises:
        OSError: the name can't be resolved, or there is no route.
    """
    parts = urlsplit(url)
    for family, _, _, _, address in socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_DGRAM):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(address)
            except OSError:
                continue  # no route for this family; another may have one
            source, destination = probe.getsockname()[0], probe.getpeername()[0]
        if source == destination or ipaddress.ip_address(str(destination).partition("%")[0]).is_loopback:
            return True
    return False


def _measure(context: Context, pick: Callable[[Peer], Callable[[int], float]]) -> Measured:
    peer = context.peer
    if peer is None:
        raise CouldNotTellError("no registry was given", "Name the registry to measure against: --registry URL.")
    try:
        same = is_same_host(peer.url)
    except OSError:
        raise CouldNotTellError(
            "the registry's name can't be resolved", "Check the URL and this machine's DNS and route."
        ) from None
    if same:
        raise CouldNotTellError(
            "the registry is this same machine", "Measure against a registry elsewhere on the network."
        )
    try:
        rate, moved = rate_bits_per_second(pick(peer))
    except BpciError as error:
        raise CouldNotTellError(error.message, error.hint or "Try again later, or against another registry.") from error
    return Measured(rate, "bit/s", in_megabits(rate), {"moved_bytes": moved})


def _measure_download(context: Context) -> Measured:
    return _measure(context, lambda peer: peer.download)


def _measure_upload(context: Context) -> Measured:
    return _measure(context, lambda peer: peer.upload)


def _require(profile: Profile) -> Requirement:
    return wish(profile.bandwidth, f"{in_megabits(profile.bandwidth_bits_per_second)} line")


def _judge(measured: Measured, profile: Profile) -> Judgement:
    if number(measured) * PAYLOAD_SHARE[1] >= profile.bandwidth_bits_per_second * PAYLOAD_SHARE[0]:
        return PASS
    if profile.bandwidth is Need.NONE:
        return Judgement(Verdict.WARN, "Enough to try things out on one machine; slow against a network.")
    return Judgement(
        Verdict.FAIL, "Try again when the line is idle; if it stays so, the line is slower than the node needs."
    )


DOWNLOAD = Check("bandwidth_download", "Download", _measure_download, _require, _judge)
UPLOAD = Check("bandwidth_upload", "Upload", _measure_upload, _require, _judge)
