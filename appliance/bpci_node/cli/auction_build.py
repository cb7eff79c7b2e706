"""``bpci auction build``: a parcel from the public pool, bid for blind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bpci_node.cli.auction_bid import (
    bid_option,
    bring_home,
    class_of,
    notaries_option,
    out_option,
    raws_of,
    window_options,
    write_bundle,
)
from bpci_node.cli.auction_bid_view import show
from bpci_node.cli.local import find_node
from bpci_node.cli.output import Progress
from bpci_node.cli.sending import account_of, key_option, load_signer, open_ledger, place_options
from bpci_node.cli.wallet_keys import KeySource


@click.command("build")
@click.argument("entries", nargs=-1, metavar="[FILE|-|0xRAW]...")
@key_option
@bid_option
@click.option(
    "--pay",
    required=True,
    type=click.IntRange(1, 2**63 - 1),
    metavar="AMOUNT",
    help="What the parcel pays if it runs, smallest unit of the target's asset.",
)
@click.option("--gas", type=click.IntRange(21_000), help="Gas of the parcel.  [default: half of a window's]")
@click.option(
    "--most", type=click.IntRange(0, 256), default=64, show_default=True, help="Take so many entries of the pool."
)
@window_options
@notaries_option
@out_option
@place_options
def build(
    *,
    entries: Sequence[str],
    key_file: KeySource,
    path: Path,
    pay: int,
    gas: int | None,
    most: int,
    target: str,
    qlock_ms: str | None,
    ahead: int,
    tier: int | None,
    notaries: int,
    out: Path | None,
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> int:
    """Build a parcel and bid for it blind: own entries first, then the best of the node's public pool.

    One parcel runs in a window, whole and in its order, behind hidden bids and before the pool: the one that pays most
    of those that fit. Nobody sees it before the window's commits are certified. 'bid --file BID' goes on with it after
    an interruption. Exit status 0 if it runs, 1 if it does not.

    \b
    Examples:
      bpci auction build --pay 25000 --key builder.key --file monday.bid
      bpci auction build 0x02f8... --pay 25000 --most 20 --wallet anna --file monday.bid --out monday.bundle
    """
    from bpci_node.cli.bidding import open_lines, open_market, prepare_parcel, tier_of
    from bpci_node.cli.building import build_parcel, read_pool
    from bpci_node.network.client import NodeClient

    signer, own, place, progress = load_signer(key_file), raws_of(entries), find_node(directory, url).url, Progress()
    with open_ledger(directory, url, network) as ledger:
        account = account_of(ledger, signer)
    with open_market(place, network) as market:
        terms, ledger_id = market.overview.terms_of(target), market.network.ledger_id
        chosen, number = class_of(market, target, qlock_ms), tier_of(pay, terms, tier)
        progress.update("reading the public pool")
        with NodeClient(place) as node:
            pool = read_pool(node, target) if most else []
        bound = terms.gas_limit // 2 if gas is None else gas
        parcel = build_parcel(own, pool, terms, chosen, ledger_id, payment=pay, gas=bound, most=most)
        progress.update("reserving the bond")
        open_lines(market, signer, account, target=target, tier=number, count=1)
        kept = prepare_parcel(
            market, signer, account, parcel, path, target=target, qlock_ms=chosen, ahead_ms=ahead, tier=number
        )
        refused, stage, bundle = bring_home(market, kept, notaries, progress)
    if out is not None and bundle is not None:
        write_bundle(out, bundle.encode())
    return show(kept, as_json, refused=refused, stage=stage, bundle=bundle)
