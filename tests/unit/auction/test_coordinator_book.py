from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.commit import Commit
from bpci_node.auction.commit_receipt import Arrival
from bpci_node.auction.commit_set import CommitSet, sign_set, verify_set
from bpci_node.auction.coordinator_book import CoordinatorBook, Due, Duty, Stage
from bpci_node.auction.window import MAX_AHEAD_US, MAX_COMMITS, WindowId, phases_of
from bpci_node.errors import BpciError, LimitError, NotFoundError, ProofError, RefusedError, UsageError
from tests.unit.auction.scene import (
    BEGINS_US,
    COORDINATOR,
    ENDS_US,
    FRAME,
    LEDGER_ID,
    TARGET,
    TERMS,
    WINDOW,
    account,
    bid,
    refused,
)

OPENS, CLOSES, REVEALED, SEALED = BEGINS_US, BEGINS_US + 100_000, BEGINS_US + 300_000, BEGINS_US + 600_000
CERTIFICATE = "certificate"


def book(slots: int = 10, frame: AuctionEpoch = FRAME, **capacity: int) -> CoordinatorBook[str]:
    made = CoordinatorBook[str](frame, COORDINATOR.public_key, {10: 3, 20: 3, 50: 3, 100: capacity.get("most", 50)})
    for number in range(10):
        for tier in (1, 2):
            made.lines.open(TARGET, account(number), tier, slots)
    return made


def close(made: CoordinatorBook[str], now_us: int = CLOSES) -> CommitSet:
    (due,) = made.due(now_us)
    assert due.duty is Duty.CLOSE
    assert due.draft is not None
    return sign_set(COORDINATOR, due.draft)


def test_arrivals_are_numbered_without_a_gap_and_chained_up_to_the_set() -> None:
    made = book()
    arrivals = [made.accept(bid(number).commit, OPENS + number) for number in range(5)]
    assert [arrival.seq - WINDOW.first_seq for arrival in arrivals] == [0, 1, 2, 3, 4]
    assert all(before.running_hash == after.previous for before, after in pairwise(arrivals))
    signed = close(made)
    assert signed.running_hash == arrivals[-1].running_hash
    names = [arrival.commit_id for arrival in arrivals]
    verify_set(signed, names, coordinator=COORDINATOR.public_key, ledger_id=LEDGER_ID)


