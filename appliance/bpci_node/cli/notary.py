"""``bpci notary``: whether a node takes part in committees, and since or from when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bpci_node.cli.node_config import config_option
from bpci_node.cli.output import emit, fields, json_option
from bpci_node.cli.receiving import coins


@click.group("notary")
def command() -> None:
    """Take part in the committees that certify auctions."""


@command.command("join-committee")
@config_option
@json_option
def join_committee(*, config: Path, as_json: bool) -> int:
    """Check everything that a seat in a committee takes, and say when this node can have one.

    Nobody joins a committee by asking: each epoch's is drawn among the validators by lot, weighted by stake, and a
    running validator draws by itself. This command changes nothing; 'bpci miner init --auto-configure' does what is
    missing. Exit status 0 if the node draws, 1 if something is missing.

    \b
    Examples:
      sudo bpci notary join-committee
      bpci notary join-committee --config node.toml --json
    """
    from bpci_node.cli.mining import open_desk, survey
    from bpci_node.cli.mining_place import open_place

    place = open_place(config)
    with open_desk(place) as desk:
        found = survey(desk, place)
    names = ("account", "registered", "staked", "least_stake", "validator", "configured", "serves", "epoch", "seat")
    shown = {name: found[name] for name in (*names, "seats", "counts_from")}
    # A miner is not asked for: it is registered for pools and hash power, and takes no part in draws.
    draws = found["registered"] and found["validator"] == "active" and found["configured"] and found["serves"]
    missing = [] if draws else found["missing"]
    emit({"v": 1, **shown, "missing": missing, "draws": draws}, as_json, _render)
    return 0 if draws else 1


def _render(data: dict[str, Any]) -> str:
    first = data["counts_from"]
    seat = "not drawn in this epoch" if data["seat"] is None else f"seat {data['seat']} of {data['seats']}"
    shown = {
        "account": data["account"],
        "stake": f"{coins(data['staked'])}, at least {coins(data['least_stake'])}",
        "validator": data["validator"] or "not set up",
        "epoch": "unknown: the node does not serve" if data["epoch"] is None else f"{data['epoch']}, {seat}",
        "draws": "unknown" if first is None else f"for epoch {first['epoch']} and later",
    }
    lines = [fields(shown), *(f"missing: {item}" for item in data["missing"])]
    if data["missing"]:
        lines.append("'bpci miner init --auto-configure' does what can be done from here")
    return "\n".join(lines)
