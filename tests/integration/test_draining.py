"""Validators that drain while bids are under way, are stopped and started again: nobody loses a window or a bond."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.commit import Commit, encode_commits
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.reveal import encode_reveals
from bpci_node.auction.window import WindowId, window_at
from bpci_node.network.auction_client import AuctionClient
from bpci_node.network.owner_client import OwnerClient
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.drain import CLOSING_MS
from bpci_node.update.draining import drain, resume
from tests.integration.auction_network import (
    TARGET,
    AuctionNetwork,
    Bidder,
    all_taken,
    bid,
    early,
    run_window,
    start_network,
    start_validator,
)
from tests.integration.test_auction import settled_headers
from tests.integration.test_auction_deaths import payment
from tests.integration.test_auction_faults import BOND, codes, final, refused

pytestmark = pytest.mark.real_time

CLOSING_SECONDS = CLOSING_MS // 1000
"""A node that has no more time than this opens no window from then on."""


def status(node: Any) -> dict[str, Any]:
    with OwnerClient(node.owner_socket) as owner:
        return owner.drain_status()


def again(start: Callable[..., Any], home: Path, network: AuctionNetwork, node: Any) -> Any:
    """Stop a validator as a service manager does, and start it anew."""
    number = network.validators.index(node)
    assert node.stop() == 0, node.log()
    network.validators[number] = start_validator(start, home, network, number)
    assert not status(network.validators[number])["draining"]
    return network.validators[number]


def reveal(network: AuctionNetwork, bidder: Bidder, commits: list[Commit], *nodes: Any) -> None:
    """Bring the reveals of a window to these notaries, each of which has a receipt for them in the end."""
    batch = encode_reveals([bidder.reveal_of(commit) for commit in commits])
    for node in nodes:
        with AuctionClient(node.url) as notary:
            network.wait_for(
                lambda notary=notary: all_taken(notary.send_reveals(batch)), seconds=5, what="receipts of all reveals"
            )


def require_settled(network: AuctionNetwork, found: dict[str, Any], commits: list[Commit], node: Any) -> AuctionHeader:
    """Check that a window is final with every commit in it, its bundle at a node, and settled on the ledger."""
    assert found["stage"] == "final"
    header = AuctionHeader.decode(found["header"])
    assert (header.commits, header.reveals, header.count) == (len(commits),) * 3
    with AuctionClient(node.url) as client:
        body = AuctionBundle.decode(client.bundle(header.digest())).body
    assert body is not None
    assert {row.commit for row in body.entries} == {commit.commit_id for commit in commits}
    assert (TARGET, header.sequence) in settled_headers(network)
    return header


def end(network: AuctionNetwork, node: Any, window: WindowId, commits: list[Commit]) -> AuctionHeader:
    """Wait until a window is at its end and settled, and check that nothing is missing in it."""
    with AuctionClient(node.url) as client:
        found = final(network, client, window)
    assert found["stage"] == "final"
    sequence = AuctionHeader.decode(found["header"]).sequence
    network.wait_for(lambda: (TARGET, sequence) in settled_headers(network), what="the settlement")
    return require_settled(network, found, commits, node)


def require_no_harm(network: AuctionNetwork) -> None:
    """Check that nobody was punished, and that no service level was missed."""
    for kind in ("validator.slashed", "validator.jailed", "auction.missed", "auction.missed_void"):
        assert network.events(kind) == []


def whole(network: AuctionNetwork) -> dict[str, Any] | None:
    """The overview of an epoch that has just begun, if every validator has a seat in it."""
    found = early(network)
    return found if found is not None and len(found["committee"]) == len(network.validators) else None


def serve(network: AuctionNetwork, bidder: Bidder, raws: list[bytes], node: Any) -> None:
    """Have a window in which a validator that is back has a seat, takes the reveals, and holds the bundle."""

    def seated() -> dict[str, Any] | None:
        found = early(network)
        urls = [] if found is None else [url for seat in found["committee"] for url in seat["endpoints"]]
        return found if node.url in urls else None

    overview = network.wait_for(seated, what="a seat")
    window, commits = bid(network, bidder, raws, overview=overview)
    reveal(network, bidder, commits, node)
    with AuctionClient(network.coordinator(overview)) as client:
        header = AuctionHeader.decode(final(network, client, window)["header"])
    with AuctionClient(node.url) as client:
        network.wait_for(lambda: client.bundle(header.digest()), what="the bundle at the validator that is back")
    assert (header.commits, header.reveals) == (len(raws), len(raws))


def end_while_windows_are_open(network: AuctionNetwork, bidder: Bidder, raws: list[bytes]) -> Any:
    """Have the coordinator drain, resume, and drain to its end, with commits under way; return it."""
    overview = network.wait_for(lambda: whole(network), what="a committee of all")
    epoch, url = overview["epoch"], network.coordinator(overview)
    node = next(node for node in network.validators if node.url == url)
    notary = next(node for node in network.validators if node.url != url)
    told: list[str] = []
    with AuctionClient(url) as client, ThreadPoolExecutor(1) as pool:
        network.wait_for(lambda: bidder.open_line(client, epoch, 8), seconds=10, what="a line")
        now = client.overview()["time_us"]
        windows = [window_at(TARGET, 100, now + ahead) for ahead in (300_000, 3_000_000)]
        commits = {
            window: [bidder.prepare(window, raw) for raw in raws[at : at + 2]]
            for at, window in zip((0, 2), windows, strict=True)
        }
        first, second = map(encode_commits, commits.values())
        late = encode_commits([bidder.prepare(windows[1], raws[4])])
        assert codes(client.send_commits(first)) == ["taken"] * 2
        with OwnerClient(node.owner_socket) as owner:
            assert owner.drain(CLOSING_SECONDS)["closed"]
            assert refused(lambda: client.send_commits(second)) == "seat.draining"
            resume(node.config)
            assert not owner.drain_status()["draining"]
        # It is back at work, and takes in what it will have to bring to its end.
        assert codes(client.send_commits(second)) == ["taken"] * 2
        drained = pool.submit(drain, node.config, CLOSING_SECONDS, told.append)
        found = network.wait_for(lambda: (found := status(node))["closed"] and found, seconds=10, what="its closing")
        assert (found["drained"], found["windows"] > 0, epoch in found["seats"]) == (False, True, True)
        assert refused(lambda: client.send_commits(late)) == "seat.draining"
        assert refused(lambda: bidder.open_line(client, epoch, 1)) == "seat.draining"
        for window, pair in commits.items():
            network.wait_for(lambda window=window: client.commit_set(window), seconds=10, what="a certified set")
            reveal(network, bidder, pair, notary)
        assert drained.result()
        assert told == ["letting the auctions end"]
        found = status(node)
        assert (found["drained"], found["windows"], found["owed"]) == (True, 0, 0)
        for window, pair in commits.items():
            require_settled(network, client.window(window), pair, node)
    line = network.proved(f"auction-line/{epoch}/{TARGET}/{bidder.account}/0".encode())
    paid = sum(payment(bidder, commit) for pair in commits.values() for commit in pair)
    assert line["open"] == 4
    assert network.escrow(bidder.account) == 10**12 // 2 - 4 * BOND - paid
    return node


def test_validators_that_drain_under_live_bids_lose_no_window_and_serve_again_after_their_restart(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, epoch_ms=11_000, reveal_ms=5_000, seal_ms=10_000)
    bidder = Bidder(network, LocalSigner(b"\x0c" * 32))
    bidder.fund()
    back = again(start, tmp_path, network, end_while_windows_are_open(network, bidder, raws))

    # With too little time: what was certified by then is in the journal, and goes on after the restart.
    overview = network.wait_for(lambda: whole(network), what="a committee of all")
    window, commits = bid(network, bidder, raws[:3], overview=overview)
    reveal(network, bidder, commits, back)  # it serves again, in whatever seat
    node = next(node for node in network.validators if node.url == network.coordinator(overview))
    told: list[str] = []
    assert not drain(node.config, 1, told.append)
    assert told == ["letting the auctions end", "the auctions did not end within 1 seconds"]
    found = status(node)
    assert (found["draining"], found["closed"], found["drained"], found["windows"]) == (True, True, False, 1)
    node = again(start, tmp_path, network, node)
    end(network, node, window, commits)

    # A notary leaves a window to the others once it has closed.
    overview = network.wait_for(lambda: whole(network), what="a committee of all")
    node = next(node for node in network.validators if node.url == network.coordinator(overview))
    leaving, staying = [other for other in network.validators if other is not node][:2]
    window, commits = bid(network, bidder, raws[3:6], overview=overview)
    reveal(network, bidder, commits, leaving, staying)
    assert drain(leaving.config, CLOSING_SECONDS, told.append)
    assert leaving.stop() == 0, leaving.log()
    header = end(network, node, window, commits)
    number = network.validators.index(leaving)
    back = network.validators[number] = start_validator(start, tmp_path, network, number)
    with AuctionClient(back.url) as client:
        network.wait_for(lambda: client.bundle(header.digest()), what="the bundle that came while it was away")
    require_no_harm(network)


@pytest.mark.long
def test_with_time_enough_a_validator_serves_its_seats_to_their_end_and_draws_no_lots(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, epoch_ms=12_000)
    bidder = Bidder(network, LocalSigner(b"\x0e" * 32))
    bidder.fund()
    overview = network.wait_for(lambda: early(network), what="the beginning of an epoch")
    node = network.validators[-1]  # not one to which bidders here bring reveals first
    coordinator = next(node for node in network.validators if node.url == network.coordinator(overview))
    with ThreadPoolExecutor(1) as pool:
        drained = pool.submit(drain, node.config, 180, lambda _text: None)
        network.wait_for(lambda: status(node)["draining"], seconds=10, what="its draining")
        # The seats that it has are served as ever.
        window, commits = bid(network, bidder, raws[:3], overview=overview)
        reveal(network, bidder, commits, node)
        with AuctionClient(coordinator.url) as client:
            found = final(network, client, window)
        assert drained.result()
    ended = status(node)
    assert (ended["closed"], ended["seats"], ended["windows"], ended["owed"]) == (False, [], 0, 0)
    require_settled(network, found, commits, coordinator)

    def without() -> dict[str, Any] | None:
        found = early(network)
        return found if found is not None and len(found["committee"]) == len(network.validators) - 1 else None

    network.wait_for(without, what="a committee without it")
    run_window(network, bidder, raws[3:6])
    back = again(start, tmp_path, network, node)
    serve(network, bidder, raws[6:8], back)
    require_no_harm(network)
