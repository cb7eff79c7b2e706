"""``bpci light follow``: fetch a target's bundles from nodes that need not be trusted, and verify each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.auction_view import header_view, render_headers
from bpci_node.cli.light_trust import (
    ask_committee,
    committee_option,
    keep_state,
    load_state,
    load_trust,
    read_proof,
    state_option,
    trust_option,
)
from bpci_node.cli.local import target_option
from bpci_node.cli.output import emit, json_option
from bpci_node.errors import BpciError, FormatError, UnreachableError

if TYPE_CHECKING:
    from bpci_node.auction.auction_bundle import AuctionBundle

_PAGE = 20


@click.command("follow")
@trust_option
@target_option
@click.option("--node", "urls", multiple=True, metavar="URL", help="Fetch from this node.  [default: the network's]")
@committee_option
@state_option
@click.option("--most", default=1_000, show_default=True, metavar="N", help="Stop after so many bundles.")
@click.option("--full", "is_full", is_flag=True, help="Also decode every transaction and recover its sender.")
@json_option
def follow(
    *,
    network: Path,
    target: str,
    urls: Sequence[str],
    committee: Path | None,
    state: Path | None,
    most: int,
    is_full: bool,
    as_json: bool,
) -> None:
    """Fetch the bundles of a target that come next, and verify each.

    Nodes are only asked; what they answer must follow from the network file. Without a state it begins with the
    first bundle that the node still has.

    \b
    Examples:
      bpci light follow --network network.json --state mainnet.light
      bpci light follow --network network.json --node http://192.0.2.5:8545 --full --json
    """
    from bpci_node.auction.light import begin, stand_on

    trusted = load_trust(network)
    client = load_state(state, trusted)
    if committee is not None:
        found = read_proof(committee, trusted)
        client = begin(trusted.ledger_id, target, found) if client is None else stand_on(client, found)
    views: list[dict[str, Any]] = []
    for bundle in _fetch(urls or trusted.urls, target, 0 if client is None else client.sequence, most):
        if client is None:
            client = begin(trusted.ledger_id, target, ask_committee(trusted, bundle.header.epoch))
        if client.digest is None and bundle.header.epoch < client.committee.epoch:
            continue  # of before the committee with which it begins
        client, verified = client.check(bundle, is_full=is_full)
        views.append(header_view(bundle.header) | {"depth": verified.depth})
    if client is not None:
        keep_state(state, client)
    epoch = None if client is None else client.committee.epoch
    emit({"v": 1, "headers": views, "committee_epoch": epoch}, as_json, render_headers)


def _fetch(urls: Sequence[str], target: str, after: int, most: int) -> Iterator[AuctionBundle]:
    """Yield the bundles behind a number of the chain, in order, from the first node that answers.

    Raises:
        UnreachableError: none does (``unreachable.auctions``).
    """
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.network.auction_client import AuctionClient

    for url in urls:
        try:
            with AuctionClient(url) as client:
                page = client.bundles(target, after=after, limit=min(_PAGE, most))
        except BpciError:
            continue
        with AuctionClient(url) as client:
            while page and most > 0:
                for row in page[:most]:
                    digest = row.get("digest") if isinstance(row, dict) else None
                    if not isinstance(digest, bytes) or len(digest) != 32:
                        raise FormatError(f"{url} lists bundles without their digests", code="light.format")
                    bundle = AuctionBundle.decode(client.bundle(digest))
                    after = bundle.header.sequence
                    most -= 1
                    yield bundle
                page = client.bundles(target, after=after, limit=min(_PAGE, max(most, 1)))
        return
    raise UnreachableError(
        "no node answered that has auctions",
        code="unreachable.auctions",
        hint="Name one with --node URL: a validator of the network.",
    )
