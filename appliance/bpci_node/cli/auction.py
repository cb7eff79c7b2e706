"""``bpci auction``: bid, watch, prove, and simulate."""

from __future__ import annotations

import click

from bpci_node.cli.auction_bid import bid, commit, included, reveal, status
from bpci_node.cli.auction_build import build
from bpci_node.cli.auction_init import init
from bpci_node.cli.auction_market import lines, windows
from bpci_node.cli.auction_report import report
from bpci_node.cli.auction_simulate import simulate
from bpci_node.cli.auction_watch import settlements, watch


@click.group("auction")
def command() -> None:
    """Bid for block space without anybody seeing the bid, watch windows, and play auctions with real blocks."""


for item in (windows, lines, commit, reveal, bid, build, status, included, watch, settlements, report, simulate, init):
    command.add_command(item)
