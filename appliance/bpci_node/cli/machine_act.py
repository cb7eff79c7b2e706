"""``bpci machine act``: what stands behind the web face's page of the machine; started by the service manager alone."""

from __future__ import annotations

import click

from bpci_node.cli.root import need_root
from bpci_node.setup.acts.request import DIRECTORY, LANES

WEB_USER = "bpci-web"


@click.group("act", hidden=True)
def act() -> None:
    """Answer the web face, and carry out what the owner asked for there."""


@act.command("answer")
def answer() -> None:
    """Answer one question on the connection that is standard input; for bpci-act@.service.

    \b
    Example:
      systemctl start bpci-act.socket
    """
    import pwd
    import socket

    from bpci_node.runtime.service import set_up_logging
    from bpci_node.setup.acts.helper import for_this_machine

    need_root("this answers the web face, so it needs root")
    set_up_logging("bpci-act")
    try:
        users = {0, pwd.getpwnam(WEB_USER).pw_uid}
    except KeyError:
        users = {0}
    with socket.socket(fileno=0) as connection:
        for_this_machine(users).serve(connection)


@act.command("run")
@click.argument("lane", type=click.Choice(LANES))
def run(lane: str) -> None:
    """Carry out what was asked for in LANE; for bpci-act-run@LANE.service.

    What its command says, and its exit status, are in the record that the page shows.

    \b
    Example:
      systemctl start bpci-act-run@repair.service
    """
    from pathlib import Path

    from bpci_node.runtime.service import set_up_logging
    from bpci_node.setup.acts.runner import carry_out

    need_root()
    set_up_logging("bpci-act")
    carry_out(Path(DIRECTORY), lane)
