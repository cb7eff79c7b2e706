"""The encrypted data partition: asked for before set-up writes anything, bound to the TPM as set-up's first step.

The initial RAM disk makes it (``/usr/lib/bpci/open-data``) and leaves a random key in memory; here that key is replaced
by two others: one that the TPM gives out while firmware and Secure Boot are as they are now (PCR 7), and a recovery key
for the day when they are not. Until both are in place nothing of value is on the partition.

Not handled: a root file system that somebody has changed while the disk was in the machine (``docs/disk.md``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bpci_node.errors import HostError, UsageError
from bpci_node.setup.disks import APPLIANCE
from bpci_node.setup.system import System

STATE = "/run/bpci-boot/encryption"
"""How the partition was opened at this start: ``tpm``, ``recovery`` or ``new``; not there when it is not encrypted."""
KEY = "/run/bpci-boot/data-key"
"""The key in memory that opens a partition which was just encrypted."""
REQUEST = "/data/encrypt"
"""Asks the next start to encrypt the data partition."""
PLACES = ("/var/lib/bpci/setup", "/var/lib/bpci/node", "/var/lib/bpci/backup", "/var/lib/bpci/update", "/home")
"""Nothing is in them before set-up begins to write; a reset may have kept some of it."""
PARTITION = "/dev/disk/bpci/data"
LABEL = "bpci-data"
"""Of a partition that outlives the next start; one that only the key in memory opens has another."""
PCR = 7
"""Firmware's keys and Secure Boot: what is measured there is the same after an update of the kernel."""

_TYPED_KEY, _NEW_KEY = "/run/bpci-boot/typed-key", "/run/bpci-boot/new-key"
_TPM_VERSION = "/sys/class/tpm/tpm0/tpm_version_major"
_TOKENS = "/usr/lib/x86_64-linux-gnu/cryptsetup/libcryptsetup-token-systemd-tpm2.so"
_MODHEX = "cbdefghijklnrtuv"
"""Letters that lie in the same place on most keyboards: the form of systemd's own recovery keys."""
_CHEAP = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
"""Both keys have 256 random bits, so nothing is gained by making each try expensive."""
_TPM_TOKEN = "systemd-tpm2"  # noqa: S105 - the name of a kind of key slot


def state(system: System) -> str:
    """Return ``tpm``, ``recovery`` or ``new`` (see :data:`STATE`), or ``none`` when data is not encrypted."""
    return system.read_text(STATE) or "none"


def has_tpm(system: System) -> bool:
    """Tell whether there is a TPM 2.0, and what is needed to use it."""
    return system.read_text(_TPM_VERSION) == "2" and system.exists(_TOKENS)


def can_request(system: System) -> bool:
    """Tell whether the data partition that runs can be encrypted: nothing is on it, nor was it asked for in vain.

    The initial RAM disk looks at the same places, and leaves alone what holds something.
    """
    if not system.exists(APPLIANCE) or not has_tpm(system) or state(system) != "none":
        return False
    return not system.exists(REQUEST) and not any(_holds(system, place) for place in PLACES)


def _holds(system: System, directory: str) -> bool:
    return system.exists(directory) and any(system.path(directory).iterdir())


def offer(system: System) -> str:
    """Return what set-up shows: ``ask``, ``new`` when the key of a partition made at this start is due, or nothing."""
    if state(system) == "new":
        return "new"
    return "ask" if can_request(system) else ""


def check_bound(system: System) -> None:
    """Refuse to go on while nothing but the key in memory opens the partition.

    Raises:
        HostError: ``host.encryption``.
    """
    if state(system) == "new":
        raise HostError(
            "the data were encrypted at this start, and nothing is said of binding them",
            code="host.encryption",
            hint="Say encrypt = true in [disk] of the answers, or go through the wizard.",
        )


def request(system: System) -> None:
    """Ask the next start to encrypt the data partition, which loses all that is on it.

    Raises:
        HostError: there is no TPM (``host.tpm``), or something is on the partition (``host.encryption``).
        StorageError: ``storage.write``.
    """
    check_tpm(system)
    if not can_request(system):
        raise HostError(
            "the data partition can't be encrypted: it holds something, or encrypting it failed",
            code="host.encryption",
            hint="Write the image to the disk again, and choose encryption at its first start.",
        )
    system.write(REQUEST, "")


def request_and_restart(system: System) -> None:
    """Ask for encryption, and restart the machine.

    Raises:
        HostError, StorageError: as :func:`request`.
    """
    request(system)
    system.run("systemctl", "--no-block", "reboot")


def check_tpm(system: System) -> None:
    """Refuse what needs a TPM where there is none.

    Raises:
        HostError: ``host.tpm``.
    """
    if not has_tpm(system):
        raise HostError(
            "this machine has no TPM 2.0 that opens its disk",
            code="host.tpm",
            hint="Switch it on in the firmware (fTPM, PTT), or do without encryption.",
        )


