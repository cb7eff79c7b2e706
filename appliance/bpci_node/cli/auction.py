"""``bpci auction``: bid, watch, prove, and simulate."""

from __future__ import annotations

import click

from bpci_node.cli.auction_simulate import simulate


@click.group("auction")
def command() -> None:
    """Bid for block space without anybody seeing the bid, watch windows, and play auctions with real blocks."""


for item in (simulate,):
    command.add_command(item)
