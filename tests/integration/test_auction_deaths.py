"""A coordinator that is killed while its windows are in all phases at once."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.commit import Commit, encode_commits
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.reveal import encode_reveals, payment_of
from bpci_node.auction.window import window_at
from bpci_node.mempool.entry import decode_entry, make_entry
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives.keys import LocalSigner
from tests.integration.auction_network import TARGET, TERMS, Bidder, early, start_network, start_validator
from tests.integration.test_auction_faults import BOND, codes, final

pytestmark = pytest.mark.real_time


def payment(bidder: Bidder, commit: Commit) -> int:
    """What a commit pays if it wins."""
    window, raw, _ = bidder.secrets[commit.commit_id]
    entry = make_entry(decode_entry(raw), TERMS.config(window.qlock_ms), arrival_seq=0, arrival_ms=window.opens_ms)
    return payment_of(entry, TERMS)


@pytest.mark.long
def test_a_coordinator_that_is_killed_in_every_phase_at_once_accounts_for_each_bond(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, reveal_ms=3_000, seal_ms=4_000, epoch_ms=15_000)
    bidder = Bidder(network, LocalSigner(b"\x0b" * 32))
    bidder.fund()
    overview = network.wait_for(lambda: early(network), what="the beginning of an epoch")
    epoch, url = overview["epoch"], network.coordinator(overview)
    number = next(at for at, node in enumerate(network.validators) if node.url == url)
    notary_url = next(node.url for node in network.validators if node.url != url)
    with AuctionClient(url) as client, AuctionClient(notary_url) as notary:
        network.wait_for(lambda: bidder.open_line(client, epoch, 8), seconds=10, what="a line")
        now = client.overview()["time_us"]
        # When the second one's reveal phase ends, the first is just final, the third being revealed.
        windows = [window_at(TARGET, 100, now + ahead) for ahead in (500_000, 800_000, 2_300_000)]
        commits = {
            window: [bidder.prepare(window, raw) for raw in raws[at : at + 2]]
            for at, window in zip((0, 2, 4), windows, strict=True)
        }
        batch = [commit for pair in commits.values() for commit in pair]
        assert codes(client.send_commits(encode_commits(batch))) == ["taken"] * 6
        for window in windows:
            network.wait_for(lambda window=window: client.commit_set(window), seconds=8, what="a set")
            reveals = encode_reveals([bidder.reveal_of(commit) for commit in commits[window]])
            network.wait_for(
                lambda reveals=reveals: codes(notary.send_reveals(reveals)) == ["taken"] * 2, seconds=3, what="receipts"
            )
        last = window_at(TARGET, 100, client.overview()["time_us"] + 2_000_000)
        commits[last] = [bidder.prepare(last, raw) for raw in raws[6:8]]
        assert codes(client.send_commits(encode_commits(commits[last]))) == ["taken"] * 2
        dies_us = windows[1].opens_us + 3_100_000
        time.sleep(max(0, dies_us - client.overview()["time_us"]) / 1_000_000)
    network.validators[number].kill()
    network.validators[number] = start_validator(start, tmp_path, network, number)
    with AuctionClient(url) as client, AuctionClient(notary_url) as notary:
        reveals = encode_reveals([bidder.reveal_of(commit) for commit in commits[last]])

        def shown() -> bool:
            stage = client.window(last)["stage"]
            return stage in ("final", "void") or codes(notary.send_reveals(reveals)) == ["taken"] * 2

        network.wait_for(shown, seconds=30, what="a set or an end")
        ended = {window: final(network, client, window) for window in commits}
        paid = settled = 0
        for window, found in ended.items():
            if found["stage"] == "final":
                header = AuctionHeader.decode(found["header"])
                assert (header.commits, header.count) == (2, 2)
                settled += 2
                paid += sum(payment(bidder, commit) for commit in commits[window])
    assert ended[windows[0]]["stage"] == "final"
    line = f"auction-line/{epoch}/{TARGET}/{bidder.account}/0".encode()
    network.wait_for(lambda: network.proved(line)["open"] == 8 - settled, seconds=60, what="every settlement")
    assert network.escrow(bidder.account) == 10**12 // 2 - (8 - settled) * BOND - paid
