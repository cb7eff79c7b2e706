"""New network settings while set-up asks: tried at once, and held until the machine's next start.

Nothing is written before the review is agreed to: a trial lives below ``/run`` (:mod:`bpci_node.setup.trial`), and its
timer takes it back if this console dies or is cut off before it is held.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bpci_node.errors import HostError
from bpci_node.setup import trial, wifi
from bpci_node.setup.answers import NetworkAnswers
from bpci_node.setup.interfaces import list_interfaces
from bpci_node.setup.plan import in_words
from bpci_node.setup.system import System

TRIAL_SECONDS = 120
ADDRESS_SECONDS = 40.0
"""How long Wi-Fi may take to give an address."""


def try_network(system: System, wanted: NetworkAnswers, say: Callable[[str], None], *, wait: float) -> list[str]:
    """Put the settings in force for a while; return the addresses of the interface.

    Args:
        wait: how long to wait for an address, seconds.
    Raises:
        HostError: the system would not take them, or Wi-Fi gave no address (``host.no_wifi``); then those before are in
            force again.
    """
    say(f"Trying {in_words(wanted)} ...")
    trial.begin(system, wanted, TRIAL_SECONDS)
    end = time.monotonic() + wait
    while True:
        mine = [item for item in list_interfaces(system) if item.name == wanted.interface]
        # A radio that lost one network for another may still have the address of the first.
        addresses = [text for item in mine for text in item.addresses if item.has_link or not wanted.wifi_ssid]
        if addresses or time.monotonic() >= end:
            break
        time.sleep(0.5)
    if wanted.wifi_ssid and not addresses:
        why = wifi.trouble(system, wanted.interface)
        trial.restore(system)
        raise HostError(
            f"Wi-Fi {wanted.wifi_ssid} gave no address within {wait:.0f} s{f': {why}' if why else ''}",
            code="host.no_wifi",
            hint="Is the passphrase right, and is the station near enough?",
        )
    return addresses
