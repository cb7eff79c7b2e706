from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.auction.candidates import Candidate, Origin
from bpci_node.auction.commit import Commit
from bpci_node.auction.commit_set import CommitSet, sign_set
from bpci_node.auction.notary_book import MAX_SKEW_US, NotaryBook
from bpci_node.auction.reveal import Reveal
from bpci_node.auction.reveal_receipt import RevealList, bits_of, sign_list
from bpci_node.auction.window import WindowId
from bpci_node.errors import BpciError
from tests.unit.auction.scene import (
    BEGINS_US,
    FRAME,
    LEDGER_ID,
    NODES,
    TARGET,
    WINDOW,
    Bid,
    account,
    bid,
    check_signature,
    closed,
    refused,
)

CLOSES, REVEALED, SEALED = BEGINS_US + 100_000, BEGINS_US + 300_000, BEGINS_US + 600_000
BIDS = [bid(number, fee=60 + number) for number in range(5)]
COMMITS = [made.commit for made in BIDS]
SET = closed(COMMITS)
SEAT = 1


def book(seat: int = SEAT, slots: int = 10) -> NotaryBook:
    made = NotaryBook(FRAME, seat)
    for number in range(10):
        for tier in (1, 2):
            made.lines.open(TARGET, account(number), tier, slots)
    return made


def certified(seat: int = SEAT) -> NotaryBook:
    made = book(seat)
    made.take_set(SET, COMMITS, check_signature, CLOSES)
    made.certify(SET)
    return made


def take(made: NotaryBook, reveal: Reveal, now_us: int = CLOSES + 10) -> None:
    made.record(reveal, made.locate(reveal, now_us).check(reveal), now_us)


def listed(made: NotaryBook, now_us: int = REVEALED) -> RevealList:
    return signed(made.seat, made.list_bits(WINDOW, now_us))


def signed(seat: int, bits: bytes, commit_set: CommitSet = SET) -> RevealList:
    return sign_list(
        NODES[seat],
        ledger_id=LEDGER_ID,
        epoch=commit_set.epoch,
        window=commit_set.window,
        set_digest=commit_set.digest(),
        seat=seat,
        revealed=bits,
    )


def test_a_notary_votes_for_the_digest_of_a_set_that_it_put_together_again() -> None:
    made = book()
    assert made.take_set(SET, COMMITS, check_signature, CLOSES) == SET.digest()
    assert made.take_set(SET, COMMITS, check_signature, REVEALED + 1) == SET.digest()
    assert made.lines.free(TARGET, account(1), 1) == 9


