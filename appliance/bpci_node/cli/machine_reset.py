"""``bpci machine reset``: back to the state of delivery."""

from __future__ import annotations

import socket

import click

from bpci_node.cli.output import require_person, say
from bpci_node.cli.root import need_root
from bpci_node.errors import UsageError


@click.command("reset")
@click.option("--keep-data", "mode", flag_value="keep", help="The node's database and people's files stay.")
@click.option("--wipe", "mode", flag_value="wipe", help="Nothing of the owner stays.")
@click.option("--cancel", "mode", flag_value="cancel", help="Withdraw a reset that was asked for.")
@click.option("--carry-out", "mode", flag_value="carry-out", hidden=True, help="What the machine does at its start.")
@click.option("--reboot", is_flag=True, help="Restart the machine at once, which carries it out.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(*, mode: str | None, reboot: bool, yes: bool) -> int:
    """Forget owner, keys and settings at the machine's next start, and begin with the wizard again.

    With --keep-data the node goes on if the same recovery phrase is given then. With --wipe everything is gone but the
    system: only the phrase and a backup elsewhere bring the node back. Exit status 1 if there was nothing to cancel.

    \b
    Examples:
      sudo bpci machine reset --keep-data
      sudo bpci machine reset --wipe --reboot
      sudo bpci machine reset --cancel
    """
    from bpci_node.setup import reset as resetting
    from bpci_node.setup.system import System

    if mode is None:
        raise UsageError("say what becomes of the data", code="usage.call", hint="--keep-data or --wipe")
    need_root("a reset changes the machine, so it needs root", hint="sudo bpci machine reset")
    system = System()
    if mode == "carry-out":
        done = resetting.carry_out(system)
        say("no reset was asked for" if done is None else f"the machine was reset ({done})")
        return 0
    if mode == "cancel":
        was_asked = resetting.withdraw(system)
        say("the reset is withdrawn" if was_asked else "no reset was asked for")
        return 0 if was_asked else 1
    if not yes:
        _confirm(mode)
    resetting.ask(system, mode)
    say("the next start resets this machine; 'sudo bpci machine reset --cancel' withdraws it")
    if reboot:
        system.run("systemctl", "--no-block", "reboot")
    return 0


def _confirm(mode: str) -> None:
    require_person()
    say(
        "Owner, keys and settings are forgotten; the node's database stays."
        if mode == "keep"
        else "EVERYTHING of the owner is removed: keys, database, backups' settings, files, logs."
    )
    say("Without the recovery phrase the node's identity is lost.")
    name = socket.gethostname()
    if click.prompt(f"Type this machine's name ({name}) to go on", err=True, default="", show_default=False) != name:
        raise UsageError("that is not this machine's name; nothing was changed", code="usage.reset")
