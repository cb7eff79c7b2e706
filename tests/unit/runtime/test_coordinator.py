"""The coordinator among notaries in one process: what a crash leaves, what public pools bring, what play records."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.candidates import Origin
from bpci_node.auction.commit import encode_commits, sign_commit
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.verify_auction import verify_auction
from bpci_node.auction.window import WindowId
from bpci_node.errors import BpciError, RefusedError
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.native import sign_native
from bpci_node.primitives import codec
from bpci_node.runtime.auction_value import value_of
from bpci_node.store.auction_journal import CERTIFIED, FINAL, OPEN, PROPOSED, VOID
from tests.unit.auction.scene import LEDGER_ID, TARGET, WINDOW, Bid, account, bid, bidder
from tests.unit.runtime.committee_house import COMMITTEE, House

pytestmark = pytest.mark.real_time

NEXT = replace(WINDOW, index=WINDOW.index + 1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def entry(number: int, fee: int, **changes: Any) -> bytes:
    fields = {"ledger_id": LEDGER_ID, "target": TARGET, "gas": 30_000, "body": b"x", "nonce": 0} | changes
    return sign_native(bidder(number), kind=EntryType.SETTLEMENT, fee=fee, **fields).raw


def header_of(data: bytes | None) -> AuctionHeader:
    assert data is not None
    return AuctionHeader.decode(data)


def origins(house: House, header: AuctionHeader) -> list[tuple[int, bytes]]:
    data = house.journals[0].bundle(header.digest())
    assert data is not None
    verify_auction(data, COMMITTEE, is_full=True)
    body = AuctionBundle.decode(data).body
    assert body is not None
    return [(row.origin, row.raw) for row in body.entries]


def test_a_window_becomes_final_with_its_bundle_and_what_settles_it(house: House) -> None:
    bids = [bid(number, fee=60 + number) for number in range(3)]
    stored = asyncio.run(house.run(bids))
    header = header_of(stored.header)
    assert (stored.stage, header.commits, header.reveals, header.count) == (FINAL, 3, 3, 3)
    assert [origin for origin, _ in origins(house, header)] == [Origin.REVEALED] * 3
    assert [kind for _, kind, _ in house.journals[0].owed()] == ["auction.settle"]
    assert {house.stored(seat=seat).stage for seat in range(4)} == {FINAL}
    assert [event.kind for event in house.journals[0].events(0, 10)] == ["set", "window", "bundle"]


def test_a_crash_between_a_final_header_and_its_bundle_loses_neither_bundle_nor_settlement(
    house: House, tmp_path: Path
) -> None:
    house.is_completing = False
    bids = [bid(number, fee=60 + number) for number in range(3)]
    header = header_of(asyncio.run(house.run(bids)).header)
    assert (house.journals[0].bundle(header.digest()), house.journals[0].owed()) == (None, [])
    house.restart()
    asyncio.run(house.completion.catch_up())
    assert len(origins(house, header)) == 3
    assert len(house.journals[0].owed()) == 1
    house.restart()
    asyncio.run(house.completion.catch_up())
    assert len(house.journals[0].owed()) == 1
    assert [event.kind for event in house.journals[0].events(0, 10)].count("bundle") == 1


def test_a_coordinator_that_comes_back_asks_for_votes_on_the_header_that_it_had_proposed(house: House) -> None:
    bids = [bid(number, fee=60 + number) for number in range(3)]

    async def cut() -> None:
        await house.reveal_phase(bids)
        house.accept(0, entry(9, 70))
        house.at(WINDOW, "seal")
        house.deaf = {"headers"}
        await house.act()

    async def again() -> None:
        house.deaf = set()
        house.now_us += 50_000
        await house.act()

    asyncio.run(cut())
    proposed = house.stored().header
    assert house.stored().stage == PROPOSED
    house.restart()
    asyncio.run(again())
    stored = house.stored()
    assert (stored.stage, stored.header) == (FINAL, proposed)
    assert len(origins(house, header_of(proposed))) == 4


def test_an_entry_of_any_nodes_pool_runs_beside_a_hidden_bid_and_leaves_every_pool(house: House) -> None:
    forced, public, poor = entry(8, 55), entry(9, 90), entry(10, 10)
    house.accept(2, forced, poor)
    house.accept(0, public)
    house.accept(3, public)
    header = header_of(asyncio.run(house.run([bid(1, fee=60)])).header)
    found = origins(house, header)
    assert found == [(Origin.REVEALED, bid(1, fee=60).reveal.raw), (Origin.FORCED, public), (Origin.FORCED, forced)]
    for store in house.stores.values():
        store.writer.submit(lambda _: None).result()
    assert {seat: pool.count for seat, pool in house.pools.items()} == {0: 0, 1: 0, 2: 1, 3: 0}


def test_a_coordinators_own_public_entries_fill_the_room_that_remains(house: House) -> None:
    house.frame.terms[TARGET] = replace(house.frame.terms[TARGET], forced_gas_bps=0)
    house.accept(0, entry(9, 90))
    header = header_of(asyncio.run(house.run([bid(1, fee=60)])).header)
    assert [origin for origin, _ in origins(house, header)] == [Origin.REVEALED, Origin.PUBLIC]


def test_entries_that_wait_elsewhere_get_a_window_without_any_commit(house: House) -> None:
    house.accept(2, entry(8, 55))

    async def run() -> None:
        house.at(WINDOW, "commit")
        await house.notaries[2].wish()
        house.at(WINDOW, "reveal")
        await house.act()
        house.at(WINDOW, "seal")
        await house.act()

    asyncio.run(run())
    header = header_of(house.stored().header)
    assert (header.commits, header.commit_set, header.count) == (0, None, 1)


def test_a_header_that_leaves_a_notarys_inclusion_list_out_gets_no_vote_of_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.accept(1, entry(8, 55))
    house.accept(2, entry(8, 55))
    monkeypatch.setattr("bpci_node.runtime.window_sealer.check_inclusion", _refuse)
    stored = asyncio.run(house.run([bid(1)]))
    assert stored.stage == PROPOSED
    house.at(WINDOW, "end")
    asyncio.run(house.act())
    assert house.stored().stage == VOID


def _refuse(*_: object) -> None:
    raise TypeError("a coordinator that leaves lists out")


def test_what_found_no_room_is_there_after_a_restart_and_runs_first_in_the_next_header(house: House) -> None:
    large = [bid(number, fee=60 + number, gas=600_000, tier=2) for number in range(2)]
    header = header_of(asyncio.run(house.run(large)).header)
    assert header.count == 1
    house.restart()
    assert [item.commit.commit_id for item in house.chains[0][TARGET].carried] == [large[0].commit.commit_id]
    stored = asyncio.run(house.run([bid(5, NEXT, fee=500, tier=2)], NEXT))
    found = origins(house, header_of(stored.header))
    assert [origin for origin, _ in found] == [Origin.CARRIED, Origin.REVEALED]


def test_a_window_that_is_void_keeps_nothing_in_memory_and_its_name_stays_closed(house: House) -> None:

    async def run() -> None:
        house.at(WINDOW, "commit")
        await house.coordinator.commit(encode_commits([bid(1).commit]))
        house.down = {1, 2, 3}
        house.at(WINDOW, "reveal")
        await house.act()
        house.at(WINDOW, "seal")
        await house.act()

    asyncio.run(run())
    assert house.stored().stage == VOID
    assert house.coordinator.voids == 1
    assert house.coordinator.book.open_windows() == []
    assert [event.kind for event in house.journals[0].events(0, 10)] == ["void"]


def test_a_window_with_nothing_in_it_is_void_silently(house: House) -> None:
    house.at(WINDOW, "commit")
    house.coordinator.want(TARGET)
    for phase in ("reveal", "seal", "end"):
        house.at(WINDOW, phase)
        asyncio.run(house.act())
    assert house.stored().stage == VOID
    assert (house.coordinator.voids, house.journals[0].events(0, 10)) == (0, [])


def test_a_notary_lets_go_of_windows_of_which_it_hears_nothing_more(house: House) -> None:
    asyncio.run(house.reveal_phase([bid(1)]))
    notary = house.notaries[1]
    notary.forget_old()
    assert notary.book.revealed(WINDOW).set.count == 1
    house.now_us += 61_000_000
    notary.forget_old()
    assert notary.book.ended_before(house.now_us) == []
    assert house.stored(seat=1).stage == CERTIFIED


def test_every_header_names_the_next_committee_once_it_is_drawn_and_notaries_that_lag_vote_no(house: House) -> None:
    house.following = replace(COMMITTEE, epoch=COMMITTEE.epoch + 1)
    header = header_of(asyncio.run(house.run([bid(1)])).header)
    assert header.next_committee == house.following.digest()
    window = WindowId(TARGET, 100, WINDOW.index + 2)
    house.following = None
    later = header_of(asyncio.run(house.run([bid(2, window)], window)).header)
    assert (later.next_committee, later.parent) == (None, header.digest())


def test_what_was_owed_names_the_header_of_the_ledger(house: House) -> None:
    header = header_of(asyncio.run(house.run([bid(1)])).header)
    ((_, _, body),) = house.journals[0].owed()
    assert AuctionHeader.decode(codec.decode(body)["header"]) == header


def test_play_needs_no_bond_moves_nothing_and_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"auction_contribution_bps": 500, "auction_committee_bps": 1_000}
    monkeypatch.setattr("bpci_node.runtime.auction_value.load_parameter", lambda _, name: rates[name])
    monkeypatch.setattr("bpci_node.runtime.auction_value.partners_of", lambda *_: ({}, {}))
    machine = SimpleNamespace(state=None)
    house = House(tmp_path, value=value_of("testnet", LEDGER_ID, cast("Any", SimpleNamespace(current=lambda: machine))))
    try:
        assert house.frame.ledger_id.startswith("mock:")
        played = bid(30, fee=70, ledger_id=house.frame.ledger_id)
        commit = sign_commit(
            bidder(30),
            ledger_id=house.frame.ledger_id,
            window=WINDOW,
            digest=played.commit.digest,
            account=account(30),
            tier=1,
        )
        house.known = 40
        reveal = replace(played.reveal, commit_id=commit.commit_id)
        header = header_of(asyncio.run(house.run([Bid(commit, reveal)])).header)
        assert (header.ledger_id, header.count) == (house.frame.ledger_id, 1)
        assert house.journals[0].owed() == []
        ((digest, ledger_id, record),) = house.journals[0].mock_settlements()
        assert (digest, ledger_id) == (header.digest(), house.frame.ledger_id)
        assert codec.decode(record)["revenue"] == 600
    finally:
        house.close()


def test_a_coordinator_that_closes_opens_nothing_and_counts_what_it_is_taking_in_until_it_is_kept(house: House) -> None:
    batch, later = (encode_commits([bid(number, fee=60 + number).commit]) for number in (1, 2))

    async def run() -> None:
        house.at(WINDOW, "commit")
        taken = asyncio.create_task(house.coordinator.commit(batch))
        await asyncio.sleep(0)
        house.is_closed = True
        # What came before is under way, and has its receipt from then on when it is in the journal.
        assert (house.coordinator.taking, house.journals[0].windows(OPEN)) == (1, [])
        (receipt,) = await taken
        assert isinstance(receipt, bytes)
        assert (house.coordinator.taking, len(house.journals[0].windows(OPEN))) == (0, 1)
        for call in (house.coordinator.commit(later), house.coordinator.commit(b"\xff")):
            with pytest.raises(RefusedError) as caught:
                await call
            assert caught.value.code == "seat.draining"
        house.is_closed = False
        with pytest.raises(BpciError):
            await house.coordinator.commit(b"\xff")
        assert house.coordinator.taking == 0
        assert isinstance((await house.coordinator.commit(later))[0], bytes)

    asyncio.run(run())
    assert len(house.journals[0].commits(house.stored().key)) == 2


def test_a_coordinator_that_closes_opens_no_window_for_entries_that_wait(house: House) -> None:
    house.is_closed = True
    house.at(WINDOW, "commit")
    house.coordinator.want(TARGET)
    assert house.coordinator.book.open_windows() == []
    house.is_closed = False
    house.coordinator.want(TARGET)
    assert len(house.coordinator.book.open_windows()) == 1
