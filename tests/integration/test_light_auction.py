"""A light client against real validators: whoever has the network file alone follows their auctions."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.entry_proof import EntryProof, prove_entry, verify_entry
from bpci_node.auction.header import AuctionHeader
from bpci_node.cli.main import main
from bpci_node.errors import BpciError, NotFoundError
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.keys import LocalSigner
from tests.integration.auction_network import AuctionNetwork, Bidder, bid, early, start_network

pytestmark = pytest.mark.real_time

ATTEMPTS = 8


def test_a_light_client_follows_auctions_across_epochs_with_nothing_but_the_network_file(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    network = start_network(start, tmp_path, epoch_ms=6_000, reveal_ms=1_500, seal_ms=2_500)
    bidder = Bidder(network, LocalSigner(b"\x05" * 32))
    bidder.fund()
    network.wait_for(lambda: known(network, bidder), what="the bidder's account at every validator")
    nodes = [option for node in network.validators for option in ("--node", node.url)]
    state = tmp_path / "light.state"
    follow = ("light", "follow", "--network", tmp_path / "network.json", "--state", state, *nodes, "--json")

    ran_first = run_bid(network, bidder, raws[:6], after_epoch=0)
    status, out = run(capsys, *follow, "--full")
    assert status == 0, out
    first = json.loads(out)
    assert {item["depth"] for item in first["headers"]} == {"full"}
    assert shown(first, ran_first)["count"] == 6

    ran_next = run_bid(network, bidder, raws[3:6], after_epoch=ran_first.header.epoch)
    status, out = run(capsys, *follow)
    assert status == 0, out
    second = json.loads(out)
    assert second["headers"][0]["sequence"] == first["headers"][-1]["sequence"] + 1
    assert shown(second, ran_next)["count"] == 3
    assert second["committee_epoch"] > ran_first.header.epoch
    headers = first["headers"] + second["headers"]
    from_ledger = set(first["committees_from_ledger"] + second["committees_from_ledger"])
    for before, after in pairwise(headers):
        assert after["parent"] == before["digest"]
    handed_over = {item["epoch"] for item in headers if item["next_committee"] is not None}
    epochs = sorted({item["epoch"] for item in headers})
    assert from_ledger == {epochs[0]} | {after for before, after in pairwise(epochs) if before not in handed_over}

    check_entries(ran_next, tmp_path, raws, capsys)


def check_entries(
    ran: AuctionBundle,
    home: Path,
    raws: list[bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Prove from a fetched bundle that an entry ran and another did not, with the network file alone."""
    file = home / "window.bundle"
    file.write_bytes(ran.encode())
    verify = ("light", "verify", file, "--network", home / "network.json", "--json", "--txid")
    status, out = run(capsys, *verify, "0x" + keccak256(raws[3]).hex())
    assert status == 0, out
    found = json.loads(out)
    assert (found["bundles"][0]["depth"], found["committees_from_ledger"]) == ("entries", [ran.header.epoch])
    proof = EntryProof.decode(prove_entry(ran, keccak256(raws[3])).encode())
    verify_entry(proof, ran.header)
    assert (proof.position, proof.raw) == (found["bundles"][0]["position"], raws[3])
    status, out = run(capsys, *verify, "0x" + keccak256(raws[0]).hex())
    assert (status, "ran in none of these windows" in out) == (1, True)
    status, out = run(capsys, "light", "headers", file, "--network", home / "network.json", "--no-ledger")
    assert (status, "the ledger may not be asked" in out) == (3, True)


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Run a command here; return its exit status, and what it printed, or else what it complained of."""
    with pytest.raises(SystemExit) as left:
        main([str(item) for item in arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out or captured.err


def shown(view: dict[str, Any], ran: AuctionBundle) -> dict[str, Any]:
    """Return the header of a window among those that were followed."""
    return next(item for item in view["headers"] if item["digest"] == "0x" + ran.header.digest().hex())


def run_bid(network: AuctionNetwork, bidder: Bidder, raws: Sequence[bytes], *, after_epoch: int) -> AuctionBundle:
    """Bid in an epoch behind that one until all of it won in one window, and return its bundle.

    A window may go void where a machine is too slow for its phases: then all of its bonds go back, and the same
    transactions are bid for again.
    """

    def later() -> dict[str, Any] | None:
        found = early(network)
        return found if found is not None and found["epoch"] > after_epoch else None

    for _ in range(ATTEMPTS):
        overview = network.wait_for(later, what="the beginning of a later epoch")
        with suppress(AssertionError, BpciError):  # the machine was too slow for a step of this one
            digest = sealed_bid(network, bidder, list(raws), overview)
            if digest is not None:
                return network.wait_for(lambda digest=digest: fetch(network, digest), what="the window's bundle")
    raise AssertionError(f"each of {ATTEMPTS} windows was too short for this machine")


def sealed_bid(network: AuctionNetwork, bidder: Bidder, raws: list[bytes], overview: dict[str, Any]) -> bytes | None:
    """Bid in one window, and return its header's digest if all was revealed in time and the header is final."""
    window, commits = bid(network, bidder, raws, overview=overview)
    with AuctionClient(network.coordinator(overview)) as client:
        end = network.wait_for(
            lambda: (found := client.window(window))["stage"] in ("final", "void") and found,
            what="an end of the window",
        )
    header = AuctionHeader.decode(end["header"]) if end["stage"] == "final" else None
    return None if header is None or header.reveals != len(commits) else header.digest()


def fetch(network: AuctionNetwork, digest: bytes) -> AuctionBundle | None:
    """Return a bundle from whichever validator has it."""
    for node in network.validators:
        with AuctionClient(node.url) as client, suppress(NotFoundError):
            return AuctionBundle.decode(client.bundle(digest))
    return None


def known(network: AuctionNetwork, bidder: Bidder) -> bool:
    """Say whether every validator has followed the ledger as far as the bidder's account."""
    for node in network.validators:
        with node.client() as client:
            if not client.ledger.balances(bidder.account):
                return False
    return True
