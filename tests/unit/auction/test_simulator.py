import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.auction.coordinator_book import Stage
from bpci_node.auction.outcome import Kind
from bpci_node.auction.simulated import Conduct, SimulatedBid, SimulatedNotary, SimulatedWindow
from bpci_node.auction.simulator import Simulator
from bpci_node.auction.window import WindowId
from tests.unit.auction.scene import BEGINS_US, BLS, FRAME, NODES, TARGET, TERMS, WINDOW, Bid, account, bid, bidder

SECOND = WindowId(TARGET, 100, WINDOW.index + 1)
GAS = 300_000


def committee(*conducts: Conduct, skews: tuple[int, ...] = (0, 0, 0, 0), link_us: int = 2_000) -> list[SimulatedNotary]:
    chosen = [*conducts, *[Conduct.HONEST] * (4 - len(conducts))]
    return [
        SimulatedNotary(NODES[seat], BLS[seat], link_us * bool(seat), skews[seat], chosen[seat]) for seat in range(4)
    ]


def simulator(notaries: list[SimulatedNotary] | None = None, gas_limit: int = 1_000_000) -> Simulator:
    frame = replace(FRAME, terms={TARGET: replace(TERMS, gas_limit=gas_limit)})
    made = Simulator(frame, committee() if notaries is None else notaries)
    for number in range(12):
        for tier in (1, 2):
            made.open_line(TARGET, account(number), tier, 50)
    return made


def sent(made: Bid, number: int, sent_us: int = BEGINS_US + 1_000, seat: int = 0, **changes: object) -> SimulatedBid:
    values = {"reveal": made.reveal, "link_us": 1_000} | changes
    return SimulatedBid(made.commit, key=bidder(number).public_key, sent_us=sent_us, seat=seat, **values)


def kinds(result: SimulatedWindow) -> dict[str, str]:
    return {item.account: item.kind.name for item in result.outcomes}


def test_a_window_goes_from_commits_to_a_final_header() -> None:
    made = simulator()
    for number in range(4):
        made.bid(sent(bid(number, fee=60 + number), number, seat=number))
    (result,) = made.run()
    assert result.stage is Stage.FINAL
    assert result.header is not None
    assert result.selection is not None
    fees = [winner.entry.leaf.fee_per_w for winner in result.selection.winners]
    assert fees == [63, 62, 61, 60]
    assert (result.header.commits, result.header.reveals, result.header.count) == (4, 4, 4)
    assert set(kinds(result).values()) == {"WON"}
    assert (result.certified_us, result.final_us) == (BEGINS_US + 104_000, BEGINS_US + 306_000)
    assert made.refused == {}


def test_the_same_bids_give_the_same_result() -> None:
    found = []
    for _ in range(2):
        made = simulator()
        for number in range(3):
            made.bid(sent(bid(number), number))
        found.append([result.header.digest() for result in made.run() if result.header])
    assert found[0] == found[1]


@pytest.mark.parametrize("conduct", [Conduct.DOWN, Conduct.LYING])
def test_one_notary_that_is_down_or_lies_stops_nothing(conduct: Conduct) -> None:
    made = simulator(committee(Conduct.HONEST, Conduct.HONEST, Conduct.HONEST, conduct))
    made.bid(sent(bid(1), 1, seat=3))
    made.bid(sent(bid(2), 2, seat=2))
    (result,) = made.run()
    assert result.stage is Stage.FINAL
    assert set(kinds(result).values()) == {"WON"}


def test_one_down_and_one_lying_of_four_make_no_certificate_and_every_window_void() -> None:
    made = simulator(committee(Conduct.HONEST, Conduct.HONEST, Conduct.LYING, Conduct.DOWN))
    made.bid(sent(bid(1), 1))
    (result,) = made.run()
    assert (result.stage, result.certified_us, result.header) == (Stage.VOID, None, None)


