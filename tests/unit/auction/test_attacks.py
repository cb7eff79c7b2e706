"""Attacks by whoever has the coordinator's seat, on real notaries; what each gains is measured."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bpci_node.auction.candidates import Candidate, public_candidate
from bpci_node.auction.certificate import Certificate, verify_votes
from bpci_node.auction.commit_receipt import CommitReceipt, issue_commit_receipts
from bpci_node.auction.commit_set import prove_omission, verify_omission
from bpci_node.auction.coordinator_book import CoordinatorBook
from bpci_node.auction.lists import InclusionList, sign_list
from bpci_node.auction.outcome import Kind
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.seal_auction import Draft, draft_window
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import ProofError
from bpci_node.mempool.entry import decode_entry
from bpci_node.runtime.window_draft import Proposal, Sealed
from tests.unit.auction.panel import ATTACKER, HONEST, LATER, NOTHING, RIVAL, THIEF, VICTIM, Panel, Standing, standing
from tests.unit.auction.scene import (
    BEGINS_US,
    BLS,
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
    closed,
)

TIGHT = replace(TERMS, gas_limit=30_000)
"""Room for one entry in each window."""


def redraft(sealed: Sealed, winners: tuple[Candidate, ...]) -> Draft:
    """The header with other winners, and everything else as it follows."""
    selection = replace(sealed.draft.selection, winners=winners)
    return draft_window(selection, sealed.outcomes, TERMS, sealed.draft.facts)


def receipts_of(bids: list[Bid]) -> list[CommitReceipt]:
    """The receipts that a coordinator gives for commits in the order in which they come."""
    book: CoordinatorBook[None] = CoordinatorBook(FRAME, COORDINATOR.public_key)
    arrivals = []
    for item in bids:
        book.lines.open(TARGET, item.commit.account, item.commit.tier, 1)
        arrivals.append(book.accept(item.commit, BEGINS_US))
    return issue_commit_receipts(COORDINATOR, LEDGER_ID, EPOCH, arrivals)


def test_a_commit_added_after_seeing_a_reveal_gets_no_votes(panel: Panel) -> None:
    victim, front = bid(VICTIM, fee=61), bid(THIEF, fee=62)
    revealed = panel.opened([victim])
    panel.reveal(1, victim.reveal)
    commits = [victim.commit, front.commit]
    second = closed(commits)
    ballot = panel.countersign(second, commits)
    assert ballot.certificate is None
    assert set(ballot.refused.values()) == {"commit.two_sets"}

    panel.at(WINDOW, "seal")
    widened = RevealedWindow(panel.frame, second, commits)
    for item in (victim, front):
        widened.hold(item.reveal, widened.check(item.reveal))
    lists, own = panel.lists(revealed), panel.own_list(widened, range(2))
    widened.add_list(own)
    forged = panel.seal(widened, [own])
    assert standing(forged, THIEF).places == (0,)
    assert panel.propose(forged.draft.header, lists, revealed).refused == dict.fromkeys(HONEST, "seat.header")
    assert panel.propose(forged.draft.header, [own], widened).certificate is None

    honest = panel.seal(revealed, lists)
    assert panel.propose(honest.draft.header, lists, revealed).certificate is not None
    assert standing(honest, VICTIM) == Standing(330, (0,))
    assert standing(honest, THIEF) == NOTHING


@pytest.mark.parametrize("attack", ["before its victim", "without its victim"])
def test_a_header_with_other_winners_than_those_of_the_rules_gets_no_votes(panel: Panel, attack: str) -> None:
    bids = [bid(VICTIM, fee=61), bid(THIEF, fee=60)]
    revealed = panel.opened(bids)
    panel.reveal(1, *(item.reveal for item in bids))
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    honest = panel.seal(revealed, lists)
    assert standing(honest, THIEF).places == (1,)
    first, second = honest.draft.selection.winners
    winners = (second, first) if attack == "before its victim" else (second,)
    ballot = panel.propose(redraft(honest, winners).header, lists, revealed)
    assert ballot.certificate is None
    assert set(ballot.refused.values()) == {"seat.header"}


@pytest.mark.parametrize("door", ["public", "forced"])
def test_what_a_coordinator_brings_in_after_seeing_the_reveals_runs_after_them(panel: Panel, door: str) -> None:
    victim, front = bid(VICTIM, fee=61), bid(THIEF, fee=500)
    revealed = panel.opened([victim])
    panel.reveal(1, victim.reveal)
    panel.at(WINDOW, "seal")
    lists, raw = panel.lists(revealed), front.reveal.raw
    without = panel.seal(revealed, lists)
    proposal = Proposal(public=(raw,))
    if door == "forced":
        txid = public_candidate(decode_entry(raw), WINDOW, TERMS, LEDGER_ID, is_forced=True).entry.leaf.txid
        wanted = InclusionList(LEDGER_ID, EPOCH, WINDOW, ATTACKER, (txid,))
        proposal = Proposal((sign_list(NODES[ATTACKER], wanted),), (raw,))
        forged = replace(proposal, inclusions=(sign_list(NODES[ATTACKER], replace(wanted, seat=1)),))
        refused = panel.propose(
            panel.seal(revealed, lists, proposal=forged).draft.header, lists, revealed, proposal=forged
        )
        assert set(refused.refused.values()) == {"list.signature"}
    sealed = panel.seal(revealed, lists, proposal=proposal)
    assert panel.propose(sealed.draft.header, lists, revealed, proposal=proposal).certificate is not None
    assert [item.entry.transaction.raw for item in sealed.draft.selection.winners] == [victim.reveal.raw, raw]
    assert standing(sealed, VICTIM) == standing(without, VICTIM) == Standing(330, (0,))


def test_leaving_out_the_lists_that_name_a_reveal_costs_the_window_and_nobodys_bond(panel: Panel) -> None:
    bids = [bid(VICTIM, fee=61), bid(THIEF, fee=60)]
    revealed = panel.opened(bids)
    panel.reveal(1, bids[0].reveal)
    revealed.hold(bids[1].reveal, revealed.check(bids[1].reveal))
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed, own=[1])
    forged = panel.seal(revealed, lists[:1])
    assert standing(forged, THIEF).places == (0,)
    assert standing(forged, VICTIM) == Standing(500, ())
    ballot = panel.propose(forged.draft.header, lists[:1], revealed)
    assert (ballot.certificate, ballot.refused) == (None, dict.fromkeys(HONEST, "reveal.omitted"))
    two_of_three = panel.propose(panel.seal(revealed, lists[:2]).draft.header, lists[:2], revealed)
    assert (two_of_three.certificate, two_of_three.refused) == (None, dict.fromkeys((2, 3), "reveal.omitted"))


def test_whoever_moves_its_commit_before_one_with_a_receipt_is_proved_at_fault(panel: Panel) -> None:
    victim, thief = bid(VICTIM, fee=60), bid(THIEF, fee=60)
    bids = [thief, victim]
    first, second = receipts_of([victim, thief])
    moved = panel.honest(bids)
    assert standing(moved, THIEF).places == (0,)  # the earlier of two equal bids, as no notary can tell
    names = [item.commit.commit_id for item in bids]
    signed = closed([item.commit for item in bids])
    for receipt in (first, second):
        verify_omission(receipt, signed, prove_omission(receipt, names))
    true = closed([victim.commit, thief.commit])
    with pytest.raises(ProofError) as caught:
        verify_omission(first, true, prove_omission(first, names))
    assert caught.value.code == "proof.merkle"


def test_a_commit_that_is_left_out_of_its_set_is_proved_by_its_receipt(panel: Panel) -> None:
    victim, thief = bid(VICTIM, fee=61), bid(THIEF, fee=60)
    _, receipt = receipts_of([thief, victim])
    sealed = panel.honest([thief])
    assert standing(sealed, VICTIM) == NOTHING
    signed = closed([thief.commit])
    verify_omission(receipt, signed, prove_omission(receipt, [thief.commit.commit_id]))


def test_two_headers_of_one_window_get_no_two_certificates_and_prove_who_voted_for_both(panel: Panel) -> None:
    bids = [bid(VICTIM, fee=61), bid(THIEF, fee=60)]
    revealed = panel.opened(bids)
    panel.reveal(1, *(item.reveal for item in bids))
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    first = panel.seal(revealed, lists).draft.header
    panel.now_us += 1
    second = panel.seal(revealed, lists).draft.header
    assert first.digest() != second.digest()
    assert panel.propose(first, lists, revealed, seats=(1, 2)).certificate is not None
    ballot = panel.propose(second, lists, revealed)
    assert (ballot.certificate, ballot.refused) == (None, {1: "window.voted", 2: "window.voted"})
    for header in (first, second):
        own = Certificate(b"\x01", BLS[ATTACKER].sign(header.digest()))
        verify_votes(COMMITTEE, header.digest(), own)  # with these auction.report_headers slashes the seat


@pytest.mark.parametrize("after", ["a restart", "none"])
def test_a_notary_votes_for_one_header_of_a_window_whatever_its_memory_holds(panel: Panel, after: str) -> None:
    victim = bid(VICTIM)
    revealed = panel.opened([victim])
    panel.reveal(1, victim.reveal)
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    first = panel.seal(revealed, lists).draft.header
    panel.now_us += 1
    second = panel.seal(revealed, lists).draft.header
    assert panel.propose(first, lists, revealed, seats=(1,)).refused == {}
    code = "window.voted"
    if after == "a restart":
        panel.restart(1)
        panel.lists(revealed)
        code = "sign.conflict"
    assert panel.propose(second, lists, revealed, seats=(1,)).refused == {1: code}
    assert panel.propose(first, lists, revealed, seats=(1,)).refused == ({} if after == "none" else {1: "window.voted"})


def test_commits_without_bonds_or_signatures_get_no_votes(panel: Panel) -> None:
    panel.at(WINDOW, "reveal")
    free = [bid(THIEF, nonce=number).commit for number in range(21)]
    assert set(panel.countersign(closed(free), free).refused.values()) == {"commit.no_slot"}
    false = [replace(bid(VICTIM).commit, signature=bytes(64))]
    assert set(panel.countersign(closed(false), false).refused.values()) == {"commit.signature"}
    paid = free[:20]
    assert panel.countersign(closed(paid), paid).certificate is not None


def test_nobody_runs_before_a_carried_entry_that_committed_after_seeing_it(
    panel_on: Callable[[TargetTerms], Panel],
) -> None:
    panel = panel_on(TIGHT)
    first = panel.honest([bid(RIVAL, fee=80), bid(VICTIM, fee=60)])
    assert {item.account: item.kind for item in first.outcomes}[account(VICTIM)] is Kind.CARRIED
    panel.frame.terms[TARGET] = TERMS  # type: ignore[index]  # room for all in the next one
    around = [bid(THIEF, LATER, fee=83), bid(THIEF, LATER, fee=51, nonce=1)]
    second = panel.honest(around, LATER)
    assert standing(second, VICTIM) == Standing(300, (0,))
    assert standing(second, THIEF).places == (1, 2)


@pytest.mark.parametrize("attack", ["behind the thief", "forgotten"])
def test_a_carried_entry_that_is_moved_or_forgotten_gets_no_votes(
    panel_on: Callable[[TargetTerms], Panel], attack: str
) -> None:
    panel = panel_on(TIGHT)
    panel.honest([bid(RIVAL, fee=80), bid(VICTIM, fee=60)])
    thief = bid(THIEF, LATER, fee=83)
    revealed = panel.opened([thief], LATER)
    panel.reveal(1, thief.reveal)
    panel.at(LATER, "seal")
    lists = panel.lists(revealed)
    chain = replace(panel.chain, carried=() if attack == "forgotten" else panel.chain.carried)
    forged = panel.seal(revealed, lists, chain=chain)
    if attack == "forgotten":
        assert standing(forged, THIEF).places == (0,)
        header = forged.draft.header
    else:
        assert standing(forged, VICTIM).places == (0,)
        (late,) = (item.candidate for item in forged.draft.selection.excluded)
        header = redraft(forged, (late,)).header
    ballot = panel.propose(header, lists, revealed)
    assert (ballot.certificate, ballot.refused) == (None, dict.fromkeys(HONEST, "seat.header"))


def test_a_carried_entry_is_not_dated_back(panel_on: Callable[[TargetTerms], Panel]) -> None:
    panel = panel_on(TIGHT)
    bids = [bid(RIVAL, fee=80), bid(VICTIM, fee=60), bid(THIEF, fee=60)]
    revealed = panel.opened(bids)
    panel.reveal(1, *(item.reveal for item in bids))
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    sealed = panel.seal(revealed, lists)
    ballot = panel.propose(sealed.draft.header, lists, revealed)
    assert ballot.certificate is not None
    victim, thief = sealed.carried
    assert (victim.commit.account, thief.commit.account) == (account(VICTIM), account(THIEF))
    early = replace(thief, seq=WINDOW.first_seq)
    with pytest.raises(ProofError) as caught:
        panel.publish(sealed, ballot.certificate, [victim.encode(), early.encode()])
    assert caught.value.code == "outcome.format"
    panel.publish(sealed, ballot.certificate)
    after = panel.honest([bid(RIVAL, LATER, fee=83, nonce=1)], LATER)
    assert (standing(after, VICTIM).places, standing(after, THIEF).places) == ((0,), ())


def test_nobody_but_the_coordinator_uses_up_the_vote_of_a_notary(panel: Panel) -> None:
    victim = bid(VICTIM)
    revealed = panel.opened([victim])
    panel.reveal(1, victim.reveal)
    panel.at(WINDOW, "seal")
    lists = panel.lists(revealed)
    first = panel.seal(revealed, lists).draft.header
    panel.now_us += 1
    second = panel.seal(revealed, lists).draft.header
    outsider = panel.propose(first, lists, revealed, signer=NODES[3])
    assert outsider.refused == dict.fromkeys(HONEST, "proof.signature")
    assert panel.propose(second, lists, revealed).certificate is not None