def new_recovery_key(entropy: Callable[[int], bytes]) -> str:
    """Return a recovery key: 256 bits as eight groups of eight letters."""
    letters = "".join(_MODHEX[int(digit, 16)] for digit in entropy(32).hex())
    return "-".join(letters[start : start + 8] for start in range(0, 64, 8))


def normal_recovery_key(typed: str) -> str:
    """Return the recovery key that a person typed.

    Raises:
        UsageError: it has not the form of one (``usage.recovery_key``); the message does not show it.
    """
    letters = re.sub(r"[\s-]", "", typed.lower())
    if not re.fullmatch(rf"[{_MODHEX}]{{64}}", letters):
        raise UsageError(
            "that is no recovery key of a disk",
            code="usage.recovery_key",
            hint="It has eight groups of eight letters; it is not the 24 words of the node.",
        )
    return "-".join(letters[start : start + 8] for start in range(0, 64, 8))


def bind(system: System, partition: str, recovery_key: str) -> None:
    """Replace the key in memory by the TPM's and the recovery key. May be repeated after a failure.

    Raises:
        HostError: a program failed (``host.command``), or there is no TPM (``host.tpm``).
        StorageError: ``storage.write``.
    """
    check_tpm(system)
    unlock = ("--key-file", str(system.path(KEY)))
    _clear_attempt(system, partition)
    with _in_memory(system, recovery_key) as file:
        system.run("cryptsetup", "luksAddKey", "--batch-mode", *unlock, *_CHEAP, partition, file)
    _seal(system, partition, str(system.path(KEY)))
    # From here on it outlives the next start, and the key in memory has done its work.
    system.run("cryptsetup", "config", "--label", LABEL, partition)
    if partition == PARTITION:
        system.write(STATE, "tpm\n")
    system.run("cryptsetup", "luksKillSlot", "--batch-mode", partition, "0")
    system.remove(KEY)


def enroll(system: System, recovery_key: str) -> None:
    """Bind the partition to the TPM as the machine is now, by its recovery key.

    Raises:
        HostError: the key is another one's (``host.recovery_key``), or there is no TPM (``host.tpm``).
        StorageError: ``storage.write``.
    """
    check_tpm(system)
    with _in_memory(system, recovery_key) as file:
        _check_key(system, file)
        _seal(system, PARTITION, file, "--wipe-slot=tpm2")
    system.write(STATE, "tpm\n")


def replace_recovery_key(system: System, old: str, new: str) -> None:
    """Put ``new`` in the place of the recovery key ``old``, which opens nothing from then on.

    Raises:
        HostError: the old key is another one's (``host.recovery_key``), or a program failed (``host.command``).
        StorageError: ``storage.write``.
    """
    with _in_memory(system, old) as old_file, _in_memory(system, new, _NEW_KEY) as new_file:
        _check_key(system, old_file)
        # The new one first, in a slot of its own: a power cut between the two leaves both, never none.
        unlock = ("--key-file", old_file)
        system.run("cryptsetup", "luksAddKey", "--batch-mode", *unlock, *_CHEAP, PARTITION, new_file)
        system.run("cryptsetup", "luksRemoveKey", "--batch-mode", PARTITION, old_file)


def _seal(system: System, partition: str, key_file: str, *options: str) -> None:
    """Enroll the TPM, and see that it opens the partition now."""
    choice = ("--tpm2-device=auto", f"--tpm2-pcrs={PCR}")
    system.run("systemd-cryptenroll", f"--unlock-key-file={key_file}", *choice, *options, partition)
    opens = ("--test-passphrase", "--token-only", "--token-type", _TPM_TOKEN)
    system.run("cryptsetup", "open", *opens, partition, hint="The TPM gave nothing back; is it locked, or failing?")


def _check_key(system: System, file: str) -> None:
    if not system.attempt("cryptsetup", "open", "--test-passphrase", "--key-file", file, PARTITION):
        raise HostError(
            "that recovery key does not open this disk",
            code="host.recovery_key",
            hint="Look at the paper from set-up, or at the one that replaced it.",
        )


@contextmanager
def _in_memory(system: System, key: str, name: str = _TYPED_KEY) -> Iterator[str]:
    """Hand a key to programs as a file in memory that only root reads, and that is gone afterwards."""
    system.write(name, key, 0o600)
    try:
        yield str(system.path(name))
    finally:
        system.remove(name)


def _clear_attempt(system: System, partition: str) -> None:
    """Remove what an earlier attempt has enrolled beside the key in memory, which is in slot 0."""
    dump = json.loads(system.run("cryptsetup", "luksDump", "--dump-json-metadata", partition))
    for token in dump["tokens"]:
        system.run("cryptsetup", "token", "remove", "--token-id", token, partition)
    for slot in dump["keyslots"]:
        if slot != "0":
            system.run("cryptsetup", "luksKillSlot", "--batch-mode", partition, slot)
