"""``bpci auction init``: what a node's configuration says of the chains that it holds pools for, and of limits."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.node_config import config_option
from bpci_node.cli.output import emit, fields, is_interactive, json_option
from bpci_node.errors import UsageError


@click.command("init")
@click.option(
    "--mempool-type",
    type=click.Choice(["mx-verkle"]),
    required=True,
    help="How the pool commits to what waits in it; Mx-Verkle is what this node has.",
)
@click.option("--target", default=None, metavar="CHAIN", help="Target chain, CAIP-2.  [default: ask]")
@click.option("--base-fee", type=click.IntRange(0), metavar="WEI", help="Named base fee per gas.  [default: ask]")
@click.option("--gas-limit", type=click.IntRange(21_000), metavar="GAS", help="Gas of one bundle.  [default: as it is]")
@click.option(
    "--commits-per-second",
    type=click.IntRange(1, 10_000_000),
    help="Commits that a target and class take here.  [default: as it is]",
)
@config_option
@json_option
def init(
    *,
    mempool_type: str,
    target: str | None,
    base_fee: int | None,
    gas_limit: int | None,
    commits_per_second: int | None,
    config: Path,
    as_json: bool,
) -> None:
    """Write what a node's configuration says of auctions: a target chain, and limits. What is there already stays.

    On a terminal it asks for what is missing. The node reads its configuration when it starts. To hold a seat in
    committees a node must be a validator as well: 'bpci miner init' does that, 'bpci notary join-committee' checks it.

    \b
    Examples:
      sudo bpci auction init --mempool-type mx-verkle
      bpci auction init --mempool-type mx-verkle --target eip155:10 --base-fee 1000000 --config node.toml --json
    """
    from bpci_node.cli.mining_place import open_place
    from bpci_node.runtime.config import TargetSection, dump, parse

    place = open_place(config)
    found = place.config
    if target is None and (is_interactive() or not found.targets):
        default = found.targets[0].id if found.targets else "eip155:1"
        target = _ask("Target chain (CAIP-2)", default, option="--target")
    known = {item.id: item for item in found.targets}
    if target is not None:
        section = known.get(target)
        if section is None:
            fee = _ask("Named base fee, wei per gas", None, option="--base-fee") if base_fee is None else base_fee
            section = TargetSection(target, int(fee))
        elif base_fee is not None:
            section = replace(section, base_fee_wei=base_fee)
        known[target] = section if gas_limit is None else replace(section, gas_limit=gas_limit)
    elif base_fee is not None or gas_limit is not None:
        raise UsageError("which target chain has this base fee or gas limit?", code="usage.call", hint="Give --target.")
    auction = found.auction
    if commits_per_second is not None:
        auction = replace(auction, commits_per_second=commits_per_second)
    wanted = replace(found, targets=tuple(known.values()), auction=auction)
    parse(dump(wanted), source=str(config))  # a configuration that the node would refuse is not written
    if wanted != found:
        place.store(wanted)
    data = {
        "v": 1,
        "config": str(place.path),
        "is_changed": wanted != found,
        "mempool_type": mempool_type,
        "targets": [
            asdict(item) | {"base_fee_wei": str(item.base_fee_wei), "fee_bin_wei": str(item.fee_bin_wei)}
            for item in wanted.targets
        ],
        "auction": asdict(wanted.auction),
        "has_validator_keys": wanted.validator is not None,
    }
    emit(data, as_json, _render)


def _ask(question: str, default: str | None, *, option: str) -> str:
    """Ask the person.

    Raises:
        UsageError: nobody is there to be asked (``usage.call``).
    """
    if not is_interactive():
        raise UsageError(f"{question}: nobody is there to be asked", code="usage.call", hint=f"Give {option}.")
    if default is None:
        return str(click.prompt(question, type=click.IntRange(0), err=True))
    return str(click.prompt(question, default=default, err=True))


def _render(data: dict[str, Any]) -> str:
    shown = {
        "configuration": data["config"] + (", changed: start the node anew" if data["is_changed"] else ", as it was"),
        "pool": data["mempool_type"],
        "targets": ", ".join(f"{item['id']} (base fee {item['base_fee_wei']} wei)" for item in data["targets"]),
        "commits": f"{data['auction']['commits_per_second']:,} a second for each target and class",
        "validator": "its keys are named" if data["has_validator_keys"] else "none: 'bpci miner init' makes it one",
    }
    return fields(shown)
