"""Checks of single answers, shared by the wizard's fields and the answers file."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

from bpci_node.errors import FormatError, UsageError
from bpci_node.setup.answers import SSH_KEY, NetworkAnswers


def check_static(answers: NetworkAnswers) -> None:
    """Check that the fields of a fixed address fit together.

    Raises:
        UsageError: ``usage.network``; ``details["key"]`` names the field.
    """
    try:
        address: IPv4Interface | IPv6Interface = ip_interface(answers.address)
    except ValueError:
        raise _network_error("address", "must be an address with its prefix length, such as 192.0.2.5/24") from None
    if "/" not in answers.address:
        raise _network_error("address", "needs its prefix length, such as 192.0.2.5/24")
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise _network_error("address", "is not the address of a machine")
    if answers.gateway:
        try:
            gateway = ip_address(answers.gateway)
        except ValueError:
            raise _network_error("gateway", "must be an IP address") from None
        if gateway not in address.network and not gateway.is_link_local:
            raise _network_error("gateway", f"is not in {address.network}: nothing would reach it")
        if gateway == address.ip:
            raise _network_error("gateway", "is the machine's own address")
    for server in answers.dns:
        try:
            ip_address(server)
        except ValueError:
            raise _network_error("dns", "must be IP addresses") from None


def check_ssh_key(line: str) -> None:
    """Check one public key.

    Raises:
        FormatError: not a public key of a kind that is accepted (``format.ssh_key``).
    """
    if not re.fullmatch(SSH_KEY, line):
        raise FormatError(
            "this is not an SSH public key",
            code="format.ssh_key",
            hint="Paste the one line of a file such as ~/.ssh/id_ed25519.pub.",
        )


def _network_error(key: str, message: str) -> UsageError:
    return UsageError(message, code="usage.network", key=key)