def test_one_down_and_one_lying_that_weigh_less_than_a_third_change_nothing() -> None:
    seats = tuple(
        replace(seat, weight=weight) for seat, weight in zip(FRAME.committee.seats, (40, 40, 5, 5), strict=True)
    )
    frame = replace(FRAME, committee=replace(FRAME.committee, seats=seats))
    made = Simulator(frame, committee(Conduct.HONEST, Conduct.HONEST, Conduct.LYING, Conduct.DOWN))
    made.open_line(TARGET, account(1), 1, 1)
    made.bid(sent(bid(1), 1, seat=3))
    (result,) = made.run()
    assert result.stage is Stage.FINAL
    assert kinds(result) == {account(1): "WON"}


def test_who_never_reveals_forfeits_and_more_the_second_time() -> None:
    made = simulator()
    made.bid(sent(bid(1, tier=2), 1, reveal=None))
    made.bid(sent(bid(2), 2))
    made.bid(sent(bid(1, SECOND, tier=2), 1, BEGINS_US + 101_000, reveal=None))
    made.bid(sent(bid(2, SECOND, nonce=1), 2, BEGINS_US + 101_000))
    amounts = [[item.amount for item in result.outcomes if item.kind is Kind.UNREVEALED] for result in made.run()]
    assert amounts == [[50_000], [75_000]]
    assert made.offences == Counter({account(1): 2})


def test_what_found_no_room_is_carried_once_and_runs_first() -> None:
    made = simulator(gas_limit=GAS * 2)
    for number, fee in ((1, 52), (2, 52), (3, 51), (4, 51)):
        made.bid(sent(bid(number, fee=fee, gas=GAS), number, BEGINS_US + number))
    for number in (5, 6):
        made.bid(sent(bid(number, SECOND, fee=53, gas=GAS), number, BEGINS_US + 101_000))
    first, second = made.run()
    assert Counter(kinds(first).values()) == {"WON": 2, "CARRIED": 2}
    assert kinds(second) == {account(3): "WON", account(4): "WON", account(5): "CARRIED", account(6): "CARRIED"}
    assert second.header is not None
    assert first.header is not None
    assert second.header.parent == first.header.digest()


def test_a_late_commit_is_refused_by_the_coordinators_clock() -> None:
    made, late = simulator(), bid(1)
    made.bid(sent(late, 1, BEGINS_US + 99_500))
    assert made.run() == []
    assert made.refused == {late.commit.commit_id: "window.closed"}


def test_a_bid_that_is_signed_by_somebody_else_is_refused() -> None:
    made, false = simulator(), bid(1)
    made.bid(replace(sent(false, 1), key=bidder(2).public_key))
    made.run()
    assert made.refused == {false.commit.commit_id: "commit.signature"}


def test_who_reveals_too_late_forfeits() -> None:
    made, slow = simulator(), bid(1)
    made.bid(sent(slow, 1, BEGINS_US - 100_000, link_us=150_000))
    made.bid(sent(bid(2), 2))
    (result,) = made.run()
    assert kinds(result) == {account(1): "UNREVEALED", account(2): "WON"}
    assert made.refused == {slow.commit.commit_id: "reveal.late"}


@pytest.mark.parametrize("skew", [-40_000, 40_000])
def test_a_notary_whose_clock_is_off_by_less_than_its_tolerance_still_votes(skew: int) -> None:
    made = simulator(committee(Conduct.HONEST, Conduct.DOWN, skews=(0, 0, skew, 0)))
    made.bid(sent(bid(1), 1))
    (result,) = made.run()
    assert result.stage is Stage.FINAL


def test_links_too_long_for_the_phases_make_windows_void_and_the_epoch_goes_on() -> None:
    made = simulator(committee(link_us=120_000))
    made.bid(sent(bid(1), 1))
    made.bid(sent(bid(1, SECOND, nonce=1), 1, BEGINS_US + 101_000))
    assert [result.stage for result in made.run()] == [Stage.VOID, Stage.VOID]


