"""``bpci machine``: the owner's settings on the root file system, and changing them."""

from __future__ import annotations

import time

import click

from bpci_node.cli.machine_act import act
from bpci_node.cli.machine_network import network
from bpci_node.cli.machine_power import poweroff, restart
from bpci_node.cli.machine_reset import reset
from bpci_node.cli.output import emit, fields, json_option, say
from bpci_node.cli.root import need_root
from bpci_node.errors import UsageError


@click.group("machine")
def command() -> None:
    """See and change the machine's settings: network, keyboard, time zone, clock; restart and reset it."""


command.add_command(network)
command.add_command(reset)
command.add_command(restart)
command.add_command(poweroff)
command.add_command(act)


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


@command.command("keyboard")
@click.argument("layout")
def keyboard(layout: str) -> None:
    """Change the layout of the console's keyboard, now and for later starts.

    LAYOUT is an XKB layout, with a variant after a colon.

    \b
    Examples:
      sudo bpci machine keyboard de
      sudo bpci machine keyboard ch:fr
    """
    from bpci_node.setup.machine import change_places, try_keyboard
    from bpci_node.setup.system import System

    need_root()
    system = System()
    change_places(system, keymap=layout)
    try_keyboard(system, layout)
    say(f"the keyboard is {layout}")


@command.command("timezone")
@click.argument("zone")
def timezone(zone: str) -> None:
    """Change the time zone in which this machine shows the time.

    \b
    Example:
      sudo bpci machine timezone Europe/Berlin
    """
    from bpci_node.setup.machine import change_places
    from bpci_node.setup.system import System

    need_root()
    change_places(System(), timezone=zone)
    say(f"the time zone is {zone}")


@command.command("clock")
@click.option("--set", "moment", metavar="TIME", help="Set the clock by hand, in UTC: 'YYYY-MM-DD HH:MM'.")
@json_option
def clock(moment: str | None, as_json: bool) -> int:  # noqa: FBT001 - click passes every option by name
    """Show whether the clock is right, or set it where no time server can be reached.

    Exit status: 0 a time daemon steers it, 1 none does.

    \b
    Examples:
      bpci machine clock
      sudo bpci machine clock --set '2030-01-31 12:00'
    """
    from bpci_node.host.kernel_clock import read_kernel_clock
    from bpci_node.setup.system import System

    system = System()
    if moment is not None:
        need_root()
        try:
            wanted = time.strptime(moment, "%Y-%m-%d %H:%M")
        except ValueError:
            raise UsageError("--set wants 'YYYY-MM-DD HH:MM'", code="usage.call") from None
        system.run("date", "--utc", "--set", time.strftime("%Y-%m-%d %H:%M:00", wanted))
    steered = read_kernel_clock().synchronized
    zone = system.read_text("/etc/timezone") or "UTC"
    data = {"v": 1, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "timezone": zone, "steered": steered}
    emit(data, as_json, lambda item: fields({name: str(value) for name, value in item.items() if name != "v"}))
    return 0 if steered else 1
