"""Whether the network is fit for what comes next, looked at from the cable outwards, and said in plain words.

One look at each thing, in the order in which one depends on the other; what depends on something that is missing is not
looked at. Nobody but the machine's own router, name server and registry is asked. A registry's word about the time is
used to warn, never to set the clock.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import bpci_node
from bpci_node.setup.interfaces import default_gateway, list_interfaces
from bpci_node.setup.system import System

CLOCK_SECONDS = 30
"""How far this clock and a registry's may differ before a person is told."""
WAIT_SECONDS = 5.0
REPLY_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    code: str
    """``link``, ``address``, ``gateway``, ``clock``, ``proxy``, ``names`` or ``registry``."""
    is_well: bool
    """Whether what comes next can count on it."""
    text: str
    """What was found, one sentence."""
    advice: str = ""
    """What to do about it; empty where all is well."""

    @property
    def line(self) -> str:
        """Return it as one paragraph."""
        return f"{self.text} {self.advice}".rstrip()


def look(system: System, url: str = "", *, now: Callable[[], float] = time.time) -> list[Finding]:
    """Return what was found, in the order in which it was looked at.

    Args:
        url: base URL of the node of the network that is going to be asked; empty to leave it out.
    """
    found = [_link(system)]
    if found[-1].is_well:
        found.append(_address(system))
    if found[-1].is_well:
        found.append(_gateway(system))
    found.append(_clock(now()))
    proxy = _proxy(system)
    if proxy is not None:
        found.append(proxy)
    if url:
        found += _far(url, now)
    return found


def first_trouble(found: list[Finding]) -> Finding | None:
    """Return what to mend first, or ``None`` when all is well."""
    return next((item for item in found if not item.is_well), None)


def _well(code: str, text: str) -> Finding:
    return Finding(code, is_well=True, text=text)


def _wrong(code: str, text: str, advice: str) -> Finding:
    return Finding(code, is_well=False, text=text, advice=advice)


def _link(system: System) -> Finding:
    interfaces = list_interfaces(system)
    if not interfaces:
        return _wrong("link", "This machine has no network interface that its system knows.", "Is its card supported?")
    if any(item.has_link or item.addresses for item in interfaces):
        return _well("link", "A cable is in, or Wi-Fi is joined.")
    wireless = any(item.is_wireless for item in interfaces)
    return _wrong(
        "link",
        "No cable is in, and no Wi-Fi is joined.",
        "Put a cable in, or choose Wi-Fi." if wireless else "Put a cable in, and see that the other end is on.",
    )


def _address(system: System) -> Finding:
    for item in list_interfaces(system):
        if item.addresses:
            return _well("address", f"{item.name} has the address {item.addresses[0]}.")
    return _wrong(
        "address",
        "The network is connected, but gives no address.",
        "Is there a router that gives them? Otherwise choose a fixed address.",
    )


def _gateway(system: System) -> Finding:
    gateway = default_gateway(system)
    if gateway:
        return _well("gateway", f"The way out is {gateway}.")
    return _wrong(
        "gateway",
        "There is no default gateway: only machines of this network are reached.",
        "Name the router as the gateway of the fixed address, or let it tell so itself (DHCP).",
    )


def _clock(now: float) -> Finding:
    made = Path(bpci_node.__file__).stat().st_mtime
    if now < made - 86_400:
        shown = time.strftime("%Y-%m-%d %H:%M", time.gmtime(max(now, 0)))
        return _wrong(
            "clock",
            f"The clock says {shown} UTC, which is before this software was made.",
            "Let chrony reach its servers, or set the clock: sudo bpci machine clock --set '2030-01-31 12:00'.",
        )
    return _well("clock", f"The clock says {time.strftime('%Y-%m-%d %H:%M', time.gmtime(now))} UTC.")


def _proxy(system: System) -> Finding | None:
    lines = system.read_text("/etc/environment").splitlines()
    names = {line.partition("=")[0].strip().lower() for line in lines if line.partition("=")[2].strip(" \"'")}
    names |= {name.lower() for name, value in os.environ.items() if value}
    if not names & {"http_proxy", "https_proxy", "all_proxy"}:
        return None
    return _well("proxy", "A proxy is set here. Packages come through it; the node itself talks to others directly.")


def _far(url: str, now: Callable[[], float]) -> list[Finding]:
    """Look for the registry: its name first, then itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    found = []
    if not _is_address(host):
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return [
                _wrong(
                    "names",
                    f"The name {host} is not found.",
                    "Is it spelt right? Else the name server does not answer: set one with the fixed address, or "
                    "use the registry's IP address.",
                )
            ]
        found.append(_well("names", f"The name {host} is found."))
    return [*found, *_registry(url, host, now)]


def _registry(url: str, host: str, now: Callable[[], float]) -> list[Finding]:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(host, parts.port, timeout=WAIT_SECONDS)
    try:
        connection.request("GET", parts.path.rstrip("/") + "/v1/status")
        reply = connection.getresponse()
        told, is_ours = reply.getheader("Date", ""), b'"ledger"' in reply.read(REPLY_BYTES) and reply.status == 200
    except ssl.SSLCertVerificationError as error:
        advice = "Is the clock right, and is the address? Do not go on where a stranger may stand between."
        return [_wrong("registry", f"{host} shows a certificate that can't be trusted ({error.reason}).", advice)]
    except ConnectionRefusedError:
        return [_wrong("registry", f"{host} is there, but no node listens at {url}.", "Is the port right?")]
    except TimeoutError:
        advice = "Is it switched on? A firewall on the way may also swallow what is sent."
        return [_wrong("registry", f"{host} gives no answer within {WAIT_SECONDS:.0f} s.", advice)]
    except (OSError, HTTPException) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return [_wrong("registry", f"{url} is not reached: {said}.", "Is the address right?")]
    finally:
        connection.close()
    if not is_ours:
        advice = (
            "A log-in page of this network, or a proxy, may answer in its place: sign in there, or use another way."
        )
        return [_wrong("registry", f"What answers at {url} is not a node.", advice)]
    return [_well("registry", f"The registry {url} answers."), *_ahead(told, now())]


def _ahead(told: str, now: float) -> list[Finding]:
    """Compare this clock with a reply's date, which has whole seconds."""
    try:
        off = now - parsedate_to_datetime(told).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return []
    if abs(off) <= CLOCK_SECONDS:
        return []
    way = "ahead of" if off > 0 else "behind"
    return [
        _wrong(
            "clock",
            f"This clock is {abs(off):,.0f} s {way} the registry's; what this node signs would be refused.",
            "Let chrony reach its servers ('chronyc tracking'), or set it: sudo bpci machine clock --set TIME.",
        )
    ]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
