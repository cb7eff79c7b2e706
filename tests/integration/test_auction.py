"""Auctions among real validator processes: a ledger, four notaries, a bidder; then one that is down, one that lies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.header import AuctionHeader
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives.keys import LocalSigner
from tests.integration.auction_network import TARGET, Bidder, bid, start_network


def test_a_bid_goes_from_a_hidden_commit_to_a_bundle_that_the_committee_signed(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path)
    bidder = Bidder(network, LocalSigner(b"\x05" * 32))
    bidder.fund()
    window, commits = bid(network, bidder, raws[:6])
    coordinator = network.coordinator(network.overview())
    with AuctionClient(coordinator) as client:
        final = network.wait_for(
            lambda: (found := client.window(window))["stage"] == "final" and found, seconds=8, what="a final header"
        )
        header = AuctionHeader.decode(final["header"])
        assert (header.window, header.commits, header.reveals, header.count) == (window, 6, 6, 6)
        data = network.wait_for(lambda: client.bundle(header.digest()), seconds=8, what="a bundle")
        bundle = AuctionBundle.decode(data)
        assert bundle.header == header
        assert bundle.body is not None
        assert sorted(row.raw for row in bundle.body.entries) == sorted(raws[:6])
        assert {row.commit for row in bundle.body.entries} == {commit.commit_id for commit in commits}
        kinds = []
        for event in client.subscribe(target=TARGET, timeout_seconds=10):
            kinds.append(event["kind"])
            if event["kind"] == "bundle":
                break
        assert kinds.index("set") < kinds.index("window") < kinds.index("bundle")
