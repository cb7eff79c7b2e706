"""``bpci auction windows`` and ``lines``: what is open now, and the bonds to bid with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.local import dir_option, find_node, node_option, target_option
from bpci_node.cli.output import emit, fields, json_option, table
from bpci_node.cli.sending import account_of, key_option, load_signer, open_ledger, place_options, send
from bpci_node.cli.wallet_keys import KeySource
from bpci_node.errors import RefusedError


@click.command("windows")
@target_option
@dir_option
@node_option
@json_option
def windows(*, target: str, directory: Path | None, url: str | None, as_json: bool) -> None:
    """Show which windows of a target are open, their phases, the tiers of bonds, and who holds the epoch.

    Times are a validator's word: the one that --node names.

    \b
    Examples:
      bpci auction windows --node http://192.0.2.5:8545
      bpci auction windows --target eip155:10 --json
    """
    from bpci_node.auction.window import phases_of, window_at
    from bpci_node.cli.bidding import Overview
    from bpci_node.network.auction_client import AuctionClient

    with AuctionClient(find_node(directory, url).url) as client:
        overview = Overview.of(client)
    terms, now_us = overview.terms_of(target), overview.now_us()
    found = [window_at(target, qlock, now_us) for qlock in terms.classes]
    phases = [phases_of(window, terms) for window in found]
    data = {
        "v": 1,
        "target": target,
        "time_us": now_us,
        "epoch": overview.epoch,
        "epoch_ends_us": overview.ends_us,
        "seats": list(overview.urls),
        "windows": [
            {
                "qlock_ms": window.qlock_ms,
                "index": window.index,
                "opens_us": phase.opens_us,
                "closes_us": phase.closes_us,
                "reveal_ends_us": phase.reveal_ends_us,
                "seal_ends_us": phase.seal_ends_us,
            }
            for window, phase in zip(found, phases, strict=True)
        ],
        "base_fee_wei": str(terms.base_fee_wei),
        "gas_limit": terms.gas_limit,
        "asset": terms.asset,
        "wei_per_unit": str(terms.wei_per_unit),
        "tiers": [{"number": tier.number, "bond": str(tier.bond), "cap": str(tier.cap)} for tier in terms.tiers],
    }
    emit(data, as_json, _render_windows)


@click.command("lines")
@key_option
@click.option("--count", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Reserve so many bonds.")
@click.option("--tier", type=click.IntRange(0, 255), default=0, show_default=True, help="Of this tier.")
@click.option("--deposit", type=click.IntRange(1), metavar="AMOUNT", help="Put so much into the escrow first.")
@target_option
@place_options
def lines(
    *,
    key_file: KeySource,
    count: int,
    tier: int,
    deposit: int | None,
    target: str,
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> None:
    """Reserve bonds for bids of this epoch, from the account's escrow with the auctions.

    Each commit uses one of them up. 'bid' reserves what it needs by itself; reserve ahead to bid without waiting for a
    block of the ledger. --deposit fills the escrow, in the smallest unit of the asset that the target is paid in.

    \b
    Examples:
      bpci auction lines --key bidder.key --count 20 --deposit 20000000000
      bpci auction lines --wallet anna --count 5 --tier 2 --json
    """
    from bpci_node.chain.wallets import WALLETS
    from bpci_node.cli.bidding import PATIENCE_SECONDS, open_lines, open_market

    signer = load_signer(key_file)
    with open_ledger(directory, url, network) as ledger:
        account = account_of(ledger, signer)
    with open_market(find_node(directory, url).url, network) as market:
        terms = market.overview.terms_of(target)
        if deposit is not None:
            body = {"holder": WALLETS["auction"], "asset": terms.asset, "amount": deposit}
            with open_ledger(directory, url, network) as ledger:
                send(ledger, signer, "escrow.deposit", body)
        # The coordinator follows the ledger: it learns of the deposit a moment after the block.
        ends = time.monotonic() + (0 if deposit is None else PATIENCE_SECONDS)
        while True:
            try:
                made = open_lines(market, signer, account, target=target, tier=tier, count=count)
                break
            except RefusedError:
                if time.monotonic() >= ends:
                    raise
            time.sleep(0.2)
    data = {"v": 1, "account": account, "target": target, **made}
    emit(data, as_json, _render_lines)


def _render_lines(data: dict[str, Any]) -> str:
    rows = [[str(item["tier"]), str(item["reserved"]), str(item["free"])] for item in data["lines"]]
    return table(rows, ["tier", "reserved", "free"])


def _render_windows(data: dict[str, Any]) -> str:
    now = data["time_us"]
    about = {
        "target": data["target"],
        "epoch": f"{data['epoch']}, {max(0, data['epoch_ends_us'] - now) / 1e6:.1f} s left, {len(data['seats'])} seats",
        "coordinator": (data["seats"] or [None])[0] or "unknown",
        "base fee": f"{int(data['base_fee_wei']):,} wei",
        "gas": f"{data['gas_limit']:,} a window",
    }
    rows = [
        [
            f"{item['qlock_ms']} ms",
            str(item["index"]),
            f"{(item['closes_us'] - now) / 1e3:.0f} ms",
            f"{(item['reveal_ends_us'] - now) / 1e3:.0f} ms",
            f"{(item['seal_ends_us'] - now) / 1e3:.0f} ms",
        ]
        for item in data["windows"]
    ]
    tiers = [[str(tier["number"]), tier["bond"], tier["cap"]] for tier in data["tiers"]]
    shown = table(rows, ["class", "open window", "closes in", "revealed in", "sealed in"])
    return "\n\n".join([fields(about), shown, table(tiers, ["tier", f"bond, {data['asset']}", "covers"])])
