"""Auctions among real validator processes: from a bid to its settlement, a coordinator killed, a notary down."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.verify_auction import verify_auction
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives.keys import LocalSigner
from tests.integration.auction_network import (
    TARGET,
    AuctionNetwork,
    Bidder,
    bid,
    early,
    run_window,
    start_network,
    start_validator,
)

pytestmark = pytest.mark.real_time


def test_a_bid_goes_from_a_hidden_commit_to_a_bundle_that_the_committee_signed(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path)
    bidder = Bidder(network, LocalSigner(b"\x05" * 32))
    bidder.fund()
    window, commits, final, voids = run_window(network, bidder, raws[:6])
    header = AuctionHeader.decode(final)
    with AuctionClient(network.coordinator(network.overview())) as client:
        assert (header.window, header.commits, header.reveals, header.count) == (window, 6, 6, 6)
        data = network.wait_for(lambda: client.bundle(header.digest()), seconds=30, what="a bundle")
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
    with AuctionClient(network.validators[0].url) as client:
        committee = client.committee(header.epoch)
    verify_auction(data, committee, is_full=True)

    network.wait_for(lambda: (TARGET, header.sequence) in settled_headers(network), what="the settlement")
    terms, entries = bundle.terms, bundle.body.entries
    paid = sum(-(-(row.fee_per_w - terms.base_fee_wei) * row.gas // terms.wei_per_unit) for row in entries)
    bond = terms.tiers[0].bond
    # Bonds in windows that went void stay reserved to the end of the epoch.
    assert network.escrow(bidder.account) == 10**12 // 2 - paid - 6 * bond * voids
    assert all(row.gas > 0 and paid <= 6 * bond for row in entries)


def settled_headers(network: AuctionNetwork) -> set[tuple[str, int]]:
    """Target and sequence of every header that the ledger has settled."""
    return {(event["fields"]["target"], event["fields"]["sequence"]) for event in network.events("auction.settled")}


def test_a_coordinator_that_is_killed_comes_back_and_accounts_for_every_commit(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, reveal_ms=4_000, seal_ms=4_000, epoch_ms=15_000)
    bidder = Bidder(network, LocalSigner(b"\x06" * 32))
    bidder.fund()
    window, commits = bid(network, bidder, raws[:4])
    url = network.coordinator(network.overview())
    number = next(at for at, node in enumerate(network.validators) if node.url == url)
    network.validators[number].kill()
    network.validators[number] = start_validator(start, tmp_path, network, number)
    with AuctionClient(url) as client:
        final = network.wait_for(
            lambda: (found := client.window(window))["stage"] in ("final", "void") and found,
            what="an end of the window",
        )
        kept = client.commit_set(window)
        assert kept["commit_ids"] == [commit.commit_id for commit in commits]
        if final["stage"] == "final":
            assert AuctionHeader.decode(final["header"]).count == 4


def test_auctions_go_on_with_one_notary_down(start: Callable[..., Any], tmp_path: Path, raws: list[bytes]) -> None:
    network = start_network(start, tmp_path, count=5)
    bidder = Bidder(network, LocalSigner(b"\x07" * 32))
    bidder.fund()
    overview = network.wait_for(lambda: early(network), what="the beginning of an epoch")
    url = network.coordinator(overview)
    down = next(node for node in network.validators if node.url != url)
    down.kill()
    window, _ = bid(network, bidder, raws[:5], leave=1, overview=overview)
    with AuctionClient(url) as client:
        final = network.wait_for(
            lambda: (found := client.window(window))["stage"] == "final" and found, what="a final header"
        )
    header = AuctionHeader.decode(final["header"])
    assert (header.commits, header.reveals, header.count) == (5, 4, 4)
    assert sum(byte.bit_count() for byte in final["certificate"]["seats"]) == 4
