"""``bpci machine``: the owner's settings on the root file system."""

from __future__ import annotations

import click

from bpci_node.cli.output import say


@click.group("machine")
def command() -> None:
    """Apply the machine's settings at boot."""


@command.command("apply")
def apply() -> None:
    """Put the owner's settings on this root file system: name, keyboard, network, account, node, SSH.

    Run at boot when the root was replaced. It may be repeated; without settings it does nothing.

    \b
    Example:
      sudo bpci machine apply
    """
    from bpci_node.setup.machine import apply_all
    from bpci_node.setup.system import System

    say("settings applied" if apply_all(System()) else "no settings yet: set-up has not written any")


@command.command("remember")
def remember() -> None:
    """Keep the owner's present password for the day when the root file system is replaced.

    'passwd' changes the password on this root only; an update brings a new root.

    \b
    Example:
      passwd && sudo bpci machine remember
    """
    from bpci_node.setup.machine import remember_password
    from bpci_node.setup.system import System

    say(f"the password of {remember_password(System())} is kept")
