"""``bpci light follow``: fetch a target's bundles from nodes that need not be trusted, and verify each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.auction_view import header_view, render_headers
from bpci_node.cli.light_trust import client_options, open_client
from bpci_node.cli.local import target_option
from bpci_node.cli.output import emit, json_option, say
from bpci_node.errors import BpciError, FormatError, UnreachableError

if TYPE_CHECKING:
    from bpci_node.auction.auction_bundle import AuctionBundle

_PAGE = 20


@click.command("follow")
@client_options
@target_option
@click.option("--node", "urls", multiple=True, metavar="URL", help="Fetch from this node.  [default: the network's]")
@click.option("--most", default=1_000, show_default=True, metavar="N", help="Stop after so many bundles.")
@click.option("--full", "is_full", is_flag=True, help="Also decode every transaction and recover its sender.")
@json_option
def follow(
    *,
    network: Path,
    committees: Sequence[Path],
    no_ledger: bool,
    state: Path | None,
    is_played: bool,
    target: str,
    urls: Sequence[str],
    most: int,
    is_full: bool,
    as_json: bool,
) -> None:
    """Fetch the bundles of a target that come next, and verify each.

    Nodes are only asked; what they answer must follow from the network file. A window's bundle is with the validator
    that coordinated it, so name several. Without a state it begins with the first bundle that is still there. Headers
    name the committee that takes over; where none did, the ledger has to prove it.

    \b
    Examples:
      bpci light follow --network network.json --state mainnet.light
      bpci light follow --network network.json --node http://192.0.2.5:8545 --node http://192.0.2.6:8545 --json
    """
    client = open_client(network, committees, state, no_ledger=no_ledger, is_played=is_played, urls=urls)
    views: list[dict[str, Any]] = []
    first = min(client.proved, default=0)
    for bundle in _fetch(
        urls or client.network.urls, target, 0 if client.state is None else client.state.sequence, most
    ):
        if client.state is None and bundle.header.epoch < first:
            continue  # of before the committee with which it begins
        try:
            known = client.expect(bundle.header)
        except UnreachableError as error:
            if not views:
                raise
            say(f"{error.message}; what comes after header {views[-1]['sequence']} is not followed")
            break
        client.state, verified = known.check(bundle, is_full=is_full)
        views.append(header_view(bundle.header) | {"depth": verified.depth})
    client.keep()
    emit({"v": 1, "headers": views} | client.view(), as_json, render_headers)


def _fetch(urls: Sequence[str], target: str, after: int, most: int) -> Iterator[AuctionBundle]:
    """Yield the bundles behind a number of the chain, in order; each from whichever node has it.

    Raises:
        UnreachableError: no node answers (``unreachable.auctions``).
    """
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.network.auction_client import AuctionClient

    with ExitStack() as opened:
        clients = [opened.enter_context(AuctionClient(url)) for url in urls]
        while most > 0:
            found: dict[int, tuple[AuctionClient, bytes]] = {}
            answered = 0
            for client in clients:
                try:
                    page = client.bundles(target, after=after, limit=_PAGE)
                except BpciError:
                    continue
                answered += 1
                found.update((number, (client, digest)) for number, digest in map(_listed, page))
            if not answered:
                raise UnreachableError(
                    "no node answered that has auctions",
                    code="unreachable.auctions",
                    hint="Name the network's validators, each with --node URL.",
                )
            if not found:
                return
            number = min(found)
            if after and number != after + 1:
                say(f"no node has bundle {after + 1} of {target}; later ones can't be followed without it")
                return
            while number in found and most > 0:
                client, digest = found[number]
                yield AuctionBundle.decode(client.bundle(digest))
                after, number, most = number, number + 1, most - 1


def _listed(row: Any) -> tuple[int, bytes]:
    number, digest = (row.get("sequence"), row.get("digest")) if isinstance(row, dict) else (None, None)
    if type(number) is not int or not isinstance(digest, bytes) or len(digest) != 32:
        raise FormatError("a node lists bundles without number or digest", code="light.format")
    return number, digest
