"""Back to the state of delivery: asked for while the machine works, carried out at its next start.

What is to be done stands in one file, which goes last: a power cut repeats the whole, and every step may be repeated.
Keys go first, with what opens them, so that a reset that breaks off leaves none. With ``keep`` the node's database, its
sign guards, the memory of backups and people's files stay, and the same recovery phrase goes on with them; with
``wipe`` nothing of the owner stays. On a machine that is not the appliance, accounts, homes, logs and networks are
somebody's, and are left alone.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from bpci_node.errors import FormatError, StorageError, UsageError
from bpci_node.primitives.json_text import read_json
from bpci_node.setup import settings, wifi
from bpci_node.setup.machine import APPLIED, NODE_DROP_IN, home_of
from bpci_node.setup.networking import NETWORK_UNIT
from bpci_node.setup.system import System
from bpci_node.store.durable_file import sync_path

MARKER = "/var/lib/bpci/reset.json"
KEEP, WIPE = "keep", "wipe"
APPLIANCE = "/usr/share/bpci/appliance"
OPENER = "/var/lib/systemd/credential.secret"
"""What this machine's sealed keys are opened with."""

_KEPT_STATE = ("node", "backup", "monitoring", "update")
"""Below ``/var/lib/bpci``: stay with ``keep``. An update that was cut off has the node's databases in hand."""
_KEPT_SETTINGS = ("backup.toml", "backup")
"""Below ``/etc/bpci``: the way to the backups stays with ``keep``."""
_ON_ROOT = (APPLIED, NODE_DROP_IN)


def ask(system: System, mode: str) -> None:
    """Note that the machine is to be reset at its next start; durable on return.

    Args:
        mode: :data:`KEEP` or :data:`WIPE`.
    Raises:
        StorageError: ``storage.write``.
    """
    system.write(MARKER, json.dumps({"v": 1, "mode": mode, "asked_ms": time.time_ns() // 1_000_000}) + "\n", 0o600)


def withdraw(system: System) -> bool:
    """Let the machine be as it is; tell whether a reset was asked for. Durable on return.

    Raises:
        StorageError: ``storage.write``.
    """
    was_asked = system.exists(MARKER)
    system.remove(MARKER)
    if was_asked:
        # A power cut now must not bring back what the owner withdrew.
        try:
            sync_path(system.path(MARKER).parent)
        except OSError as error:
            raise StorageError(f"cannot write {MARKER}: {error.strerror}", code="storage.write") from error
    return was_asked


def asked(system: System) -> str | None:
    """Return how the machine is to be reset, ``None`` if it is not.

    Raises:
        StorageError: the file can't be read (``storage.read``).
        UsageError: it is not one of ours, and nothing is removed because of it (``usage.reset``).
    """
    data = system.read(MARKER)
    if data is None:
        return None
    try:
        value = read_json(data, max_bytes=4096)
    except FormatError:
        value = None
    if not isinstance(value, dict) or value.get("v") != 1 or value.get("mode") not in (KEEP, WIPE):
        raise UsageError(
            f"{MARKER} does not say how to reset this machine",
            code="usage.reset",
            hint="Ask again with 'sudo bpci machine reset', or withdraw it with --cancel.",
        )
    return str(value["mode"])


def carry_out(system: System) -> str | None:
    """Do what was asked for, before anything of ours has started; return how, ``None`` if nothing was asked.

    Raises:
        UsageError: as :func:`asked`.
        StorageError: something can't be removed (``storage.write``); the next start tries again.
    """
    mode = asked(system)
    if mode is None:
        return None
    owner = _owner(system)
    if mode == WIPE:
        system.remove(OPENER)
    _empty(system.path("/etc/bpci/keys"))
    _empty(system.path("/etc/bpci"), *(_KEPT_SETTINGS if mode == KEEP else ()))
    _empty(system.path("/var/lib/bpci"), *(_KEPT_STATE if mode == KEEP else ()), Path(MARKER).name)
    if mode == KEEP:
        # What is sealed to the keys that went: memory of backups stays, scratch places don't.
        for scratch in system.path("/var/lib/bpci/backup").glob("scratch-*"):
            _remove(scratch)
    for name in _ON_ROOT:
        system.remove(name)
    if system.exists(APPLIANCE):
        _forget_networks(system)
        _forget_owner(system, owner, keep_home=mode == KEEP)
        if mode == WIPE:
            _empty(system.path("/home"))
            _forget_logs(system)
    system.attempt("sync")
    system.remove(f"{MARKER}.owner")
    system.remove(MARKER)
    return mode


def _owner(system: System) -> str:
    """Return the owner's login name, empty if the settings don't say it any more."""
    try:
        kept = settings.load(system)
    except (StorageError, UsageError):
        kept = None
    if kept is not None:
        # Beside the marker, since a reset that broke off has no settings any more.
        system.write(f"{MARKER}.owner", kept.owner.name, 0o600)
        return kept.owner.name
    return system.read_text(f"{MARKER}.owner")


def _forget_networks(system: System) -> None:
    """Remove what set-up wrote of networks; what the image or somebody else has put beside it stays."""
    system.remove(NETWORK_UNIT)
    for path in sorted(system.path(wifi.DIRECTORY).glob("wpa_supplicant-*.conf")):
        interface = path.stem.removeprefix("wpa_supplicant-")
        if system.read_text(wifi.path_of(interface)).startswith(wifi.MARK):
            for link in system.path("/etc/systemd/system").glob(f"*.wants/{wifi.unit_of(interface)}"):
                _remove(link)
            _remove(path)  # last, because it says what is ours


def _forget_owner(system: System, owner: str, *, keep_home: bool) -> None:
    if not owner or not home_of(system, owner):
        return
    system.attempt("userdel", *(() if keep_home else ("--remove",)), owner)
    if home_of(system, owner):
        raise StorageError(
            f"the account {owner} can't be removed", code="storage.write", hint="See 'journalctl -u bpci-reset'."
        )


def _forget_logs(system: System) -> None:
    """Remove every log; the directories stay, because services expect theirs. The journal is removed by its keeper."""
    journal = system.path("/var/log/journal")
    for path in sorted(system.path("/var/log").rglob("*")):
        if not path.is_relative_to(journal) and (path.is_symlink() or not path.is_dir()):
            _remove(path)
    system.attempt("journalctl", "--rotate")
    system.attempt("journalctl", "--vacuum-time=1s")


def _empty(directory: Path, *kept: str) -> None:
    """Remove what a directory holds, but for some names; the directory itself may be mounted, and stays."""
    try:
        for path in sorted(directory.iterdir()) if directory.is_dir() else []:
            if path.name not in kept and path.name != f"{Path(MARKER).name}.owner":
                _remove(path)
    except OSError as error:
        raise StorageError(f"cannot empty {directory}: {error.strerror}", code="storage.write") from error


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {error.strerror}", code="storage.write") from error
