"""``bpci console``: the node's state on the machine's console."""

from __future__ import annotations

import click

from bpci_node.cli.console_actions import ACTS


@click.command("console")
@click.option("--port", type=click.IntRange(1, 65535), default=8545, show_default=True, help="Port of the node's API.")
@click.option("--plain", is_flag=True, help="Line by line, for a screen reader: nothing is drawn.")
@click.option("--serve", is_flag=True, help="What bpci-web-console.socket starts: the pages for a browser.")
@click.option("--act", type=click.Choice(tuple(ACTS)), help="Do one of the owner's actions (root).")
def command(*, port: int, plain: bool, serve: bool, act: str | None) -> int:
    """Show this node's state, refreshed every two seconds, without any right to change it.

    Exit status: 10 when "S" was pressed, to ask whoever started it for the owner's login; 11 and up for one of the
    owner's actions.

    \b
    Examples:
      bpci console
      bpci console --plain
      sudo bpci console --act network
    """
    if act is not None:
        return ACTS[act]()
    from bpci_node.setup.system import System

    if serve:
        from bpci_tui import web

        web.serve(System(), port=port)
        return 0
    from bpci_tui import console

    return console.run_plain(System(), port=port) if plain else console.run(System(), port=port)
