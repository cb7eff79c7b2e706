"""Two builders bid blind for the room of one window, on real processes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.candidates import Origin
from bpci_node.auction.commit import encode_commits, sign_commit
from bpci_node.auction.parcel import decode_parcel, encode_parcel, parcel_commitment
from bpci_node.auction.reveal import Reveal, encode_reveals
from bpci_node.cli.bid_file import BidFile
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives.keys import LocalSigner
from tests.integration.auction_network import TARGET, AuctionNetwork, Bidder, early, start_network
from tests.integration.conftest import COMMAND, ENVIRONMENT

pytestmark = pytest.mark.real_time

SALT = bytes(range(32))


def rival_bids(
    network: AuctionNetwork, rival: Bidder, overview: dict[str, Any], kept: Path, raws: list[bytes]
) -> Reveal:
    """Commit to a parcel in the window of somebody else's, as soon as that is known, and open it when that is due."""
    network.wait_for(kept.exists, seconds=20, what="the first builder's file")
    window, data = BidFile.load(kept).window, encode_parcel(400, raws)
    digest = parcel_commitment(window, rival.account, data, SALT)
    commit = sign_commit(
        rival.signer, ledger_id=network.ledger_id, window=window, digest=digest, account=rival.account, tier=0
    )
    coordinator = network.coordinator(overview)
    with AuctionClient(coordinator) as client:
        (receipt,) = client.send_commits(encode_commits([commit]))
        assert isinstance(receipt, bytes), receipt
        network.wait_for(lambda: client.commit_set(window), seconds=10, what="a certified set")
    reveal = Reveal(window, commit.commit_id, data, SALT)
    notary = next(node.url for node in network.validators if node.url != coordinator)
    with AuctionClient(notary) as client:
        # A notary may hear of the certificate a moment after the coordinator published it.
        batch = encode_reveals([reveal])
        network.wait_for(lambda: isinstance(client.send_reveals(batch)[0], bytes), seconds=3, what="a receipt")
    return reveal


def test_of_two_builders_the_one_that_pays_more_gets_its_order_and_the_other_its_bond_back(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, epoch_ms=15_000, reveal_ms=4_000)
    builder, rival = Bidder(network, LocalSigner(b"\x0b" * 32)), Bidder(network, LocalSigner(b"\x0c" * 32))
    builder.fund()
    rival.fund()
    key, kept, out = tmp_path / "builder.key", tmp_path / "monday.bid", tmp_path / "monday.bundle"
    key.write_bytes(b"\x0b" * 32)
    key.chmod(0o600)
    overview = network.wait_for(lambda: early(network), what="the beginning of an epoch")
    place = network.validators[0]
    with place.client() as client:
        client.submit_entries(TARGET, raws[:6])
    with AuctionClient(network.coordinator(overview)) as coordinator:
        network.wait_for(lambda: rival.open_line(coordinator, overview["epoch"], 1), seconds=10, what="a line")
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [
                *COMMAND,
                *("auction", "build", "0x" + raws[7].hex(), "--pay", "500", "--gas", "25000000", "--ahead", "2500"),
                *("--key", str(key), "--file", str(kept), "--out", str(out), "--node", place.url),
                *("--network", str(tmp_path / "network.json"), "--json"),
            ],
            env=ENVIRONMENT,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            lost = rival_bids(network, rival, overview, kept, [raws[8], raws[7]])
            assert process.wait(60) == 0, (tmp_path / "said").read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    done = json.loads((tmp_path / "said").read_text())
    bundle = AuctionBundle.decode(out.read_bytes())
    assert bundle.body is not None
    payment, ordered = decode_parcel(BidFile.load(kept).bids[0].raw)
    assert ordered[0] == raws[7]
    assert len(ordered) > 1
    assert set(ordered[1:]) <= set(raws[:6])
    inside = [row for row in bundle.body.entries if row.origin == Origin.PARCEL]
    assert tuple(row.raw for row in inside) == ordered
    assert bundle.body.parcel is not None
    assert (bundle.body.parcel.payment, bundle.header.commits, bundle.header.reveals) == (payment, 2, 2)
    assert bundle.header.parcel == BidFile.load(kept).bids[0].commit.commit_id != lost.commit_id
    assert done["bids"][0]["place"] == 0

    def is_settled() -> bool:
        return bundle.header.sequence in [item["fields"]["sequence"] for item in network.events("auction.settled")]

    network.wait_for(is_settled, seconds=40, what="the settlement")
    assert network.escrow(builder.account) == 10**12 // 2 - payment
    assert network.escrow(rival.account) == 10**12 // 2