def test_windows_of_all_classes_run_beside_one_another_in_one_chain() -> None:
    made = simulator()
    for number, qlock in enumerate((10, 20, 50, 100)):
        for step in range(5):
            window = WindowId(TARGET, qlock, BEGINS_US // 1_000 // qlock + step)
            made.bid(sent(bid(number, window, nonce=step), number, window.opens_us - 1_000))
    results = made.run()
    assert len(results) == 20
    assert {result.stage for result in results} == {Stage.FINAL}
    headers = sorted((result.header for result in results if result.header), key=lambda item: item.sequence)
    assert [header.sequence for header in headers] == list(range(1, 21))
    assert all(after.parent == before.digest() for before, after in itertools.pairwise(headers))


def test_phases_run_alone_without_notaries() -> None:
    made = simulator([])
    made.bid(sent(bid(1), 1))
    made.want(SECOND, BEGINS_US)
    results = made.run()
    assert [(result.stage, result.commits, result.header) for result in results] == [
        (Stage.FINAL, 1, None),
        (Stage.FINAL, 0, None),
    ]
    assert results[0].final_us == BEGINS_US + 300_000


def test_a_reveal_that_is_there_before_its_notary_has_the_certificate_is_sent_again() -> None:
    made = simulator()
    made.bid(sent(bid(1), 1, seat=3, link_us=0))
    (result,) = made.run()
    assert (result.stage, kinds(result)) == (Stage.FINAL, {account(1): "WON"})


@settings(max_examples=12, deadline=None)
@given(
    plan=st.lists(
        st.tuples(
            st.integers(0, 11),  # bidder
            st.sampled_from([10, 20, 50, 100]),
            st.integers(0, 6),  # window
            st.integers(40, 84),  # fee, below the base fee too
            st.booleans(),  # reveals
            st.integers(0, 120_000),  # link
        ),
        max_size=30,
    ),
    gas_limit=st.sampled_from([30_000, 90_000, 1_000_000]),
    conduct=st.sampled_from(list(Conduct)),
)
def test_every_commit_that_was_taken_in_comes_to_one_end(
    plan: list[tuple[int, int, int, int, bool, int]], gas_limit: int, conduct: Conduct
) -> None:
    made = simulator(committee(Conduct.HONEST, Conduct.HONEST, conduct), gas_limit=gas_limit)
    sent_ids: set[bytes] = set()
    for nonce, (number, qlock, step, fee, reveals, link_us) in enumerate(plan):
        window = WindowId(TARGET, qlock, BEGINS_US // 1_000 // qlock + step)
        found = bid(number, window, fee=fee, nonce=nonce, tier=2)
        changes = {"link_us": link_us} | ({} if reveals else {"reveal": None})
        made.bid(sent(found, number, window.opens_us - 60_000, seat=nonce % 4, **changes))
        sent_ids.add(found.commit.commit_id)
    results = made.run()
    final = [result for result in results if result.stage is Stage.FINAL]
    outcomes = [item for result in final for item in result.outcomes]
    ends = Counter(item.commit_id for item in outcomes if item.kind is not Kind.CARRIED)
    carried = Counter(item.commit_id for item in outcomes if item.kind is Kind.CARRIED)
    assert {*ends.values(), *carried.values()} <= {1}
    assert {*ends, *carried} <= sent_ids
    assert all(item.amount <= 100_000 for item in outcomes)
    assert sum(result.commits for result in final) == len({*ends, *carried})
    refused = {name for name, code in made.refused.items() if not code.startswith("reveal.")}
    voided = sum(result.commits for result in results if result.stage is Stage.VOID)
    assert len(sent_ids - refused) == voided + len({*ends, *carried})
    assert {result.stage for result in results} <= {Stage.FINAL, Stage.VOID}
    for result in final:
        assert result.header is not None
        assert result.header.gas_used <= gas_limit
