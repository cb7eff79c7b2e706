"""The guardians halt the auctions and let them go on, among real validator processes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.auction.commit import encode_commits
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.window import window_at
from bpci_node.chain.emergency import GRACE_MS
from bpci_node.errors import BpciError
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives.keys import LocalSigner
from tests.integration.auction_network import TARGET, TERMS, Bidder, bid, early, start_network

pytestmark = pytest.mark.real_time

CAUSE = {"reasons": bytes(32)}


def halted(network: Any) -> bool:
    """Whether every validator says that the auctions are halted."""
    found = [network.overview(number)["halt"] for number in range(len(network.validators))]
    return all(halt is not None and halt["until_us"] is None for halt in found)


def resumed(network: Any) -> bool:
    """Whether every validator says that the halt is over, at a time that has come."""
    found = [network.overview(number) for number in range(len(network.validators))]
    return all(
        item["halt"] is None or (item["halt"]["until_us"] or item["time_us"]) < item["time_us"] for item in found
    )


def refusal(bidder: Bidder, client: AuctionClient, epoch: int) -> str:
    """The code by which more bonds are refused."""
    try:
        bidder.open_line(client, epoch, 1)
    except BpciError as error:
        return error.code
    return ""


def test_a_halt_refuses_commits_seals_or_refunds_what_is_open_and_is_said_until_it_ends(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, epoch_ms=16_000, reveal_ms=3_000, seal_ms=3_000)
    bidder = Bidder(network, LocalSigner(b"\x08" * 32))
    bidder.fund()
    overview = network.wait_for(lambda: early(network), what="the beginning of an epoch")
    assert overview["halt"] is None
    coordinator = network.coordinator(overview)
    # One window is open before the halt, with a certified set and reveals; another one, far ahead, only took a commit.
    window, _ = bid(network, bidder, raws[:4], overview=overview)
    with AuctionClient(coordinator) as client:
        network.wait_for(lambda: bidder.open_line(client, overview["epoch"], 3), seconds=10, what="a line")
        ahead = window_at(TARGET, 100, client.overview()["time_us"] + 4_000_000)
        (taken,) = client.send_commits(encode_commits([bidder.prepare(ahead, raws[4])]))
        assert isinstance(taken, bytes), taken
        network.submit(network.guardian, "auction.halt", CAUSE)
        network.wait_for(lambda: halted(network), seconds=10, what="the halt on every validator")
        since = network.overview()["halt"]["from_us"]
        assert window.opens_us < since < ahead.opens_us

        later = window_at(TARGET, 100, client.overview()["time_us"] + 500_000)
        (refused,) = client.send_commits(encode_commits([bidder.prepare(later, raws[5])]))
        assert refused.code == "window.halted"
        problem = network.wait_for(lambda: refusal(bidder, client, overview["epoch"]), seconds=5, what="a refusal")
        assert problem == "auction.halted"
        metrics = httpx.get(f"{coordinator}/metrics").text
        assert "bpci_auction_halted 1.0" in metrics

        # What was open is sealed and settled; what would open in the halt is void, and both are said.
        ends = {
            name: network.wait_for(
                lambda name=name: (found := client.window(name))["stage"] in ("final", "void") and found["stage"],
                seconds=15,
                what=f"an end of {name}",
            )
            for name in (window, ahead)
        }
        assert ends == {window: "final", ahead: "void"}
        header = AuctionHeader.decode(client.window(window)["header"])
        (settled,) = network.wait_for(lambda: network.events("auction.settled"), what="the settlement")
        assert settled["fields"]["header"] == "0x" + header.digest().hex()
        voids = [event["data"]["window"] for event in client.events() if event["kind"] == "void"]
        assert ahead.as_list() in voids

    network.submit(network.guardian, "auction.resume", CAUSE)
    network.wait_for(lambda: resumed(network), seconds=10, what="the end of the halt on every validator")
    overview = network.wait_for(lambda: early(network), what="the beginning of an epoch")
    with AuctionClient(network.coordinator(overview)) as client:
        network.wait_for(lambda: bidder.open_line(client, overview["epoch"], 2), seconds=10, what="a line again")
        again = window_at(TARGET, 100, client.overview()["time_us"] + 300_000)
        results = client.send_commits(encode_commits([bidder.prepare(again, raw) for raw in raws[6:8]]))
        assert all(isinstance(item, bytes) for item in results), results
        network.wait_for(lambda: client.window(again)["stage"] == "final", seconds=15, what="a final header again")
    assert "bpci_auction_halted 0.0" in httpx.get(f"{coordinator}/metrics").text


@pytest.mark.long
def test_a_minute_into_a_halt_every_bond_can_be_taken_back(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, epoch_ms=24_000, reveal_ms=3_000, seal_ms=3_000)
    bidder = Bidder(network, LocalSigner(b"\x09" * 32))
    bidder.fund()
    whole = network.escrow(bidder.account)
    overview = network.wait_for(lambda: early(network), what="the beginning of an epoch")
    epoch = overview["epoch"]
    with AuctionClient(network.coordinator(overview)) as client:
        network.wait_for(lambda: bidder.open_line(client, epoch, 3), seconds=10, what="a line")
        ahead = window_at(TARGET, 100, client.overview()["time_us"] + 4_000_000)
        (taken,) = client.send_commits(encode_commits([bidder.prepare(ahead, raws[0])]))
        assert isinstance(taken, bytes), taken
        network.submit(network.guardian, "auction.halt", CAUSE)
        halted_at = time.monotonic()
    bond = TERMS.tiers[0].bond
    assert network.escrow(bidder.account) == whole - 3 * bond
    line = {"epoch": epoch, "target": TARGET, "tier": 0}
    with pytest.raises(BpciError) as early_one:
        network.submit(bidder.signer, "auction.reclaim", line)
    assert early_one.value.code == "auction.early"
    time.sleep(max(0.0, halted_at + GRACE_MS / 1000 + 1 - time.monotonic()))
    network.submit(bidder.signer, "auction.reclaim", line)
    assert network.wait_for(lambda: network.escrow(bidder.account) == whole, seconds=10, what="the bonds")