def test_late_is_late_by_the_coordinators_clock_and_early_is_five_seconds() -> None:
    made, commit = book(), bid(1).commit
    assert refused(lambda: made.check(commit, OPENS - MAX_AHEAD_US - 1)) == "window.ahead"
    made.check(commit, OPENS - MAX_AHEAD_US)
    made.check(commit, CLOSES - 1)
    assert refused(lambda: made.accept(commit, CLOSES)) == "window.closed"
    assert made.stage(WINDOW) is None


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"window": WindowId("eip155:7", 100, 18_000)}, NotFoundError, "window.target"),
        ({"window": WindowId(TARGET, 100, ENDS_US // 100_000)}, RefusedError, "window.epoch"),
        ({"tier": 3}, RefusedError, "commit.tier"),
        ({"account": account(20)}, LimitError, "commit.no_slot"),
    ],
)
def test_a_commit_for_which_there_is_no_place_is_refused(change: dict, kind: type[BpciError], code: str) -> None:
    with pytest.raises(kind) as caught:
        book().check(replace(bid(1).commit, **change), OPENS)
    assert caught.value.code == code


def test_a_class_that_the_target_does_not_offer_is_refused() -> None:
    frame = replace(FRAME, terms={TARGET: replace(TERMS, classes=(20,))})
    assert refused(lambda: book(frame=frame).check(bid(1).commit, OPENS)) == "window.class"


def test_the_same_commit_twice_is_refused_and_takes_one_slot() -> None:
    made, commit = book(slots=2), bid(1).commit
    made.accept(commit, OPENS)
    assert refused(lambda: made.accept(commit, OPENS)) == "commit.duplicate"
    assert made.lines.free(TARGET, account(1), 1) == 1


def test_beyond_what_it_holds_a_window_is_refused_and_the_next_one_is_not() -> None:
    made = book(most=2)
    for number in (1, 2):
        made.accept(bid(number).commit, OPENS)
    assert refused(lambda: made.accept(bid(3).commit, OPENS)) == "window.full"
    made.accept(bid(3, WindowId(TARGET, 100, WINDOW.index + 1)).commit, OPENS)
    assert close(made).count == 2


def test_a_line_is_used_up_by_its_commits() -> None:
    made = book(slots=1)
    made.accept(bid(1).commit, OPENS)
    assert refused(lambda: made.check(bid(1, nonce=1).commit, OPENS)) == "commit.no_slot"
    made.accept(bid(1, nonce=1, tier=2).commit, OPENS)
    made.lines.open(TARGET, account(1), 1, 1)
    made.accept(bid(1, nonce=1).commit, OPENS)


def test_a_window_goes_through_its_phases_and_each_duty_comes_once() -> None:
    made = book()
    commit = bid(1).commit
    made.accept(commit, OPENS)
    assert made.next_us() == CLOSES
    assert list(made.due(CLOSES - 1)) == []
    signed = close(made)
    assert made.next_us() == REVEALED
    assert refused(lambda: made.revealed(WINDOW)) == "reveal.uncertified"
    assert refused(lambda: made.finish(WINDOW, CLOSES)) == "window.phase"
    revealed = made.certify(signed, CERTIFICATE, CLOSES + 5)
    assert made.certify(signed, CERTIFICATE, CLOSES + 6) is revealed is made.revealed(WINDOW)
    assert made.certificate(WINDOW) == CERTIFICATE
    assert refused(lambda: made.finish(WINDOW, REVEALED - 1)) == "window.phase"
    assert list(made.due(REVEALED)) == [Due(Duty.PROPOSE, WINDOW, (commit,))]
    made.finish(WINDOW, SEALED - 1)
    made.finish(WINDOW, SEALED + 1)
    assert list(made.due(SEALED)) == []
    assert made.next_us() is None
    assert made.stage(WINDOW) is Stage.FINAL
    assert made.open_windows() == []


def test_a_set_that_nobody_countersigns_in_time_voids_its_window() -> None:
    made = book()
    commit = bid(1).commit
    made.accept(commit, OPENS)
    signed = close(made)
    assert list(made.due(REVEALED)) == [Due(Duty.VOID, WINDOW, (commit,))]
    assert refused(lambda: made.certify(signed, CERTIFICATE, REVEALED)) == "window.void"
    assert refused(lambda: made.finish(WINDOW, REVEALED)) == "window.void"


def test_a_certificate_after_the_reveal_phase_is_too_late_whoever_is_asked_first() -> None:
    made = book()
    made.accept(bid(1).commit, OPENS)
    signed = close(made)
    assert refused(lambda: made.certify(signed, CERTIFICATE, REVEALED)) == "window.void"
    assert made.stage(WINDOW) is Stage.VOID


def test_a_header_that_is_not_final_in_time_voids_its_window() -> None:
    made = book()
    made.accept(bid(1).commit, OPENS)
    made.certify(close(made), CERTIFICATE, CLOSES)
    assert [due.duty for due in made.due(SEALED)] == [Duty.PROPOSE, Duty.VOID]
    assert refused(lambda: made.finish(WINDOW, SEALED)) == "window.void"
    made.forget(WINDOW)
    assert refused(lambda: made.accept(bid(2).commit, OPENS)) == "window.closed"


def test_only_the_set_that_was_closed_can_be_certified() -> None:
    made = book()
    made.accept(bid(1).commit, OPENS)
    signed = close(made)
    assert refused(lambda: made.certify(replace(signed, root=bytes(32)), CERTIFICATE, CLOSES)) == "commit.other_set"
    other = WindowId(TARGET, 100, WINDOW.index + 1)
    assert refused(lambda: made.certify(replace(signed, window=other), CERTIFICATE, CLOSES)) == "window.unknown"
    assert refused(lambda: made.revealed(other)) == "window.unknown"
    assert refused(lambda: made.forget(WINDOW)) == "window.phase"


def test_windows_without_commits_cost_nothing_unless_something_waits_for_them() -> None:
    made = book()
    assert made.next_us() is None
    made.want(WINDOW, OPENS)
    signed = close(made)
    assert (signed.count, signed.window) == (0, WINDOW)
    assert refused(lambda: made.want(WINDOW, OPENS)) == "window.closed"
    assert refused(lambda: made.want(WindowId("eip155:7", 100, 18_000), OPENS)) == "window.target"


def test_a_halt_takes_no_commits_for_its_windows_and_voids_those_that_came_before() -> None:
    made = book()
    later, after = (WindowId(TARGET, 100, WINDOW.index + number) for number in (1, 2))
    commits = [bid(number, window).commit for number, window in enumerate((WINDOW, later, after))]
    for commit in commits:
        made.accept(commit, OPENS)
    made.halt(CLOSES, CLOSES + 100_000)
    assert refused(lambda: made.accept(bid(4, later).commit, OPENS)) == "window.halted"
    made.accept(bid(4, after).commit, OPENS)
    found = [(due.duty, due.window) for due in made.due(CLOSES + 200_000)]
    assert found == [(Duty.CLOSE, WINDOW), (Duty.VOID, later), (Duty.CLOSE, after), (Duty.VOID, WINDOW)]


def test_a_halt_without_an_end_takes_no_later_window() -> None:
    made = book()
    made.halt(OPENS, None)
    assert refused(lambda: made.check(bid(1).commit, OPENS)) == "window.halted"


def test_a_coordinator_needs_a_capacity_for_each_class() -> None:
    for capacity in ({}, {10: 1, 20: 1, 50: 1, 100: 0}, {10: 1, 20: 1, 50: 1, 100: MAX_COMMITS + 1}):
        with pytest.raises(UsageError) as caught:
            CoordinatorBook[str](FRAME, COORDINATOR.public_key, capacity)
        assert caught.value.code == "usage.capacity"


COMMITS = [
    bid(number % 4, WindowId(TARGET, qlock, BEGINS_US // 1_000 // qlock + number % 3), nonce=number).commit
    for number, qlock in enumerate([10, 20, 50, 100] * 5)
]


def run(made: CoordinatorBook[str], moments: Iterable[int], journal: list[object]) -> None:
    """Send commits and do what is due at each of these moments, as far as the coordinator's clock allows."""
    for number, now in enumerate(moments):
        commit = COMMITS[number % len(COMMITS)]
        with suppress(RefusedError):  # early, late, full or sent before
            journal.append(made.accept(commit, now))
        journal.extend(due if due.draft is None else sign_set(COORDINATOR, due.draft) for due in made.due(now))


@settings(max_examples=60, deadline=None)
@given(moments=st.lists(st.integers(BEGINS_US - 6_000_000, BEGINS_US + 2_000_000), max_size=60))
def test_a_clock_that_jumps_either_way_gives_no_window_two_sets_and_loses_no_commit(moments: list[int]) -> None:
    made, journal = book(slots=1_000), list[object]()
    run(made, moments, journal)
    list_of_sets = [item for item in journal if isinstance(item, CommitSet)]
    assert len({item.window for item in list_of_sets}) == len(list_of_sets)
    late = made.due(BEGINS_US + 10_000_000)
    list_of_sets.extend(sign_set(COORDINATOR, due.draft) for due in late if due.draft is not None)
    accepted: dict[WindowId, list[bytes]] = {}
    for item in journal:
        if isinstance(item, Arrival):
            accepted.setdefault(item.commit.window, []).append(item.commit_id)
    assert {item.window: item.count for item in list_of_sets} == {key: len(found) for key, found in accepted.items()}
    for item in list_of_sets:
        verify_set(item, accepted[item.window], coordinator=COORDINATOR.public_key, ledger_id=LEDGER_ID)
    assert made.open_windows() == []
    following = WindowId(TARGET, 100, WINDOW.index + 30)
    made.accept(bid(1, following).commit, phases_of(following, TERMS).opens_us)


@settings(max_examples=60, deadline=None)
@given(
    moments=st.lists(st.integers(0, 60_000), min_size=1, max_size=40),
    cut=st.integers(0, 40),
)
@example(moments=[10_000, 60_000, 60_000, 60_000, 60_000, 60_000], cut=6)  # one is void before the cut
def test_a_coordinator_that_comes_back_from_its_journal_goes_on_where_it_was(moments: list[int], cut: int) -> None:
    times = [BEGINS_US - 100_000 + sum(moments[: at + 1]) for at in range(len(moments))]
    whole, journal = book(slots=1_000), list[object]()
    run(whole, times[:cut], journal)
    again = book(slots=1_000)
    for item in journal:
        if isinstance(item, Arrival):
            assert again.restore_commit(item.commit) == item
    for item in journal:
        if isinstance(item, CommitSet):
            again.restore_set(item)
    first, second = list[object](), list[object]()
    for made, found in ((whole, first), (again, second)):
        run(made, times[cut:], found)
        found.extend(made.due(BEGINS_US + 5_000_000))
    # What was void is said to be void again by who knows no more than commits and sets.
    void = {item.window for item in journal if isinstance(item, Due)}
    assert first == [item for item in second if not (isinstance(item, Due) and item.window in void)]
    assert all(whole.lines.free(TARGET, account(n), 1) == again.lines.free(TARGET, account(n), 1) for n in range(4))


def test_a_set_of_the_journal_that_is_not_that_of_its_commits_is_refused() -> None:
    made = book()
    made.accept(bid(1).commit, OPENS)
    signed = close(made)
    other = book()
    other.restore_commit(bid(2).commit)
    with pytest.raises(ProofError) as caught:
        other.restore_set(signed)
    assert caught.value.code == "commit.set"


def test_a_commit_of_the_journal_needs_its_line() -> None:
    made = CoordinatorBook[str](FRAME, COORDINATOR.public_key)
    commit: Commit = bid(1).commit
    assert refused(lambda: made.restore_commit(commit)) == "commit.no_slot"
