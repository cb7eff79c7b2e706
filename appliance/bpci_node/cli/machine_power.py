"""``bpci machine restart`` and ``poweroff``: the node finishes what it has open before the machine goes down."""

from __future__ import annotations

import click

from bpci_node.cli.node_config import NODE_CONFIG
from bpci_node.cli.output import require_person, say
from bpci_node.cli.root import need_root
from bpci_node.errors import BpciError, UsageError

DRAIN_SECONDS = 120
"""How long the node may take; what it has certified by then is taken up at its next start."""

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command("restart")
@yes_option
def restart(*, yes: bool) -> None:
    """Restart the machine, once the node's part in open auctions has ended or two minutes are over.

    \b
    Examples:
      sudo bpci machine restart
      sudo bpci machine restart --yes
    """
    _go_down("restart", "reboot", is_agreed=yes)


@click.command("poweroff")
@yes_option
def poweroff(*, yes: bool) -> None:
    """Switch the machine off, once the node's part in open auctions has ended or two minutes are over.

    \b
    Examples:
      sudo bpci machine poweroff
      sudo bpci machine poweroff --yes
    """
    _go_down("power off", "poweroff", is_agreed=yes)


def _go_down(words: str, verb: str, *, is_agreed: bool) -> None:
    from bpci_node.setup.system import System

    need_root("this is for the owner")
    if not is_agreed:
        require_person()
        if not click.confirm(f"Really {words} this machine?", err=True):
            raise UsageError("nothing was done", code="usage.declined")
    _drain()
    say(f"the machine does it now: {words}")
    System().run("systemctl", "--no-block", verb)


def _drain() -> None:
    """Ask the node to finish what it has open; one that can't, or that does not answer, is not waited for."""
    from bpci_node.runtime.config import load
    from bpci_node.update.draining import drain

    try:
        drain(load(NODE_CONFIG), DRAIN_SECONDS, say)
    except BpciError as error:
        say(f"not drained: {error.message}")
