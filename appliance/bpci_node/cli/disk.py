"""``bpci disk``: the data partition, its room, and the keys that open it when it is encrypted."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.output import emit, fields, json_option, say
from bpci_node.cli.root import need_root
from bpci_node.errors import HostError
from bpci_node.setup import encryption
from bpci_node.setup.system import System

DATA = Path("/data")
SYSTEM = System()
ENCRYPTION = {
    "none": "not encrypted",
    "tpm": "encrypted, opened by this machine's TPM",
    "recovery": "encrypted, opened by its recovery key: sudo bpci disk enroll binds it to the TPM again",
    "new": "encrypted, bound to nothing yet: set-up does that",
}
"""What :func:`bpci_node.setup.encryption.state` means, for people."""


@click.group("disk")
def command() -> None:
    """The data partition: its room, and the keys of its encryption.

    Encryption is chosen in set-up.
    """


@command.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """Show how full the data partition is, what of it is kept for root, and how it is encrypted.

    \b
    Examples:
      bpci disk status
      bpci disk status --json
    """
    try:
        room = os.statvfs(DATA)
    except OSError as error:
        raise HostError(
            f"{DATA} can't be looked at: {error.strerror}", code="host.data", hint="Is this machine an appliance?"
        ) from error
    data: dict[str, Any] = {
        "v": 1,
        "encryption": encryption.state(SYSTEM),
        "size_bytes": room.f_blocks * room.f_frsize,
        "free_bytes": room.f_bavail * room.f_frsize,
        "reserved_bytes": (room.f_bfree - room.f_bavail) * room.f_frsize,
    }
    emit(data, as_json, _render)


def _render(data: dict[str, Any]) -> str:
    size, free, kept = (f"{data[f'{name}_bytes'] / 2**30:.2f} GiB" for name in ("size", "free", "reserved"))
    return fields(
        {"Encryption": ENCRYPTION[data["encryption"]], "Size": size, "Free": f"{free}, and {kept} kept for root"}
    )


@command.command("enroll")
def enroll() -> None:
    """Bind the encrypted data to this machine's TPM as it is now; asks for the recovery key.

    Needed when firmware or Secure Boot was changed, or the disk was moved into this machine: the TPM refuses then, and
    the machine asks for the recovery key at every start. The key is read from the terminal, or from standard input.

    \b
    Examples:
      sudo bpci disk enroll
      sudo bpci disk enroll < recovery-key
    """
    _require_encrypted()
    encryption.check_tpm(SYSTEM)
    encryption.enroll(SYSTEM, encryption.normal_recovery_key(_ask("Recovery key of the disk")))
    say("bound: the TPM opens the data from the next start on")


@command.command("recovery-key")
@click.option("--yes", is_flag=True, help="Do not ask.")
def recovery_key(*, yes: bool) -> None:
    """Make a new recovery key for the encrypted data, shown once; the one before opens nothing any more.

    The present key is read from the terminal, or from standard input.

    \b
    Examples:
      sudo bpci disk recovery-key
      sudo bpci disk recovery-key --yes < recovery-key > new-key
    """
    _require_encrypted()
    old = encryption.normal_recovery_key(_ask("Present recovery key of the disk"))
    if not yes:
        click.confirm("A new key is shown, and the present one opens nothing any more. Go on?", err=True, abort=True)
    new = encryption.new_recovery_key(os.urandom)
    encryption.replace_recovery_key(SYSTEM, old, new)
    say("Write this down, and throw the old one away:")
    click.echo(new)


def _require_encrypted() -> None:
    """Refuse what only root may do, and what needs an encrypted partition."""
    need_root("the keys of the disk are root's")
    state = encryption.state(SYSTEM)
    if state not in ("tpm", "recovery"):
        raise HostError(
            f"the data partition is {ENCRYPTION[state]}",
            code="host.encryption",
            hint="Encryption is chosen in set-up, before the machine holds anything.",
        )


def _ask(prompt: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, err=True))
    return sys.stdin.readline(1000)
