"""``bpci auction simulate``: real blocks played as auctions, with attackers, in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.files import writing
from bpci_node.cli.output import emit, fields, json_option, say, table
from bpci_node.errors import UsageError

DATA = Path(__file__).parents[3] / "data" / "mainnet"
"""Where the repository has real blocks."""


@click.command("simulate")
@click.option(
    "--blocks",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Block with full transactions, JSON or JSON packed with gzip; several times.  [default: the repository's]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Decides all chances.")
@click.option(
    "--class",
    "qlock_ms",
    type=click.Choice(["10", "20", "50", "100"]),
    default="100",
    show_default=True,
    help="Length of a window's commit phase, milliseconds.",
)
@click.option(
    "--windows",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Windows over which a block's transactions arrive, and among which its gas is divided.",
)
@click.option(
    "--attackers",
    type=click.IntRange(0, 100),
    default=20,
    show_default=True,
    metavar="PERCENT",
    help="Share of the transactions that are attacked.",
)
@click.option(
    "--prize",
    type=click.IntRange(0, 10**6),
    default=3,
    show_default=True,
    metavar="N",
    help="What an attack that works is assumed to take: so many times what its victim pays.",
)
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.svg", help="Draw a picture.")
@json_option
def simulate(
    *,
    files: Sequence[Path],
    seed: int,
    qlock_ms: str,
    windows: int,
    attackers: int,
    prize: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Play real blocks as auctions, and see who gets in, what is earned, and what attackers gain.

    Every transaction bids hidden, through the auction's own state machines, signatures and selection; network and
    clocks are simulated. The same is played in a pool that everybody reads. docs/auction-simulation.md says what the
    figures show, and what they cannot show.

    \b
    Examples:
      bpci auction simulate --plot auction.svg
      bpci auction simulate --blocks block.json --seed 7 --attackers 50 --json
    """
    from bpci_node.cli.replaying import load_blocks
    from bpci_node.cli.simulating import Setting, play
    from bpci_node.cli.simulating_figures import figures_of
    from bpci_node.cli.simulating_plot import plot as draw

    chosen = list(files) or sorted(DATA.glob("block-*.json.gz"))
    if not chosen:
        raise UsageError(
            "there are no blocks here", code="usage.blocks", hint="Name block files, each with --blocks FILE."
        )
    setting = Setting(seed=seed, qlock_ms=int(qlock_ms), windows=windows, attackers_percent=attackers)
    made = play(load_blocks(chosen), setting)
    data = figures_of(made, prize=prize)
    if plot is not None:
        with writing(plot):
            plot.write_text(draw(made, data), encoding="utf-8")
        say(f"drawn: {plot}")
    emit(data, as_json, render)


def render(data: dict[str, Any]) -> str:
    """Return what a person reads of a play."""
    setting, revenue, inclusion, windows = data["setting"], data["revenue"], data["inclusion"], data["windows"]
    about = {
        "blocks": ", ".join(map(str, data["blocks"])),
        "windows": f"{windows['final']} final, {windows['void']} void; {setting['qlock_ms']} ms of commits, "
        f"{setting['window_gas_limit']:,} gas, {setting['notaries']} notaries",
        "bids": f"{inclusion['bids']} of {inclusion['transactions']} transactions",
        "ran": f"{inclusion['ran']}, of which {inclusion['ran_after_being_carried']} in a later window than their own; "
        f"{inclusion['ran_in_the_open']} in the open pool",
        "did not run": f"{inclusion['no_room']} without room, {inclusion['unrevealed']} unrevealed, "
        f"{inclusion['refused_or_void']} refused or void",
        "paid": f"{int(revenue['paid']):,} of {int(revenue['offered_in_blocks']):,} gwei offered",
        "attackers paid": f"{int(revenue['paid_by_attackers']):,} gwei, and forfeited "
        f"{int(revenue['forfeited_by_attackers']):,}",
        "final after": ", ".join(f"{name} {value / 1000:.0f} ms" for name, value in data["latency_us"].items()),
    }
    attacks = [
        [
            row["kind"],
            str(row["tried"]),
            str(row["succeeded"]),
            f"{int(row['gained']):,}",
            "-" if row["succeeded_in_the_open"] is None else str(row["succeeded_in_the_open"]),
            "-" if row["gained_in_the_open"] is None else f"{int(row['gained_in_the_open']):,}",
        ]
        for row in data["attacks"]
    ]
    orders = [
        [
            str(row["number"]),
            str(row["ran"]),
            _percent(row["same_order_bps"]),
            _percent(row["cheaper_first_in_block_bps"]),
            _percent(row["cheaper_first_bps"]),
        ]
        for row in data["orders"]
    ]
    gains = ["attack", "tried", "worked", "gained, gwei", "worked in the open", "gained there"]
    compared = ["block", "ran", "same order", "cheaper first in the block", "cheaper first here"]
    return "\n\n".join([fields(about), table(attacks, gains), table(orders, compared)])


def _percent(bps: int) -> str:
    return f"{bps / 100:.1f} %"
