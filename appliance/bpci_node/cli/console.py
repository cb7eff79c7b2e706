"""``bpci console``: the node's state on the machine's console."""

from __future__ import annotations

import click


@click.command("console")
@click.option("--port", type=click.IntRange(1, 65535), default=8545, show_default=True, help="Port of the node's API.")
def command(port: int) -> int:
    """Show this node's state, refreshed every two seconds, without any right to change it.

    Exit status: 10 when "S" was pressed, to ask whoever started it for the owner's login.

    \b
    Example:
      bpci console
    """
    from bpci_node.setup.system import System
    from bpci_tui.console import run

    return run(System(), port=port)
