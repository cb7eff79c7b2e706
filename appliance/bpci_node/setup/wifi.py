"""Wi-Fi: which networks are in the air, and the configuration by which ``wpa_supplicant`` joins one.

The passphrase stands in files that only root reads (0600), never in an argument, a message or a log. Joining is the
work of the distribution's own unit ``wpa_supplicant@INTERFACE.service``.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass

from bpci_node.errors import HostError
from bpci_node.host.units import read_properties
from bpci_node.setup.answers import NetworkAnswers
from bpci_node.setup.system import Finished, System

DIRECTORY = "/etc/wpa_supplicant"
UNIT_FILE = "/lib/systemd/system/wpa_supplicant@.service"
MODE = 0o600
MARK = "# Written by BPCI Community OS from the owner's settings; change it with 'bpci machine network'."
MAX_NETWORKS = 64
SCAN_TRIES = 5
"""How often a card that is busy listening for somebody else is asked."""
SCAN_PAUSE_SECONDS = 1.0
"""How long between two times."""
NOT_HEARD = "no station of that name is heard"
SAE_REFUSED = r"CTRL-EVENT-AUTH-REJECT .*auth_type=3 .*status_code=(1|15)\b"
"""The station does not find the passphrase proven. Source: IEEE 802.11-2020, 9.4.1.1 and 9.4.1.9."""


@dataclass(frozen=True, slots=True)
class Station:
    """A network in the air."""

    ssid: str
    """Its name."""
    signal_dbm: int
    """How strong its strongest station is, decibels above a milliwatt: -40 is near, -80 is far."""
    security: str
    """``WPA3``, ``WPA2/WPA3``, ``WPA2``, ``open``, or ``other`` (WEP, enterprise), which is not joined here."""

    @property
    def label(self) -> str:
        """Return a line for a person."""
        bars = "strong" if self.signal_dbm >= -60 else "good" if self.signal_dbm >= -72 else "weak"
        return f"{self.ssid}   {self.security}, {bars} ({self.signal_dbm} dBm)"


def unit_of(interface: str) -> str:
    """Return the unit that keeps ``interface`` on its network."""
    return f"wpa_supplicant@{interface}.service"


def device_link_of(interface: str) -> str:
    """Return the link by which the radio itself starts the unit whenever it appears.

    A stick that is put in late, or again, would find nobody waiting: the boot waits 90 seconds for it, once.
    """
    return f"/etc/systemd/system/sys-subsystem-net-devices-{interface}.device.wants/{unit_of(interface)}"


def path_of(interface: str) -> str:
    """Return the file that the unit reads."""
    return f"{DIRECTORY}/wpa_supplicant-{interface}.conf"


def supplicant_file(network: NetworkAnswers) -> str:
    """Return the configuration with which ``wpa_supplicant`` joins the network.

    WPA2 and WPA3 with one passphrase, frames of management protected wherever the station can; nothing older.
    Source: wpa_supplicant.conf(5).
    """
    # The name as hexadecimal digits: no character in it can end the line or the quotation.
    lines = [f"ssid={network.wifi_ssid.encode().hex()}", "scan_ssid=1"]
    secret = network.wifi_passphrase
    if not secret:
        lines.append("key_mgmt=NONE")
    elif '"' in secret and "#" in secret:
        # wpa_supplicant would take the rest for a comment. The key that WPA2 derives says the same without marks; a
        # station that takes WPA3 alone is not joined with such a passphrase. Source: IEEE 802.11-2020, annex J.4.1.
        key = hashlib.pbkdf2_hmac("sha1", secret.encode(), network.wifi_ssid.encode(), 4096, 32).hex()
        lines += ["key_mgmt=WPA-PSK WPA-PSK-SHA256", "proto=RSN", f"psk={key}", "ieee80211w=1"]
    elif len(secret) == 64:
        lines += ["key_mgmt=WPA-PSK WPA-PSK-SHA256", "proto=RSN", f"psk={secret}", "ieee80211w=1"]
    else:
        lines += ["key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE", "proto=RSN", f'psk="{secret}"', "ieee80211w=1"]
    body = "".join(f"    {line}\n" for line in lines)
    return f"{MARK}\ncountry={network.wifi_country}\nnetwork={{\n{body}}}\n"


def scan(system: System, interface: str) -> list[Station]:
    """Return the networks that ``interface`` hears, the strongest first.

    Raises:
        HostError: it can't listen (``host.wifi``).
    """
    switch_on(system, interface)
    system.attempt("ip", "link", "set", interface, "up")
    for number in range(SCAN_TRIES):
        if number:
            time.sleep(SCAN_PAUSE_SECONDS)
        done = system.runner(("iw", "dev", interface, "scan"), b"")
        if not _is_busy(done):
            break
    if _is_busy(done):
        # Whoever looks for his network all the time keeps the card busy; the kernel remembers what he heard.
        done = system.runner(("iw", "dev", interface, "scan", "dump"), b"")
    if done.status:
        said = done.errors.splitlines()[-1:] or ["no answer"]
        raise HostError(
            f"{interface} can't look for Wi-Fi networks: {said[0]}",
            code="host.wifi",
            hint="'journalctl -k' says whether the card lacks its firmware.",
        )
    return parse_scan(done.output.decode(errors="replace"))


def _is_busy(done: Finished) -> bool:
    return bool(done.status) and "(-16)" in done.errors  # EBUSY


def switch_on(system: System, interface: str) -> None:
    """Let the radio send if only software keeps it silent, as the state of an earlier system may.

    Raises:
        HostError: a switch, a key or the firmware keeps it silent (``host.wifi``).
    """
    # Source: Linux, Documentation/ABI/stable/sysfs-class-rfkill.
    for switch in sorted(system.path(f"/sys/class/net/{interface}/phy80211").glob("rfkill*")):
        try:
            is_hard, is_soft = ((switch / name).read_text().strip() == "1" for name in ("hard", "soft"))
            if is_soft:
                (switch / "soft").write_text("0")
        except OSError:
            continue
        if is_hard:
            raise HostError(
                f"the radio of {interface} is switched off by a switch of the machine",
                code="host.wifi",
                hint="Look for a switch or a key with an antenna on it, and for Wi-Fi in the firmware's settings.",
            )


def trouble(system: System, interface: str) -> str:
    """Return in plain words what keeps ``interface`` from its network, as a clause; empty if nothing is known of it.

    Only root and whoever may read the journal is told.
    """
    shown = system.runner(
        ("systemctl", "show", "--property=ActiveState", "--property=InvocationID", unit_of(interface)), b""
    )
    facts = read_properties(shown.output)
    if facts.get("ActiveState") != "active" or not facts.get("InvocationID"):
        return ""
    said = system.runner(
        ("journalctl", "--quiet", "--output=cat", f"_SYSTEMD_INVOCATION_ID={facts['InvocationID']}"), b""
    )
    return parse_log(said.output.decode(errors="replace"))


def parse_log(text: str) -> str:
    """Return what the lines of ``wpa_supplicant`` since its start mean, as :func:`trouble` says it."""
    found, was_joined = "", False
    for line in text.splitlines():
        if "Successfully initialized wpa_supplicant" in line or "rfkill: WLAN unblocked" in line:
            found = NOT_HEARD
        elif "rfkill: WLAN hard blocked" in line or "rfkill: WLAN soft blocked" in line:
            found = "its radio is switched off"
        elif "Trying to " in line and found == NOT_HEARD:
            found = ""
        elif "reason=WRONG_KEY" in line or re.search(SAE_REFUSED, line):
            found = "the passphrase is wrong"
        elif "CTRL-EVENT-AUTH-REJECT" in line or "CTRL-EVENT-ASSOC-REJECT" in line:
            found = "the station refuses this machine"
        elif "CTRL-EVENT-CONNECTED" in line:
            found, was_joined = "", True
        elif "CTRL-EVENT-DISCONNECTED" in line and was_joined:
            found, was_joined = "the connection was lost", False
    return found


def parse_scan(text: str) -> list[Station]:
    """Return the networks in the output of ``iw dev INTERFACE scan``, each name once, the strongest first."""
    found: dict[str, Station] = {}
    for block in re.split(r"(?m)^BSS ", text)[1:]:
        station = _station(block)
        known = found.get(station.ssid)
        if station.ssid and (known is None or known.signal_dbm < station.signal_dbm):
            found[station.ssid] = station
    return sorted(found.values(), key=lambda item: (-item.signal_dbm, item.ssid))[:MAX_NETWORKS]


def _station(block: str) -> Station:
    name = re.search(r"(?m)^\tSSID: (.*)$", block)
    signal = re.search(r"(?m)^\tsignal: (-?\d+)", block)
    safe = re.search(r"(?m)^\tRSN:.*(?:\n\t\t.*)*", block)
    suites = re.search(r"Authentication suites: (.*)", safe.group() if safe else "")
    words = suites.group(1).split() if suites else []
    plain, three = any(word.startswith("PSK") for word in words), "SAE" in words
    security = "WPA2/WPA3" if plain and three else "WPA3" if three else "WPA2" if plain else "other"
    if safe is None and not re.search(r"(?m)^\tcapability:.*Privacy", block) and "\tWPA:" not in block:
        security = "open"
    return Station(_unescaped(name.group(1)) if name else "", int(signal.group(1)) if signal else -100, security)


def _unescaped(text: str) -> str:
    r"""Return a name as ``iw`` shows it (``\xNN`` for what is no plain character); empty if no person can read it."""
    data = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found.group(1).decode()), text.encode())
    try:
        name = data.decode()
    except UnicodeDecodeError:
        return ""
    return name if name.isprintable() else ""
