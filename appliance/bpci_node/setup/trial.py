"""New network settings on trial: in force at once, gone again unless somebody confirms them.

Whoever changes the address of a machine far away may cut himself off. So the new settings lie below ``/run`` alone, in
a unit that sorts before the owner's; a timer of the service manager, armed before they are put in force, takes them
away. It fires whether or not the session that began the trial still lives; a crash or a restart forgets ``/run``.
Confirming writes the settings first and then ends the trial: what is interrupted between the two stays confirmed.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bpci_node.errors import BpciError, UsageError
from bpci_node.setup import networking, settings, wifi
from bpci_node.setup.answers import NetworkAnswers
from bpci_node.setup.networking import check_manager, set_network, take_up
from bpci_node.setup.system import System

DIRECTORY = "/run/bpci-network"
RECORD = f"{DIRECTORY}/trial.json"
TRIAL_UNIT = "/run/systemd/network/05-bpci-trial.network"
TIMER = "bpci-network-trial"
PROGRAM = "/usr/local/bin/bpci"
SECONDS = 90
"""How long a trial lasts unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that is on."""

    network: NetworkAnswers
    """What is tried."""
    ends: float
    """Moment of the monotonic clock at which it is taken back, seconds; 0 for no end before the next start."""

    @property
    def seconds_left(self) -> int:
        """Return how many seconds are left to confirm."""
        return max(0, int(self.ends - time.monotonic()))


def current(system: System) -> Trial | None:
    """Return the trial that is on, or ``None``."""
    try:
        value: dict[str, Any] = json.loads(system.read(RECORD) or b"null") or {}
        fields = dict(value["network"])
        fields["dns"] = tuple(fields.get("dns", ()))
        return Trial(NetworkAnswers(**fields), float(value["ends"]))
    except (ValueError, KeyError, TypeError):
        return None


def begin(system: System, network: NetworkAnswers, seconds: int = SECONDS) -> Trial:
    """Put ``network`` in force for ``seconds``.

    Raises:
        HostError: systemd-networkd does not run the network (``host.network``), or would not take it
            (``host.command``); the settings before are in force again.
        StorageError: ``storage.write``.
    """
    check_manager(system)
    with _alone(system):
        _take_back(system)
        trial = Trial(network, time.monotonic() + seconds)
        _note(system, trial)
        try:
            system.run(
                "systemd-run", "--quiet", "--collect", f"--unit={TIMER}", f"--on-active={seconds}",
                "--timer-property=AccuracySec=1s", PROGRAM, "machine", "network", "restore",
            )  # fmt: skip
            _put_in_force(system, network)
        except BpciError:
            _take_back(system)
            raise
    return trial


def hold(system: System) -> bool:
    """Keep what is tried until the machine's next start, without the countdown: set-up writes it down at its end.

    Returns:
        Whether there was still a trial: after its time the settings before are in force again.
    """
    with _alone(system):
        trial = current(system)
        if trial is not None:
            _note(system, replace(trial, ends=0.0))
            system.attempt("systemctl", "stop", f"{TIMER}.timer")
        return trial is not None


def confirm(system: System) -> NetworkAnswers:
    """Make what is tried the machine's settings, and return it.

    Raises:
        UsageError: nothing is on trial any more (``usage.trial``), or there are no settings yet (``usage.settings``).
        HostError: ``host.command``.
        StorageError: ``storage.write``.
    """
    with _alone(system):
        trial = current(system)
        if trial is None:
            raise UsageError(
                "no network settings are on trial: the time is over, and those before are in force again",
                code="usage.trial",
                hint="Try again with 'sudo bpci machine network try'.",
            )
        keep(system, trial.network)
        _take_back(system)
        return trial.network


def restore(system: System) -> bool:
    """End the trial that is on, with what the settings say in force again; tell whether there was one.

    Raises:
        HostError: ``host.command``.
        StorageError: ``storage.write``.
    """
    with _alone(system):
        return _take_back(system)


def keep(system: System, network: NetworkAnswers) -> None:
    """Write ``network`` into the machine's settings, and put it in force.

    Raises:
        UsageError: there are no settings yet (``usage.settings``).
        HostError: ``host.network``, ``host.command``.
        StorageError: ``storage.write``.
    """
    from bpci_node.setup.machine import remember_applied  # noqa: PLC0415 - the wizard's first screens need it not

    kept = settings.load(system)
    if kept is None:
        raise UsageError("this machine is not set up yet", code="usage.settings", hint="Run 'sudo bpci setup' first.")
    if networking.has_unit(network):
        check_manager(system)
    if network.wifi_ssid:
        wifi.switch_on(system, network.interface)
    system.write(settings.PATH, settings.dump(replace(kept, network=network)), settings.MODE)
    set_network(system, network)
    remember_applied(system)


def _put_in_force(system: System, network: NetworkAnswers) -> None:
    system.write(TRIAL_UNIT, networking.network_file(network))
    if network.wifi_ssid:
        wifi.switch_on(system, network.interface)
        place = f"{DIRECTORY}/{network.interface}.conf"
        system.write(place, wifi.supplicant_file(network), wifi.MODE)
        start = f"ExecStart=/sbin/wpa_supplicant -c{place} -i{network.interface}"
        # It names the passphrase's file, and not the passphrase.
        system.write(_drop_in(network.interface), f"[Service]\nExecStart=\n{start}\n")
        system.run("systemctl", "daemon-reload")
        system.run("systemctl", "restart", wifi.unit_of(network.interface))
    take_up(system, network.interface)


def _take_back(system: System) -> bool:
    """Remove what a trial has left, and put what is set in force again."""
    trial = current(system)
    if trial is None and not system.exists(TRIAL_UNIT):
        return False
    interface = trial.network.interface if trial else ""
    system.remove(TRIAL_UNIT)
    if interface and system.exists(_drop_in(interface)):
        system.remove(_drop_in(interface))
        system.remove(f"{DIRECTORY}/{interface}.conf")
        system.run("systemctl", "daemon-reload")
        is_set = system.exists(wifi.path_of(interface))
        system.attempt("systemctl", "restart" if is_set else "stop", wifi.unit_of(interface))
    if interface:
        # An interface that no unit is left for would keep the addresses that it was given.
        system.attempt("ip", "address", "flush", "dev", interface, "scope", "global")
    system.attempt("networkctl", "reload")
    if interface:
        system.attempt("networkctl", "reconfigure", interface)
    # Last: as long as the record is there, whoever comes next takes back what was left half done.
    system.remove(RECORD)
    system.attempt("systemctl", "stop", f"{TIMER}.timer")
    return True


def _drop_in(interface: str) -> str:
    return f"/run/systemd/system/{wifi.unit_of(interface)}.d/bpci-trial.conf"


def _note(system: System, trial: Trial) -> None:
    value = {"network": trial.network.as_map(), "ends": trial.ends}
    system.write(RECORD, json.dumps(value) + "\n", wifi.MODE)


@contextmanager
def _alone(system: System) -> Iterator[None]:
    """Let one process at a time begin or end a trial."""
    path = system.path(f"{DIRECTORY}/lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except PermissionError as error:
        raise UsageError(
            "this changes the machine, so it needs root", code="usage.root", hint="Put sudo before it."
        ) from error
