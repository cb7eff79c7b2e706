"""Attacks by bidders, and by a notary that helps one of them, on real notaries; what each gains is measured."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bpci_node.auction.batch_signature import BatchSignature
from bpci_node.auction.candidates import public_candidate
from bpci_node.auction.commit import sign_commit, verify_commit
from bpci_node.auction.coordinator_book import CoordinatorBook
from bpci_node.auction.lists import InclusionList, sign_list
from bpci_node.auction.offences import forfeit_of
from bpci_node.auction.outcome import Kind
from bpci_node.auction.reveal import Reveal
from bpci_node.auction.reveal_receipt import RevealReceipt, issue_reveal_receipts, verify_reveal_receipt
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.window import WindowId
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import BpciError
from bpci_node.mempool.entry import decode_entry
from bpci_node.runtime.window_draft import Proposal
from tests.unit.auction.panel import (
    ATTACKER,
    FORFEIT_BPS,
    HONEST,
    LATER,
    NOTHING,
    RIVAL,
    THIEF,
    VICTIM,
    Panel,
    Standing,
    standing,
)
from tests.unit.auction.scene import (
    BEGINS_US,
    COMMITTEE,
    COORDINATOR,
    EPOCH,
    FRAME,
    LEDGER_ID,
    NODES,
    TARGET,
    TERMS,
    WINDOW,
    Bid,
    account,
    bid,
    bidder,
    closed,
    refused,
)


def book(slots: int, **changes: int) -> CoordinatorBook[str]:
    made = CoordinatorBook[str](FRAME, COORDINATOR.public_key, {10: 1, 20: 1, 50: 1, 100: changes.get("most", 100)})
    for number in (VICTIM, THIEF):
        made.lines.open(TARGET, account(number), 1, slots)
    return made


def test_a_bid_made_upon_seeing_a_reveal_comes_into_a_later_window_alone(panel: Panel) -> None:
    victim, front = bid(VICTIM, fee=60), bid(THIEF, fee=83)
    coordinator = book(5)
    coordinator.accept(victim.commit, BEGINS_US)
    panel.honest([victim])
    seen_us = panel.frame.phases_of(WINDOW).closes_us + 1
    assert refused(lambda: coordinator.accept(front.commit, seen_us)) == "window.closed"
    again = bid(THIEF, LATER, fee=83)
    coordinator.accept(again.commit, seen_us)
    panel.honest([again], LATER)
    assert panel.chain.sequence == 2  # one header after the one in which its victim ran


def test_a_commit_tells_nothing_of_its_bid() -> None:
    bids = [bid(VICTIM, fee=51), bid(VICTIM, fee=83, nonce=10**6, gas=60_000, body=b"y" * 900)]
    assert len({len(item.commit.encode()) for item in bids}) == 1
    guess = replace(bids[0].reveal, salt=bytes(32))  # the right bid, and any salt but its own
    record = RevealedWindow(FRAME, closed([bids[0].commit]), [bids[0].commit])
    assert refused(lambda: record.check(guess)) == "reveal.mismatch"


def test_a_copied_digest_opens_for_nobody_else_and_costs_its_bond(panel: Panel) -> None:
    victim = bid(VICTIM, fee=60)
    copied = sign_commit(
        bidder(THIEF),
        ledger_id=LEDGER_ID,
        window=WINDOW,
        digest=victim.commit.digest,
        account=account(THIEF),
        tier=1,
    )
    stolen = Reveal(WINDOW, copied.commit_id, victim.reveal.raw, victim.reveal.salt)
    revealed = panel.opened([Bid(copied, stolen), victim])
    assert isinstance(panel.reveal(1, victim.reveal)[0], RevealReceipt)
    assert panel.reveal(2, stolen) == ["reveal.mismatch"]
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed, own=[0, 1])
    sealed = panel.seal(revealed, lists[1:])
    assert panel.propose(sealed.draft.header, lists[1:], revealed).certificate is not None
    assert (standing(sealed, THIEF), standing(sealed, VICTIM)) == (Standing(500, ()), Standing(300, (0,)))


def test_a_copy_of_a_carried_entry_displaces_nothing(panel_on: Callable[[TargetTerms], Panel]) -> None:
    panel = panel_on(replace(TERMS, gas_limit=30_000))
    victim = bid(VICTIM, fee=60)
    panel.honest([bid(RIVAL, fee=80), victim])
    copy = bid(THIEF, LATER, raw=victim.reveal.raw, signer=bidder(THIEF))
    sealed = panel.honest([copy], LATER)
    assert (standing(sealed, VICTIM), standing(sealed, THIEF)) == (Standing(300, (0,)), NOTHING)
    assert {item.account: item.kind for item in sealed.outcomes}[account(THIEF)] is Kind.LOST


def test_a_replayed_commit_uses_nobodys_bond(panel: Panel) -> None:
    victim = bid(VICTIM)
    panel.honest([victim])
    panel.at(LATER, "reveal")
    moved = replace(victim.commit, window=LATER)
    assert set(panel.countersign(closed([moved], LATER), [moved]).refused.values()) == {"commit.signature"}
    elsewhere = "devnet:" + "cd" * 32
    keys = [bidder(VICTIM).public_key]
    assert refused(lambda: verify_commit(victim.commit, ledger_id=elsewhere, keys=keys)) == "commit.signature"
    twice = [bid(VICTIM, LATER).commit] * 2
    assert set(panel.countersign(closed(twice, LATER), twice).refused.values()) == {"commit.set"}
    assert panel.reveal(1, replace(victim.reveal, window=LATER)) == ["window.unknown"]


def test_revealing_the_best_of_many_bids_alone_costs_more_than_it_can_win(panel: Panel) -> None:
    rival = bid(RIVAL, fee=70)
    options = [bid(THIEF, fee=fee, tier=1) for fee in (60, 71, 83)]
    revealed = panel.opened([rival, *options])
    panel.reveal(1, rival.reveal, options[1].reveal)  # just above the rival, having seen it
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    sealed = panel.seal(revealed, lists)
    assert panel.propose(sealed.draft.header, lists, revealed).certificate is not None
    truthful = 30 * (83 - 50)
    assert standing(sealed, THIEF) == Standing(30 * (71 - 50) + 2 * 500, (0,))
    assert standing(sealed, THIEF).paid > truthful
    assert [forfeit_of(1_000, FORFEIT_BPS, earlier) for earlier in range(4)] == [500, 750, 1_000, 1_000]


@pytest.mark.parametrize("choice", ["takes part", "stays away"])
def test_a_notary_that_decides_last_about_its_own_bid_has_no_choice_that_is_free(panel: Panel, choice: str) -> None:
    victim, own = bid(VICTIM, fee=60), bid(THIEF, fee=70)
    revealed = panel.opened([victim, own])
    panel.reveal(1, victim.reveal)
    panel.at(WINDOW, "seal")
    revealed.hold(own.reveal, revealed.check(own.reveal))
    lists = panel.lists(revealed, own=[1] if choice == "takes part" else [])
    sealed = panel.seal(revealed, lists)
    assert panel.propose(sealed.draft.header, lists, revealed).certificate is not None
    expected = Standing(600, (0,)) if choice == "takes part" else Standing(500, ())
    assert standing(sealed, THIEF) == expected
    assert panel.reveal(2, own.reveal) == ["reveal.late"]


def test_a_notary_that_drops_a_reveal_has_signed_for_it_and_another_notary_is_enough(panel: Panel) -> None:
    victim, own = bid(VICTIM, fee=60), bid(THIEF, fee=55)
    revealed = panel.opened([victim, own])
    panel.now_us += 1_000
    unsigned = RevealReceipt(
        LEDGER_ID,
        EPOCH,
        WINDOW,
        revealed.digest,
        victim.commit.commit_id,
        ATTACKER,
        panel.now_us,
        BatchSignature(0, 1, b"", b""),
    )
    (receipt,) = issue_reveal_receipts(NODES[ATTACKER], [unsigned])
    verify_reveal_receipt(receipt, committee=COMMITTEE, ledger_id=LEDGER_ID)
    panel.reveal(1, own.reveal)
    assert isinstance(panel.reveal(3, victim.reveal)[0], RevealReceipt)
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    assert lists[ATTACKER].positions() == []  # with its receipt: what auction.refund charges it for
    assert all(0 in item.positions() for item in lists[1:])
    sealed = panel.seal(revealed, lists)
    assert panel.propose(sealed.draft.header, lists, revealed).certificate is not None
    assert standing(sealed, VICTIM) == Standing(300, (0,))


def test_spam_ends_with_its_bonds_and_with_the_window_and_stops_nobody(panel: Panel) -> None:
    coordinator = book(20)
    results = []
    for nonce in range(50):
        try:
            coordinator.accept(bid(THIEF, nonce=nonce).commit, BEGINS_US)
            results.append("taken")
        except BpciError as error:
            results.append(error.code)
    assert results == ["taken"] * 20 + ["commit.no_slot"] * 30
    victim = bid(VICTIM, fee=60)
    coordinator.accept(victim.commit, BEGINS_US)
    spam = [bid(THIEF, nonce=nonce) for nonce in range(20)]
    revealed = panel.opened([*spam, victim])
    panel.reveal(1, victim.reveal)
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    sealed = panel.seal(revealed, lists)
    assert panel.propose(sealed.draft.header, lists, revealed).certificate is not None
    assert (standing(sealed, THIEF), standing(sealed, VICTIM)) == (Standing(20 * 500, ()), Standing(300, (0,)))


def test_a_window_that_spam_has_filled_is_the_only_one_that_it_fills() -> None:
    coordinator = book(20, most=3)
    for nonce in range(3):
        coordinator.accept(bid(THIEF, nonce=nonce).commit, BEGINS_US)
    assert refused(lambda: coordinator.accept(bid(VICTIM).commit, BEGINS_US)) == "window.full"
    coordinator.accept(bid(VICTIM, WindowId(TARGET, 100, WINDOW.index + 1)).commit, BEGINS_US)


def test_a_stuffed_inclusion_list_takes_no_more_than_its_share_and_no_better_place(
    panel_on: Callable[[TargetTerms], Panel],
) -> None:
    terms = replace(TERMS, gas_limit=120_000, forced_gas_bps=2_500)
    panel = panel_on(terms)
    bids = [bid(number, fee=60 + number) for number in range(1, 5)]
    revealed = panel.opened(bids)
    panel.reveal(1, *(item.reveal for item in bids))
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    without = panel.seal(revealed, lists)
    assert len(without.draft.selection.winners) == 4
    raws = [bid(THIEF, fee=900, nonce=nonce).reveal.raw for nonce in range(8)]
    found = {
        public_candidate(decode_entry(raw), WINDOW, terms, LEDGER_ID, is_forced=True).entry.leaf.txid: raw
        for raw in raws
    }
    wanted = sign_list(NODES[ATTACKER], InclusionList(LEDGER_ID, EPOCH, WINDOW, ATTACKER, tuple(sorted(found))))
    proposal = Proposal((wanted,), tuple(found[name] for name in sorted(found)))
    sealed = panel.seal(revealed, lists, proposal=proposal)
    assert panel.propose(sealed.draft.header, lists, revealed, proposal=proposal).certificate is not None
    winners = sealed.draft.selection.winners
    assert [item.commit_id for item in winners[:3]] == [item.commit.commit_id for item in bids[:0:-1]]
    assert [item.entry.transaction.raw in raws for item in winners] == [False, False, False, True]
    assert standing(sealed, 1) == NOTHING  # the lowest of the four is carried, and first in the next window
    assert {item.account: item.kind for item in sealed.outcomes}[account(1)] is Kind.CARRIED


def test_a_window_left_to_go_void_takes_nobodys_bond_and_brings_its_coordinator_nothing(panel: Panel) -> None:
    bids = [bid(VICTIM, fee=61), bid(THIEF, fee=60)]
    revealed = panel.opened(bids)
    panel.reveal(1, *(item.reveal for item in bids))
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    sealed = panel.seal(revealed, lists)
    panel.now_us = panel.frame.phases_of(WINDOW).seal_ends_us
    late = panel.propose(sealed.draft.header, lists, revealed)
    assert (late.certificate, late.refused) == (None, dict.fromkeys(HONEST, "window.over"))
    after = panel.honest([bid(VICTIM, LATER, fee=61)], LATER)
    assert (after.draft.header.sequence, after.draft.header.commits) == (1, 1)
    assert standing(after, VICTIM) == Standing(330, (0,))


def test_a_notarys_clock_that_is_stepped_either_way_opens_nothing_again(panel: Panel) -> None:
    victim, late = bid(VICTIM, fee=60), bid(THIEF, fee=70)
    revealed = panel.opened([victim, late])
    panel.reveal(1, victim.reveal)
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    panel.at(WINDOW, "reveal")  # back
    assert panel.reveal(1, late.reveal) == ["reveal.late"]
    panel.at(LATER, "seal")  # far ahead, and back again
    panel.at(WINDOW, "seal")
    assert panel.lists(revealed) == lists
    sealed = panel.seal(revealed, lists)
    panel.at(WINDOW, "commit")
    early = panel.propose(sealed.draft.header, lists, revealed)
    assert (early.certificate, early.refused) == (None, dict.fromkeys(HONEST, "window.phase"))
    panel.at(WINDOW, "seal")
    assert panel.propose(sealed.draft.header, lists, revealed).certificate is not None
    assert (standing(sealed, VICTIM), standing(sealed, THIEF)) == (Standing(300, (0,)), Standing(500, ()))
