"""The node's keys at rest: sealed by ``systemd-creds`` to this machine, or plain files of root where it is missing.

A key goes from memory through the command's standard input into the file; only the service manager opens it again, for
the node, and set-up, to register. Sealed with the host's key (not the TPM's) the node starts unattended, and the disk
alone is enough to open it: what a TPM adds comes with measured boot. Ubuntu 22.04 has systemd 249, without
``systemd-creds``: there a file of mode 0400 stands in its place.
"""

from __future__ import annotations

from bpci_node.errors import StorageError
from bpci_node.setup.system import System

DIRECTORY = "/etc/bpci/keys"
NODE_KEY = "node-key"
REGISTRY_KEY = "registry-key"
BACKUP_KEY = "backup-key"
"""Encrypts backups; the node itself never gets it."""
VALIDATOR_KEYS = ("bls-key", "vrf-key", "ml-dsa-key")
"""Of a node that mines: for votes, for draws, and the ML-DSA-44 seed."""


def sealed_path(name: str) -> str:
    """Return where the sealed key ``name`` lies."""
    return f"{DIRECTORY}/{name}.cred"


def plain_path(name: str) -> str:
    """Return where the plain key ``name`` lies."""
    return f"{DIRECTORY}/{name}.key"


def can_seal(system: System) -> bool:
    """Tell whether this machine has ``systemd-creds``."""
    return system.attempt("systemd-creds", "--version")


def is_kept(system: System, name: str) -> bool:
    """Tell whether the key ``name`` is there in its final form."""
    return system.exists(sealed_path(name)) or (system.exists(plain_path(name)) and not can_seal(system))


def is_there(system: System, name: str) -> bool:
    """Tell whether the key ``name`` is there in any form."""
    return system.exists(sealed_path(name)) or system.exists(plain_path(name))


def keep(system: System, name: str, seed: bytes) -> None:
    """Put the key ``name`` to rest, sealed if this machine can.

    Raises:
        HostError: ``systemd-creds`` failed (``host.command``).
        StorageError: it could not be written (``storage.write``).
    """
    if not can_seal(system):
        keep_plain(system, name, seed)
        return
    sealed = system.run(
        "systemd-creds", "encrypt", "--with-key=host", f"--name={name}", "-", "-", stdin=seed,
        hint="Look at 'systemd-creds setup' and at the free space in /var/lib/systemd.",
    )  # fmt: skip
    system.write(sealed_path(name), sealed, 0o400)
    system.remove(plain_path(name))


def keep_plain(system: System, name: str, seed: bytes) -> None:
    """Put the key ``name`` to rest as a file that root alone may read.

    Raises:
        StorageError: it could not be written (``storage.write``).
    """
    system.write(plain_path(name), seed, 0o400)


def open_key(system: System, name: str) -> bytes:
    """Return the 32 bytes of the key ``name``.

    Raises:
        HostError: it does not open on this machine (``host.command``).
        StorageError: it is missing or damaged (``storage.key``).
    """
    if (sealed := system.read(sealed_path(name))) is not None:
        seed = system.run(
            "systemd-creds", "decrypt", f"--name={name}", "-", "-", stdin=sealed,
            hint="It was sealed on another machine, or /var/lib/systemd was lost: restore from the recovery phrase.",
        )  # fmt: skip
    else:
        seed = system.read(plain_path(name)) or b""
    if len(seed) != 32:
        raise StorageError(
            f"the key {name} in {DIRECTORY} is missing or damaged",
            code="storage.key",
            hint="Restore the identity from the recovery phrase: sudo bpci setup.",
        )
    return seed


def drop_in(system: System) -> str:
    """Return the lines that hand the kept keys to the node's service."""
    lines = ["# Written by bpci set-up; made anew at boot when the root file system was replaced.", "[Service]"]
    for name in (NODE_KEY, REGISTRY_KEY, *VALIDATOR_KEYS):
        if system.exists(sealed_path(name)):
            lines.append(f"LoadCredentialEncrypted={name}:{sealed_path(name)}")
        elif system.exists(plain_path(name)):
            lines.append(f"LoadCredential={name}:{plain_path(name)}")
    return "\n".join(lines) + "\n"
