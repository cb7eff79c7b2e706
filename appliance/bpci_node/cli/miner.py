"""``bpci miner``: let a registered node mine, look at how it does, see what it earned, stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.node_config import config_option
from bpci_node.cli.output import emit, fields, json_option, say, table
from bpci_node.cli.receiving import coins
from bpci_node.errors import UsageError


@click.group("miner")
def command() -> None:
    """Let a registered node mine: draw seats in committees, run auctions, and be paid for it."""


@command.command("init")
@click.option("--community", "node_type", flag_value="bpi-community", help="As a community node.")
@click.option("--hybrid", "node_type", flag_value="hybrid", help="As a hybrid node.")
@click.option("--auto-configure", is_flag=True, help="Do what is missing.  [default: only say it]")
@click.option(
    "--phrase-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="The owner's 24 words, of which the validator's keys are made; - reads standard input.  [default: draw keys]",
)
@click.option("--stake", type=click.IntRange(1), help="Smallest units of BPI.  [default: the least that is needed]")
@click.option("--commission-bps", type=click.IntRange(0, 10_000), default=500, show_default=True, help="Basis points.")
@click.option("--pool", metavar="NAME", help="The pool that it works for.")
@click.option("--hash-power", type=click.IntRange(0), default=0, show_default=True, help="Claimed hashes per second.")
@config_option
@json_option
def init(
    *,
    node_type: str | None,
    auto_configure: bool,
    phrase_file: Path | None,
    stake: int | None,
    commission_bps: int,
    pool: str | None,
    hash_power: int,
    config: Path,
    as_json: bool,
) -> int:
    """Take this machine's node from registered to earning, and say what it waits for.

    Keys, configuration, a new start of the node, stake (from the faucet on test networks), the validator and the miner
    on the ledger, and what this machine carries, as 'bpci hardware measure' found it or a few seconds find it now: what
    is done already stays, so it may be started again at any time. Exit status 1 if something is missing.

    \b
    Examples:
      sudo bpci miner init --community --auto-configure
      sudo bpci miner init --community --auto-configure --phrase-file - --pool river
      bpci miner init --config node.toml --json
    """
    from bpci_node.cli.mining import enlist, open_desk, survey
    from bpci_node.cli.mining_capacity import declare
    from bpci_node.cli.mining_configure import configure
    from bpci_node.cli.mining_place import open_place

    place = open_place(config)
    if node_type is not None and place.config.node.type != node_type and not auto_configure:
        raise UsageError(
            f"the configuration says that this is a {place.config.node.type} node",
            code="miner.type",
            hint="With --auto-configure it is changed.",
        )
    done: list[str] = []
    if auto_configure:
        place, done = configure(place, node_type, phrase_file)
    with open_desk(place) as desk:
        if auto_configure:
            done += enlist(
                desk,
                place.validator_keys(),
                stake=stake,
                commission_bps=commission_bps,
                hash_power=hash_power,
                pool=pool,
            )
            done += ["capacity"] if declare(desk, desk.account) else []
        found = survey(desk, place) | {"done": done}
    emit(found, as_json, render)
    if found["missing"] and not auto_configure:
        say("with --auto-configure this command does what it can")
    return 1 if found["missing"] else 0


@command.command("status")
@config_option
@json_option
def status(*, config: Path, as_json: bool) -> int:
    """Say how this machine's node mines: stake, keys, seat, what it waits for. Exit status 1 if something is missing.

    \b
    Examples:
      sudo bpci miner status
      bpci miner status --config node.toml --json
    """
    from bpci_node.cli.mining import open_desk, survey
    from bpci_node.cli.mining_place import open_place

    place = open_place(config)
    with open_desk(place) as desk:
        found = survey(desk, place)
    emit(found, as_json, render)
    return 1 if found["missing"] else 0


@command.command("earnings")
@config_option
@json_option
def earnings(*, config: Path, as_json: bool) -> None:
    """Show what this machine's node was paid for its seats, proved against the ledger.

    \b
    Examples:
      sudo bpci miner earnings
      bpci miner earnings --config node.toml --json
    """
    from bpci_node.cli.mining import earnings as earned
    from bpci_node.cli.mining import open_desk
    from bpci_node.cli.mining_place import open_place

    with open_desk(open_place(config)) as desk:
        account = desk.account
        found = {"account": account, "earned": earned(desk, account)}
    emit(found, as_json, _render_earnings)


@command.command("stop")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def stop(*, yes: bool, config: Path, as_json: bool) -> None:
    """Let the validator leave, retire the miner, and end the node's duties in auctions.

    The stake stays until it is withdrawn, and liable until that is free. 'bpci miner init' begins again.

    \b
    Examples:
      sudo bpci miner stop
      bpci miner stop --config node.toml --yes --json
    """
    from bpci_node.chain.miners import load_miner
    from bpci_node.chain.validators import load_validator
    from bpci_node.cli.mining import open_desk
    from bpci_node.cli.mining_configure import restart
    from bpci_node.cli.mining_place import open_place

    place, done = open_place(config), []
    if not yes:
        click.confirm("Leave the set of validators, and end this node's auctions?", abort=True, err=True)
    with open_desk(place) as desk:
        account, state = desk.account, desk.ledger().state
        validator, miner = load_validator(state, account), load_miner(state, account)
        if validator is not None and validator.status != "exited":
            desk.send("validator.exit", {})
            done.append("validator")
        if miner is not None and miner.status == "active":
            desk.send("registry.retire_miner", {})
            done.append("miner")
    if place.config.validator is not None:
        flags = tuple(flag for flag in place.config.node.flags if flag != "validator")
        place = place.store(replace(place.config, validator=None, node=replace(place.config.node, flags=flags)))
        done.append("configuration")
        restart(place)
    emit({"account": account, "done": done}, as_json, lambda data: "ended: " + (", ".join(data["done"]) or "nothing"))


def render(data: dict[str, Any]) -> str:
    """Return what a person reads of a mining node."""
    first = data["counts_from"]
    serves = "not" if not data["serves"] else "watching"
    if data["seat"] is not None:
        serves = f"seat {data['seat']} of {data['seats']}" + (", coordinating" if data["seat"] == 0 else "")
    shown = {
        "account": data["account"],
        "node": data["type"] + (", registered" if data["registered"] else ", NOT registered"),
        "stake": f"{coins(data['staked'])} (at least {coins(data['least_stake'])})",
        "balance": coins(data["balance"]),
        "validator": data["validator"] or "none",
        "miner": (data["miner"] or "none") + (f", pool {data['pool']}" if data["pool"] else ""),
        "carries": _carries(data.get("capacity")),
        "keys count from": "-" if first is None else f"epoch {first['epoch']}",
        "epoch now": "-" if data["epoch"] is None else str(data["epoch"]),
        "serves": serves,
        "earned": ", ".join(f"{item['total']} units of {item['asset']}" for item in data["earned"]) or "nothing yet",
    }
    lines = [fields(shown)]
    if data.get("done"):
        lines.append("done now: " + ", ".join(data["done"]))
    lines += [f"missing: {item}" for item in data["missing"]]
    if data["waits_for"]:
        lines.append(f"waits for {data['waits_for']}")
    return "\n".join(lines)


def _carries(capacity: dict[str, Any] | None) -> str:
    if capacity is None:
        return "not declared"
    parts = [f"{capacity['mx_verkle_buckets']} buckets/s", f"{capacity['auction_windows_per_sec']} windows/s"]
    named = {"download_bps": "down", "upload_bps": "up"}
    lines = [(capacity[name], word) for name, word in named.items() if capacity[name] is not None]
    return ", ".join([*parts, *(f"{rate // 10**6} Mbit/s {word}" for rate, word in lines)])


def _render_earnings(data: dict[str, Any]) -> str:
    if not data["earned"]:
        return f"{data['account']} was paid nothing for seats yet"
    rows = [
        [item["asset"], item["total"], str(item["parts"]), str(item["epoch"]), item["in_epoch"]]
        for item in data["earned"]
    ]
    return table(rows, ["asset", "smallest units", "settlements", "last epoch", "of it then"])
