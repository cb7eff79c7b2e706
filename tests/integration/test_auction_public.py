"""What waits in one validator's public pool gets into a window, and its bundle to every validator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.candidates import Origin
from bpci_node.auction.verify_auction import verify_auction
from bpci_node.errors import NotFoundError
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives.keys import LocalSigner
from tests.integration.auction_network import TARGET, Bidder, bid, early, start_network

pytestmark = pytest.mark.real_time


def test_an_entry_sent_to_a_notary_alone_runs_and_every_validator_has_the_bundle(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path)
    bidder = Bidder(network, LocalSigner(b"\x08" * 32))
    bidder.fund()
    overview = network.wait_for(lambda: early(network), what="the beginning of an epoch")
    coordinator = network.coordinator(overview)
    notary = next(node for node in network.validators if node.url != coordinator)
    for url, raw in ((notary.url, raws[7]), (coordinator, raws[8])):
        reply = httpx.post(f"{url}/v1/entries", json={"v": 1, "target": TARGET, "raw": f"0x{raw.hex()}"}, timeout=30)
        assert reply.status_code == 200, reply.text
    _, commits = bid(network, bidder, raws[:2], overview=overview)
    wanted = {raws[0], raws[1], raws[7], raws[8]}
    network.wait_for(lambda: wanted <= set(ran(coordinator)), what="all of them in bundles")
    network.wait_for(
        lambda: all(wanted <= set(ran(node.url)) for node in network.validators),
        what="these bundles at every validator",
    )
    origins = ran(coordinator)
    assert {origins[raws[0]], origins[raws[1]]} == {Origin.REVEALED}
    assert origins[raws[7]] == Origin.FORCED
    assert origins[raws[8]] in (Origin.FORCED, Origin.PUBLIC)
    network.wait_for(lambda: not any(waiting(node.url) for node in network.validators), what="empty pools")
    assert len(commits) == 2


def ran(url: str) -> dict[bytes, int]:
    """What runs in the bundles that a validator has, each verified against its committee, with its origin."""
    found = {}
    with AuctionClient(url) as client:
        for row in client.bundles(TARGET, limit=100):
            try:
                data = client.bundle(row["digest"])
            except NotFoundError:
                continue
            bundle = AuctionBundle.decode(data)
            verify_auction(data, client.committee(bundle.header.epoch))
            found |= {item.raw: item.origin for item in (bundle.body.entries if bundle.body else ())}
    return found


def waiting(url: str) -> int:
    return int(httpx.get(f"{url}/v1/status", timeout=30).json()["targets"][TARGET]["count"])
