"""Checks of single answers, shared by the wizard's fields and the answers file."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

from bpci_node.errors import FormatError, UsageError
from bpci_node.setup.answers import INTERFACE, SSH_KEY, NetworkAnswers

COUNTRY = r"[A-Z]{2}"
WIFI_SECRET = r"[ -~]{8,63}|[0-9A-Fa-f]{64}"  # noqa: S105 - a form, not a secret
"""A passphrase of printable ASCII characters, or the 256-bit key itself. Source: IEEE 802.11-2020, annex J.4."""


def check_network(answers: NetworkAnswers) -> None:
    """Check that the fields of the network fit together.

    Raises:
        UsageError: ``usage.network``; ``details["key"]`` names the field.
    """
    if answers.mode == "static":
        check_static(answers)
    if answers.wifi_ssid:
        check_wifi(answers)


def check_static(answers: NetworkAnswers) -> None:
    """Check that the fields of a fixed address fit together.

    Raises:
        UsageError: ``usage.network``; ``details["key"]`` names the field.
    """
    first = _check_address(answers, "address", "gateway")
    if answers.address6:
        second = _check_address(answers, "address6", "gateway6")
        if second.version != 6:
            raise _network_error("address6", "is for IPv6: an IPv4 address stands in the field before")
        if first.version == 6:
            raise _network_error("address6", "is beside an IPv4 address: there is an IPv6 address already")
    elif answers.gateway6:
        raise _network_error("gateway6", "needs an IPv6 address")
    for server in answers.dns:
        try:
            ip_address(server)
        except ValueError:
            raise _network_error("dns", "must be IP addresses") from None


def _check_address(answers: NetworkAnswers, key: str, gateway_key: str) -> IPv4Interface | IPv6Interface:
    text, way_out = getattr(answers, key), getattr(answers, gateway_key)
    try:
        address: IPv4Interface | IPv6Interface = ip_interface(text)
    except ValueError:
        raise _network_error(key, "must be an address with its prefix length, such as 192.0.2.5/24") from None
    if "/" not in text:
        raise _network_error(key, "needs its prefix length, such as 192.0.2.5/24")
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise _network_error(key, "is not the address of a machine")
    if way_out:
        try:
            gateway = ip_address(way_out)
        except ValueError:
            raise _network_error(gateway_key, "must be an IP address") from None
        if gateway not in address.network and not gateway.is_link_local:
            raise _network_error(gateway_key, f"is not in {address.network}: nothing would reach it")
        if gateway == address.ip:
            raise _network_error(gateway_key, "is the machine's own address")
    return address


def check_wifi(answers: NetworkAnswers) -> None:
    """Check name, country and passphrase of a Wi-Fi network; no message shows the passphrase.

    Raises:
        UsageError: ``usage.network``; ``details["key"]`` names the field.
    """
    if not re.fullmatch(INTERFACE, answers.interface):
        raise _network_error("interface", "must be the name of an interface")
    if not 1 <= len(answers.wifi_ssid.encode()) <= 32 or not answers.wifi_ssid.isprintable():
        raise _network_error("wifi_ssid", "must have 1 to 32 bytes")
    if not re.fullmatch(COUNTRY, answers.wifi_country):
        raise _network_error("wifi_country", "must be a country's two capital letters, such as DE")
    if answers.wifi_passphrase and not re.fullmatch(WIFI_SECRET, answers.wifi_passphrase):
        raise _network_error("wifi_passphrase", "must have 8 to 63 plain characters, or 64 hexadecimal digits")


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
