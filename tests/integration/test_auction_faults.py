"""What goes wrong among real validator processes: lies, deaths, contradictions, and everything that is not a bid."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.certificate import Certificate, verify_certificate
from bpci_node.auction.commit import Commit, encode_commits
from bpci_node.auction.commit_set import CommitSet, sign_set
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.reveal import encode_reveals
from bpci_node.auction.window import WindowId, window_at
from bpci_node.chain.account import account_id_of
from bpci_node.chain.committee import Committee
from bpci_node.errors import BpciError
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives import codec
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.auction_messages import slot_of
from bpci_node.store.vote_guard import VoteGuard
from tests.integration.auction_network import (
    STAKE,
    TARGET,
    TERMS,
    AuctionNetwork,
    Bidder,
    bid,
    early,
    start_network,
    start_validator,
)
from tests.integration.conftest import ROOT

pytestmark = pytest.mark.real_time

LYING = {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "integration" / "lying"), str(ROOT / "appliance")])}
BOND = TERMS.tiers[0].bond


def final(network: AuctionNetwork, client: AuctionClient, window: WindowId) -> dict[str, Any]:
    """Wait until a window is final or void."""
    return network.wait_for(
        lambda: (found := client.window(window))["stage"] in ("final", "void") and found, what="an end of the window"
    )


def codes(results: list[bytes | BpciError]) -> list[str]:
    return ["taken" if isinstance(item, bytes) else item.code for item in results]


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(BpciError) as caught:
        call()
    return caught.value.code


def weighty(network: AuctionNetwork, honest: int) -> tuple[dict[str, Any], Committee] | None:
    """The overview and committee of an epoch that has just begun, if the first validators outweigh the others in it.

    Everybody has a seat, and one of those first has the coordinator's.
    """
    overview = early(network)
    if overview is None or len(overview["committee"]) < len(network.validators):
        return None
    with AuctionClient(network.validators[0].url) as client:
        committee = client.committee(overview["epoch"])
    own = {account_id_of(node.signer.public_key) for node in network.validators[:honest]}
    weight = sum(seat.weight for seat in committee.seats if seat.account in own)
    return (overview, committee) if committee.is_majority(weight) and committee.coordinator.account in own else None


@pytest.mark.long
def test_bundles_go_on_with_one_notary_lying_and_one_down_and_no_lie_is_signed(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, count=5, epoch_ms=12_000, reveal_ms=3_000, seal_ms=5_000)
    for node in network.validators[:3]:  # three quarters of the stake
        network.submit(node.signer, "stake.deposit", {"amount": STAKE - 10})
    bidder = Bidder(network, LocalSigner(b"\x08" * 32))
    bidder.fund()
    assert network.validators[3].stop() == 0
    network.validators[3] = start_validator(partial(start, environment=LYING), tmp_path, network, 3)
    overview, committee = network.wait_for(lambda: weighty(network, 3), seconds=150, what="a weighty majority")
    network.validators[4].kill()
    window, commits = bid(network, bidder, raws[:6], leave=1, overview=overview)
    with AuctionClient(network.coordinator(overview)) as client:
        found = final(network, client, window)
    header = AuctionHeader.decode(found["header"])
    assert (found["stage"], header.commits, header.reveals, header.count) == ("final", 6, 5, 5)
    certificate = Certificate.from_map(found["certificate"])
    verify_certificate(committee, header.digest(), certificate)
    signers = {committee.seats[seat].account for seat in certificate.seats()}
    assert signers <= {account_id_of(node.signer.public_key) for node in network.validators[:3]}
    assert network.wait_for(lambda: network.events("auction.settled"), what="the settlement")
    assert {"lied about sets", "lied about headers"} <= set(re.findall(r"lied about \w+", network.validators[3].log()))
    assert len(commits) == header.commits


def test_what_is_no_bid_gets_a_typed_error_and_who_contradicts_itself_is_slashed(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, epoch_ms=15_000, reveal_ms=6_000, seal_ms=6_000)
    bidder = Bidder(network, LocalSigner(b"\x09" * 32))
    bidder.fund()
    overview = network.wait_for(lambda: early(network), what="the beginning of an epoch")
    epoch, url = overview["epoch"], network.coordinator(overview)
    other = next(node for node in network.validators if node.url != url)
    with AuctionClient(url) as client, AuctionClient(other.url) as notary:
        network.wait_for(lambda: bidder.open_line(client, epoch, 3), seconds=10, what="a line")
        refuse_batches(client, notary, bidder.prepare(window_at(TARGET, 100, overview["time_us"]), raws[0]))
        commits = commit_and_refuse(client, bidder, raws)
        window = commits[0].window
        assert refused(lambda: notary.send_reveals(b"\xff")) == "format.cbor"
        assert codes(notary.send_reveals(encode_reveals([bidder.reveal_of(commits[0])]))) == ["window.unknown"]
        found = network.wait_for(lambda: client.commit_set(window), seconds=15, what="a certified set")
        assert found["commit_ids"] == [commit.commit_id for commit in commits]
        refuse_reveals(network, notary, bidder, commits)
        ended = final(network, client, window)
        assert codes(notary.send_reveals(encode_reveals([bidder.reveal_of(commits[1])])))[0].startswith(
            ("reveal.late", "window.unknown")
        )
        header = AuctionHeader.decode(ended["header"])
        assert (header.commits, header.reveals) == (3, 1)
        committee = client.committee(epoch)
    other.kill()
    guard = VoteGuard(other.config.state_dir / "guard" / "votes")
    for what in ("set", "list", "header"):  # what it signed before it died, it remembers
        assert refused(lambda what=what: guard.remember(slot_of(what, window), bytes(32), 2**62)) == "sign.conflict"
    number = network.validators.index(other)
    network.validators[number] = start_validator(start, tmp_path, network, number)
    contradict_sets(network, network.validators[number], CommitSet.decode(found["commit_set"]), commits)
    contradict_headers(network, bidder, header, committee)


def refuse_batches(client: AuctionClient, notary: AuctionClient, commit: Commit) -> None:
    """Send what is no batch of commits, or to the wrong place."""
    assert refused(lambda: client.send_commits(b"\xff")) == "format.cbor"
    assert refused(lambda: client.send_commits(codec.encode([]))) == "commit.format"
    assert refused(lambda: client.send_commits(codec.encode([{"v": 1}]))) == "commit.format"
    assert refused(lambda: client.send_commits(encode_commits([commit] * 1_025))) == "commit.batch"
    assert refused(lambda: client.send_commits(bytes(1_024 * 320 + 17))) == "limit.body"
    assert refused(lambda: notary.send_commits(encode_commits([commit]))) == "seat.coordinator"


def commit_and_refuse(client: AuctionClient, bidder: Bidder, raws: list[bytes]) -> list[Commit]:
    """Send three commits, and some for which there is no place."""
    window = window_at(TARGET, 100, client.overview()["time_us"] + 3_500_000)
    far, past = (replace(window, index=window.index + step) for step in (40, -40))
    commits = [bidder.prepare(window, raw) for raw in raws[:3]]
    bad = {
        "commit.signature": replace(commits[0], signature=bytes(64)),
        "commit.tier": replace(commits[0], tier=9),
        "window.target": replace(commits[0], window=replace(window, target="eip155:77")),
        "window.class": replace(commits[0], window=replace(window, qlock_ms=20, index=window.index * 5)),
        "window.closed": bidder.prepare(past, raws[0]),
        "commit.no_slot": Bidder(bidder.network, LocalSigner(b"\x0a" * 32)).prepare(window, raws[0]),
        "window.ahead": bidder.prepare(far, raws[0]),
    }
    results = codes(client.send_commits(encode_commits([*bad.values(), *commits])))
    # An epoch may end before the one window and begin after the other; that is looked at first.
    assert results[4] in ("window.closed", "window.epoch")
    assert results[6] in ("window.ahead", "window.epoch")
    others = [*bad, "taken", "taken", "taken"]
    assert [*results[:4], results[5], *results[7:]] == [*others[:4], others[5], *others[7:]]
    again = codes(client.send_commits(encode_commits([commits[0], bidder.prepare(window, raws[3])])))
    assert again == ["commit.duplicate", "commit.no_slot"]
    return commits


def refuse_reveals(network: AuctionNetwork, notary: AuctionClient, bidder: Bidder, commits: list[Commit]) -> None:
    """Send what is no reveal to a notary, and one that is."""
    first, second, third = (bidder.reveal_of(commit) for commit in commits)
    # The certificate reaches the notaries a moment after it is published.
    network.wait_for(
        lambda: codes(notary.send_reveals(encode_reveals([first]))) == ["taken"], seconds=5, what="a notary that knows"
    )
    assert refused(lambda: notary.send_reveals(codec.encode([{"v": 1}]))) == "reveal.format"
    assert refused(lambda: notary.send_reveals(encode_reveals([first] * 1_025)))[:7] in ("reveal.", "limit.b")
    bad = [first, replace(second, raw=third.raw), replace(second, salt=bytes(32)), replace(second, commit_id=bytes(32))]
    results = codes(notary.send_reveals(encode_reveals([*bad, replace(second, raw=b"\xff" * 40)])))
    assert results[:4] == ["reveal.duplicate", "reveal.mismatch", "reveal.mismatch", "reveal.unknown"]
    assert results[4].startswith("entry.")


def contradict_sets(network: AuctionNetwork, back: Any, commit_set: CommitSet, commits: list[Commit]) -> None:
    """Ask a notary that was killed for a second vote; then the ledger for what a second set costs."""
    coordinator = next(node for node in network.validators if node.signer.public_key == commit_set.coordinator)
    second = sign_set(coordinator.signer, replace(commit_set, closed_us=commit_set.closed_us + 1, signature=b""))
    with AuctionClient(back.url) as client:
        network.wait_for(lambda: client.overview()["epoch"], what="its auctions")
        body = {"epoch": commit_set.epoch, "commit_set": second.encode(), "commits": encode_commits(commits)}
        assert refused(lambda: client.ask("sets", body)) in (
            "commit.two_sets",
            "sign.conflict",
            "window.over",
            "seat.none",
        )
    report = {"first": commit_set.encode(), "second": second.encode()}
    network.submit(network.guardian, "auction.report_sets", report)
    (event,) = network.wait_for(lambda: network.events("validator.slashed"), what="a slash")
    assert event["fields"]["account"] == account_id_of(commit_set.coordinator)


def contradict_headers(network: AuctionNetwork, bidder: Bidder, header: AuctionHeader, committee: Committee) -> None:
    """Bring the votes of one seat for two headers to the ledger."""
    node = next(node for node in network.validators if committee.number_of(account_id_of(node.signer.public_key)) == 1)
    signer = BlsSigner(int.from_bytes((node.home / "bls.key").read_bytes()))
    second = replace(header, time_us=header.time_us + 1)
    votes = [Certificate(b"\x02", signer.sign(item.digest())).as_map() for item in (header, second)]
    body = {
        "first": header.encode(),
        "first_votes": votes[0],
        "second": second.encode(),
        "second_votes": votes[1],
    }
    network.submit(bidder.signer, "auction.report_headers", body)
    slashed = network.wait_for(lambda: len(found := network.events("validator.slashed")) == 2 and found, what="two")
    assert account_id_of(node.signer.public_key) in {event["fields"]["account"] for event in slashed}
