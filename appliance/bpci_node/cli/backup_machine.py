"""The machine whose backups are made or restored: its files, its key, and how its work is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bpci_node.cli.output import Progress, is_interactive, say
from bpci_node.errors import UsageError

if TYPE_CHECKING:
    from bpci_node.runtime.backup.config import BackupConfig
    from bpci_node.runtime.backup.work import Backups
    from bpci_node.runtime.config import NodeConfig
    from bpci_node.setup.system import System

root_option = click.option(
    "--root",
    # Absolute, since the paths in a backup and in its manifest begin at the root.
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    default=Path("/"),
    help="Work on the machine whose files lie below this directory, as from a rescue system.",
)
phrase_option = click.option(
    "--phrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Recovery phrase, - for standard input; needed once where set-up kept no backup key.",
)
snapshot_option = click.option(
    "--snapshot",
    default="latest",
    show_default=True,
    metavar="ID|TIME",
    help="Beginning of an id (8 digits or more), or a time: the newest backup that is not later.",
)


def find_system(root: Path) -> System:
    """Return the machine below ``root``.

    Raises:
        UsageError: only root may do this here (``usage.root``), or nothing is set up here (``usage.settings``).
    """
    from bpci_node.setup.system import System

    # The unit that makes backups is not root, and may do what is asked for here.
    if root == Path("/") and not os.access("/etc/bpci/keys", os.R_OK | os.X_OK, effective_ids=True):
        if os.geteuid() == 0:
            raise UsageError(
                "this machine is not set up yet", code="usage.settings", hint="Run 'sudo bpci setup' first."
            )
        raise UsageError("backups read what root alone may read", code="usage.root", hint="sudo bpci backup ...")
    return System(root)


def read_settings(system: System) -> BackupConfig:
    """Return what the owner has decided about backups; raises UsageError (``backup.unconfigured``, ``config.*``)."""
    from bpci_node.runtime.backup import config

    return config.load(system.path(config.PATH))


def read_node(system: System) -> NodeConfig:
    """Return the node's configuration; raises UsageError (``config.*``)."""
    from bpci_node.runtime.config import load
    from bpci_node.setup.machine import NODE_CONFIG

    return load(system.path(NODE_CONFIG))


def find_backups(system: System, root: Path, tell: Callable[[str], None]) -> Backups:
    """Return the backups of this machine.

    Raises:
        BpciError: it makes none yet, keeps no key, or restic is missing.
    """
    from bpci_node.runtime.backup.work import Backups

    return Backups(read_settings(system), find_key(system, None), root=root, say=tell)


def find_key(system: System, phrase_file: Path | None) -> bytes:
    """Return the backup key, 32 bytes: the one that is kept, or the one of a phrase.

    Raises:
        UsageError: none is kept (``backup.no_key``).
        FormatError: the file holds no recovery phrase.
    """
    from bpci_node.primitives.derivation import derive_keys
    from bpci_node.setup import keystore

    if phrase_file is None:
        if not keystore.is_there(system, keystore.BACKUP_KEY):
            raise UsageError(
                "this machine keeps no backup key yet",
                code="backup.no_key",
                hint="sudo bpci backup init --to PLACE --phrase-file -",
            )
        return keystore.open_key(system, keystore.BACKUP_KEY)
    with click.open_file(str(phrase_file), errors="replace") as file:
        return derive_keys(file.read(4096)).backup_key


def make_teller() -> tuple[Callable[[str], None], Callable[[], None]]:
    """Return what shows progress, and what clears it: one line on a terminal, lines elsewhere without repetition."""
    progress = Progress()
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        head = text.partition(":")[0]
        if is_interactive():
            progress.update(text)
        elif head != last:
            say(text)
        last = head

    return tell, progress.finish


def moment_of(time_ms: int) -> str:
    """Return Unix milliseconds as people read them."""
    return f"{datetime.fromtimestamp(time_ms / 1000, tz=UTC):%Y-%m-%d %H:%M} UTC"