@pytest.mark.parametrize(
    ("commit_set", "commits", "now_us", "code"),
    [
        (SET, COMMITS[:-1], CLOSES, "commit.set"),
        (SET, COMMITS[::-1], CLOSES, "commit.set"),
        (closed([COMMITS[0]] * 2), [COMMITS[0]] * 2, CLOSES, "commit.set"),
        (closed([COMMITS[0]], epoch=4), COMMITS[:1], CLOSES, "commit.set"),
        (closed([COMMITS[0]], count=2), COMMITS[:1], CLOSES, "commit.set"),
        (closed([bid(1, tier=7).commit]), [bid(1, tier=7).commit], CLOSES, "commit.set"),
        (replace(SET, root=bytes(32)), COMMITS, CLOSES, "proof.signature"),
        (sign_set(NODES[2], replace(SET, coordinator=NODES[2].public_key)), COMMITS, CLOSES, "commit.set"),
        (SET, COMMITS, CLOSES - MAX_SKEW_US - 1, "window.early"),
        (closed(COMMITS, closed_us=CLOSES - 1), COMMITS, CLOSES, "window.early"),
        (SET, COMMITS, REVEALED, "window.over"),
        (closed([], WindowId("eip155:9", 100, 18_000)), [], CLOSES, "window.target"),
        (closed([], WindowId(TARGET, 100, 17_999)), [], CLOSES, "window.epoch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_set_that_does_not_hold_gets_no_vote(
    commit_set: CommitSet, commits: list[Commit], now_us: int, code: str
) -> None:
    made = book()
    assert refused(lambda: made.take_set(commit_set, commits, check_signature, now_us)) == code
    assert made.take_set(SET, COMMITS, check_signature, CLOSES) == SET.digest()


def test_a_set_with_a_commit_of_another_window_gets_no_vote() -> None:
    other = bid(1, WindowId(TARGET, 100, WINDOW.index + 1)).commit
    assert refused(lambda: book().take_set(closed([other]), [other], check_signature, CLOSES)) == "commit.set"


def test_a_set_with_a_commit_that_its_account_did_not_sign_gets_no_vote() -> None:
    false = replace(COMMITS[0], signature=bytes(64))
    made = book()
    assert refused(lambda: made.take_set(closed([false]), [false], check_signature, CLOSES)) == "commit.signature"
    assert made.take_set(SET, COMMITS, check_signature, CLOSES)


def test_a_set_with_more_commits_than_bonds_are_reserved_gets_no_vote() -> None:
    made = book(slots=1)
    commits = [bid(1).commit, bid(2).commit, bid(1, nonce=1).commit]
    assert refused(lambda: made.take_set(closed(commits), commits, check_signature, CLOSES)) == "commit.no_slot"
    assert made.lines.free(TARGET, account(2), 1) == 1


def test_two_sets_of_one_window_are_the_coordinators_fault_and_the_first_stays() -> None:
    made, other = certified(), closed(COMMITS[:2])
    assert refused(lambda: made.take_set(other, COMMITS[:2], check_signature, CLOSES)) == "commit.two_sets"
    assert refused(lambda: made.restore_set(other, COMMITS[:2])) == "commit.two_sets"
    assert refused(lambda: made.certify(other)) == "commit.two_sets"
    made.restore_set(SET, COMMITS)
    assert made.revealed(WINDOW).set == SET


def test_nothing_is_revealed_before_the_set_is_certified() -> None:
    made, reveal = book(), BIDS[0].reveal
    assert refused(lambda: made.locate(reveal, CLOSES)) == "window.unknown"
    made.take_set(SET, COMMITS, check_signature, CLOSES)
    assert refused(lambda: made.locate(reveal, CLOSES)) == "reveal.uncertified"
    made.certify(SET)
    take(made, reveal)


def test_a_notary_that_was_away_takes_a_certified_set_with_its_commits() -> None:
    made = book()
    assert refused(lambda: made.certify(SET)) == "window.unknown"
    made.restore_set(SET, COMMITS)
    made.certify(SET)
    take(made, BIDS[0].reveal)


def test_late_twice_and_unknown_reveals_are_refused() -> None:
    made = certified()
    take(made, BIDS[0].reveal, REVEALED - 1)
    assert refused(lambda: take(made, BIDS[0].reveal)) == "reveal.duplicate"
    assert refused(lambda: take(made, BIDS[1].reveal, REVEALED)) == "reveal.late"
    assert refused(lambda: take(made, bid(7).reveal)) == "reveal.unknown"
    wrong = replace(BIDS[1].reveal, raw=bid(1, fee=99).reveal.raw)
    assert refused(lambda: take(made, wrong)) == "reveal.mismatch"
    take(made, BIDS[1].reveal)


def test_after_its_list_no_reveal_is_timely_even_if_the_clock_goes_back() -> None:
    made = certified()
    take(made, BIDS[3].reveal)
    assert refused(lambda: made.list_bits(WINDOW, REVEALED - 1)) == "reveal.early"
    assert made.list_bits(WINDOW, REVEALED) == bits_of([3], 5)
    assert refused(lambda: take(made, BIDS[1].reveal, CLOSES)) == "reveal.late"
    assert made.list_bits(WINDOW, 0) == bits_of([3], 5)


def test_what_any_list_names_takes_part() -> None:
    first, second = certified(1), certified(2)
    take(first, BIDS[0].reveal)
    take(second, BIDS[2].reveal)
    lists = [listed(first), listed(second)]
    assert first.check_lists(WINDOW, lists) == [2]
    revealed = first.revealed(WINDOW)
    assert refused(revealed.candidates) == "reveal.missing"
    (fetched,) = second.revealed(WINDOW).reveals_of([1, 2])
    revealed.hold(fetched, revealed.check(fetched))
    assert first.check_lists(WINDOW, lists) == []
    assert second.check_lists(WINDOW, lists) == [0]
    found = revealed.candidates()
    assert [candidate.commit_id for candidate in found] == [COMMITS[0].commit_id, COMMITS[2].commit_id]
    assert all(candidate.origin is Origin.REVEALED for candidate in found)
    assert [candidate.entry.leaf.arrival_seq - WINDOW.first_seq for candidate in found] == [0, 2]
    assert revealed.listed() == [0, 2]
    assert revealed.listed([2]) == [2]
    assert revealed.lists == tuple(lists)


def test_a_proposal_that_leaves_a_notarys_list_out_is_refused() -> None:
    made = certified()
    take(made, BIDS[0].reveal)
    own, other = listed(made), signed(2, bits_of([], 5))
    assert refused(lambda: made.check_lists(WINDOW, [other])) == "reveal.omitted"
    assert refused(lambda: made.check_lists(WINDOW, [other, signed(1, bits_of([], 5))])) == "reveal.omitted"
    assert made.check_lists(WINDOW, [other, own]) == []


def test_two_lists_of_one_notary_are_its_fault() -> None:
    made = certified()
    made.check_lists(WINDOW, [signed(2, bits_of([1], 5))])
    assert refused(lambda: made.check_lists(WINDOW, [signed(2, bits_of([2], 5))])) == "reveal.two_lists"
    assert refused(lambda: made.check_lists(WINDOW, [replace(signed(3, bits_of([2], 5)), seat=0)])) == "reveal.list"


def test_one_window_gets_one_vote() -> None:
    made = certified()
    first, second = b"\x01" * 32, b"\x02" * 32
    assert refused(lambda: made.vote(WINDOW, first, REVEALED)) == "window.phase"
    made.list_bits(WINDOW, REVEALED)
    assert refused(lambda: made.vote(WINDOW, first, SEALED)) == "window.over"
    assert made.vote(WINDOW, first, SEALED - 1) == first
    assert made.vote(WINDOW, first, SEALED + 1) == first
    assert refused(lambda: made.vote(WINDOW, second, REVEALED)) == "window.voted"


def test_a_notary_comes_back_from_its_journal_with_its_reveals() -> None:
    made = certified()
    take(made, BIDS[0].reveal)
    own = listed(made)
    again = book()
    again.restore_set(SET, COMMITS)
    again.certify(SET)
    again.restore_reveal(BIDS[0].reveal, again.revealed(WINDOW).check(BIDS[0].reveal))
    assert listed(again) == own
    assert made_candidates(again, own) == made_candidates(made, own)
    assert again.lines.free(TARGET, account(1), 1) == made.lines.free(TARGET, account(1), 1)


def made_candidates(made: NotaryBook, own: RevealList) -> list[Candidate]:
    made.check_lists(WINDOW, [own])
    return made.revealed(WINDOW).candidates()


def test_a_window_that_is_forgotten_is_known_no_more() -> None:
    made = certified()
    made.forget(WINDOW)
    assert refused(lambda: made.vote(WINDOW, bytes(32), REVEALED)) == "window.unknown"


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 4), st.integers(CLOSES - 1_000, SEALED + 1_000)), max_size=20),
)
def test_a_clock_that_jumps_either_way_changes_no_list_that_was_made(steps: list[tuple[int, int]]) -> None:
    made = certified()
    bits: set[bytes] = set()
    receipts: set[int] = set()
    for number, now_us in steps:
        made_bid: Bid = BIDS[number]
        try:
            take(made, made_bid.reveal, now_us)
        except BpciError:
            continue
        finally:
            if now_us >= REVEALED:
                bits.add(made.list_bits(WINDOW, now_us))
        receipts.add(number)
    assert len(bits) <= 1
    assert made.list_bits(WINDOW, REVEALED) == bits_of(receipts, 5)
