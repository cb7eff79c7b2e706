from dataclasses import replace

import pytest

from bpci_node.auction.outcome import Kind, encode_outcomes, outcome_leaves
from bpci_node.chain.assets import balance
from bpci_node.chain.draw import committee_of
from bpci_node.chain.escrow import load_escrow
from bpci_node.chain.forfeits import load_forfeit, offences_before
from bpci_node.chain.lines import LineId, load_line
from bpci_node.chain.partners import due
from bpci_node.chain.settlement import load_settled
from bpci_node.chain.settling import PART_OUTCOMES, LedgerSettlement, MockSettlement, mock_ledger_id
from bpci_node.chain.shares import Rates
from bpci_node.chain.stake import load_stake
from bpci_node.chain.target_terms import ServiceLevel
from bpci_node.chain.targets import terms_of
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import BpciError, RefusedError
from bpci_node.primitives.amounts import POLICIES, split
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.merkle import node_hash
from bpci_node.primitives.names import LEDGER_ID_FORM

TARGET = "eip155:1"
QUORUM = (12, 13)
PAIR = (("first", 1), ("second", 2))


@pytest.fixture
def machine(house):
    """Epoch 3, with 5 bonds of 100 of the node's."""
    found = house.opened()
    house.line(found, 5)
    return found


def sent(house, machine, header, outcomes=(), *, part=0, signer=None, **changes):
    body = house.parts(machine, header, outcomes, seats=changes.pop("seats", None))[part]
    return house.make(machine, "auction.settle", body | changes, signer or house.other, fee=0)


def held(house, machine):
    line = load_line(machine.state, LineId(3, TARGET, house.account(), 0))
    escrow = load_escrow(machine.state, house.account(), WALLETS["auction"], "BPI").amount
    return escrow, 0 if line is None else line.open


def test_each_outcome_does_to_its_bond_what_it_says(house, machine, conserved):
    before, treasury = held(house, machine)[0], balance(machine.state, WALLETS["treasury"], "BPI")
    outcomes = (
        house.outcome(1, Kind.WON, 80),
        house.outcome(2, Kind.LOST),
        house.outcome(3, Kind.CARRIED),
        house.outcome(4, Kind.UNREVEALED, 50),
        house.outcome(5, Kind.VOID),
    )
    header, events = house.settle(machine, *outcomes)
    assert held(house, machine) == (before + 20 + 100 + 50 + 100, 1)
    assert balance(machine.state, WALLETS["treasury"], "BPI") == treasury + 50
    assert [event.kind for event in events] == ["auction.settled", "auction.shared"]
    assert events[0].fields["amount"] == 80
    conserved(machine)
    house.settle(machine, house.outcome(3, Kind.WON, 7), number=1, carried=1)
    assert held(house, machine) == (before + 270 + 93, 0)
    assert load_settled(machine.state, TARGET).sequence == header.sequence + 1
    conserved(machine)


def test_what_was_paid_is_divided_by_the_policy_and_the_committee_is_paid(house, machine, conserved):
    names = POLICIES["auction-25"]
    before = {name: balance(machine.state, WALLETS[name], "BPI") for name in names}
    seats = committee_of(machine.state, 3).seats
    purses = {seat.account: balance(machine.state, seat.account, "BPI") for seat in seats}
    house.settle(machine, house.outcome(1, Kind.WON, 80), house.outcome(2, Kind.WON, 79))
    parts = split(159, names)
    pay = parts["reserve"] * 2000 // 10_000
    after = {name: balance(machine.state, WALLETS[name], "BPI") - before[name] for name in names}
    assert after == parts | {"reserve": parts["reserve"] - pay}
    earned = [balance(machine.state, seat.account, "BPI") - purses[seat.account] for seat in seats]
    assert sum(earned) == pay > 0
    conserved(machine)


def test_a_seat_that_did_not_vote_is_not_paid_and_two_thirds_of_the_weight_have_to(house, machine, refused):
    seats = committee_of(machine.state, 3).seats
    assert [seat.weight for seat in seats] == [147, 148, 145]
    outcomes = [house.outcome(1, Kind.WON, 80)]
    header = house.header(machine, outcomes)
    refused(machine, sent(house, machine, header, outcomes, seats=(0, 2)), "certificate.weight")
    before = [balance(machine.state, seat.account, "BPI") for seat in seats]
    house.do(machine, "auction.settle", house.parts(machine, header, outcomes, seats=(0, 1))[0], house.other, fee=0)
    earned = [balance(machine.state, seat.account, "BPI") - was for seat, was in zip(seats, before, strict=True)]
    assert earned[0] > 0
    assert earned[2] == 0


def test_partners_are_owed_by_contribution_and_stake_and_take_it_themselves(house, refused, conserved):
    machine = house.opened(kind="partner", owner=house.account())
    house.line(machine, 5)
    house.settle(machine, house.outcome(1, Kind.WON, 80))
    account = house.account()
    assert due(machine.state, account, "BPI") == 20
    conserved(machine)
    purse = balance(machine.state, account, "BPI")
    house.do(machine, "auction.claim", {"asset": "BPI"})
    assert balance(machine.state, account, "BPI") == purse + 20 - 2
    refused(machine, house.make(machine, "auction.claim", {"asset": "BPI"}), "auction.nothing")
    conserved(machine)


def test_a_large_window_is_settled_in_parts_of_which_the_first_brings_the_certificate(house, machine, refused):
    house.line(machine, 300)
    outcomes = [replace(house.outcome(1, Kind.WON, 1), commit_id=number.to_bytes(32)) for number in range(300)]
    header = house.header(machine, outcomes)
    parts = house.parts(machine, header, outcomes)
    assert len(parts) == 3 == -(-300 // PART_OUTCOMES)
    refused(machine, sent(house, machine, header, outcomes, certificate=None), "auction.part")
    refused(machine, sent(house, machine, header, outcomes, part=1), "auction.part")
    for number, body in enumerate(parts):
        if number:
            refused(machine, sent(house, machine, header, outcomes, part=number - 1), "auction.part")
        house.do(machine, "auction.settle", body, house.other, fee=0)
    assert held(house, machine)[1] == 5
    refused(machine, sent(house, machine, header, outcomes), "auction.settled")


def test_no_outcome_is_shown_at_another_place_or_as_the_last(house, machine, refused):
    outcomes = [house.outcome(number) for number in (1, 2, 3)]
    header = house.header(machine, outcomes)
    whole = house.parts(machine, header, outcomes)[0]
    single = house.parts(machine, header, outcomes[2:])[0]
    leaves = outcome_leaves(outcomes)
    skipping = whole | {"outcomes": single["outcomes"], "total": 2, "proof": [node_hash(leaves[0], leaves[1])]}
    refused(machine, house.make(machine, "auction.settle", skipping | {"first": 1}, fee=0), "auction.part")
    first = whole | {"outcomes": encode_outcomes(outcomes[:1]), "proof": [leaves[1], leaves[2]]}
    house.do(machine, "auction.settle", first, fee=0)
    for change in ({"first": 1, "total": 2}, {"first": 1, "total": 3}):
        (result,) = house.run(machine, house.make(machine, "auction.settle", skipping | change, fee=0))
        assert result.error.code in {"auction.part", "proof.merkle"}


def test_outcomes_that_are_not_the_headers_are_refused(house, machine, refused):
    header = house.header(machine, [house.outcome(1, Kind.WON, 10)])
    other = house.parts(machine, header, [house.outcome(1, Kind.WON, 80)])[0]
    refused(machine, house.make(machine, "auction.settle", other, fee=0), "proof.merkle")
    garbage = other | {"outcomes": b"\x01"}
    refused(machine, house.make(machine, "auction.settle", garbage, fee=0), "outcome.format")
    no_header = other | {"header": b"\x80"}
    refused(machine, house.make(machine, "auction.settle", no_header, fee=0), "header.format")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ledger_id": "economy:" + "0" * 64}, "chain.ledger"),
        ({"target": "eip155:10"}, "auction.target"),
        ({"terms": bytes(32)}, "auction.terms"),
        ({"qlock_ms": 50, "index": 600_000}, "auction.terms"),
        ({"index": 299_999}, "auction.epoch"),
        ({"index": 400_000}, "auction.epoch"),
        ({"sequence": 2, "parent": bytes([1]) * 32}, "auction.order"),
    ],
    ids=["ledger", "target", "terms", "class", "earlier", "later", "gap"],
)
def test_a_header_that_does_not_belong_here_is_refused(house, machine, refused, change, code):
    outcomes = [house.outcome(1)]
    refused(machine, sent(house, machine, house.header(machine, outcomes, **change), outcomes), code)


def test_votes_for_another_header_are_none(house, machine, refused):
    outcomes = [house.outcome(1)]
    header = house.header(machine, outcomes)
    other = house.votes(machine, replace(header, time_us=1)).as_map()
    refused(machine, sent(house, machine, header, outcomes, certificate=other), "certificate.signature")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ({"kind": Kind.WON, "amount": 81}, "auction.amount"),
        ({"kind": Kind.UNREVEALED, "amount": 101}, "auction.amount"),
        ({"tier": 1}, "auction.line"),
    ],
    ids=["cap", "bond", "tier"],
)
def test_an_outcome_moves_no_more_than_is_reserved(house, machine, refused, outcome, code):
    outcomes = [replace(house.outcome(1), **outcome)]
    refused(machine, sent(house, machine, house.header(machine, outcomes), outcomes), code)


def test_one_bond_too_few_settles_nothing_of_a_window(house, machine, refused):
    outcomes = [house.outcome(number, Kind.WON, 1) for number in range(1, 7)]
    refused(machine, sent(house, machine, house.header(machine, outcomes), outcomes), "auction.line")


def test_headers_without_commits_keep_the_chain_going(house, machine):
    first, _ = house.settle(machine)
    second, _ = house.settle(machine, number=1)
    assert second.parent == first.digest()
    assert load_settled(machine.state, TARGET).sequence == 2


def test_a_gap_is_let_be_in_the_last_epoch_and_nothing_goes_back(house, machine, refused, conserved):
    missing = house.header(machine, [house.outcome(1)])
    behind = house.header(machine, [house.outcome(2, Kind.WON, 5)], number=1, sequence=2, parent=missing.digest())
    house.pass_to(machine, 5)
    refused(machine, sent(house, machine, behind, [house.outcome(2, Kind.WON, 5)]), "auction.order")
    house.pass_to(machine, 6)
    house.do(machine, "auction.settle", house.parts(machine, behind, [house.outcome(2, Kind.WON, 5)])[0], fee=0)
    refused(machine, sent(house, machine, missing, [house.outcome(1)]), "auction.settled")
    house.pass_to(machine, 7)
    late = house.header(machine, [house.outcome(3)], number=2)
    refused(machine, sent(house, machine, late, [house.outcome(3)]), "auction.settle_late")
    house.do(machine, "auction.reclaim", {"epoch": 3, "target": TARGET, "tier": 0})
    assert held(house, machine) == (200_000 - 5, 0)
    conserved(machine)


def test_a_halt_settles_what_was_open_and_nothing_later(house, machine, refused):
    open_before, outcomes = house.header(machine, [house.outcome(1)]), [house.outcome(1)]
    house.do(machine, "auction.halt", {"reasons": bytes(32)}, approvals=QUORUM)
    late = house.header(machine, outcomes, number=200)
    refused(machine, sent(house, machine, late, outcomes), "auction.halted")
    house.do(machine, "auction.settle", house.parts(machine, open_before, outcomes)[0], fee=0)
    house.run(machine, step_ms=60_000)
    refused(machine, sent(house, machine, late, outcomes), "auction.settle_late")


def test_an_epoch_without_committee_settles_nothing(house, machine, refused):
    outcomes = [house.outcome(1)]
    header = house.header(machine, outcomes)
    votes = house.votes(machine, header).as_map()
    body = LedgerSettlement(header.ledger_id).commands(header, house.votes(machine, header), outcomes)[0][1]
    house.pass_to(machine, 4)
    other = replace(header, epoch=4, index=400_000)
    wrong = body | {"header": other.encode(), "certificate": votes}
    refused(machine, house.make(machine, "auction.settle", wrong, fee=0), "auction.no_committee")


def test_a_missed_service_level_is_credited_by_the_coordinator(house, conserved):
    level = ServiceLevel("gold", 300, 30)
    machine = house.opened(kind="enterprise", owner=house.account(house.other), sla=level)
    house.line(machine, 5)
    coordinator = house.account(house.coordinator(machine))
    stake = load_stake(machine.state, coordinator).bonded
    _, events = house.settle(machine, house.outcome(1))
    assert [event.kind for event in events] == ["auction.settled"]
    purse = balance(machine.state, house.account(house.other), "BPI")
    number = 300_001
    late = (number + 1) * 100_000 + 300_001
    _, events = house.settle(machine, house.outcome(2), number=1, time_us=late)
    assert [event.kind for event in events] == ["auction.settled", "auction.missed"]
    assert load_stake(machine.state, coordinator).bonded == stake - 30
    assert balance(machine.state, house.account(house.other), "BPI") == purse + 30
    conserved(machine)


@pytest.fixture
def lost(house, machine):
    """A window of two commits, the second of which lost 50 as unrevealed."""
    outcomes = (house.outcome(1, Kind.WON, 10), house.outcome(2, Kind.UNREVEALED, 50))
    header, _ = house.settle(machine, *outcomes)
    return machine, header, outcomes[1].commit_id


def refunding(house, machine, commit_id, receipt, reveals=None):
    body = {"commit_id": commit_id, "receipt": receipt, "reveals": reveals}
    return house.make(machine, "auction.refund", body, house.other)


@pytest.mark.parametrize("case", [(None, 0), ((1,), 0), ((0,), 1)], ids=["no-list", "listed", "left-out"])
def test_a_timely_reveal_brings_the_amount_back_at_the_cost_of_who_passed_it_over(house, lost, case, conserved):
    (machine, header, commit_id), (positions, seat) = lost, case
    reveals = None if positions is None else house.reveals(machine, header, positions)
    account = committee_of(machine.state, 3).seats[seat].account
    stake, purse = load_stake(machine.state, account).bonded, balance(machine.state, house.account(), "BPI")
    signed = refunding(house, machine, commit_id, house.receipt(machine, header, commit_id), reveals)
    (result,) = house.run(machine, signed)
    assert result.error is None
    assert result.events[0].fields["at_fault"] == account
    assert load_stake(machine.state, account).bonded == stake - 50
    assert balance(machine.state, house.account(), "BPI") == purse + 50
    assert load_forfeit(machine.state, commit_id).is_refunded
    again = refunding(house, machine, commit_id, house.receipt(machine, header, commit_id), reveals)
    assert house.run(machine, again)[0].error.code == "auction.refunded"
    conserved(machine)


def test_receipts_that_show_no_timely_reveal_bring_nothing_back(house, lost, refused):
    machine, header, commit_id = lost
    late = house.receipt(machine, header, commit_id, received_us=header.window.opens_us + 300_000)
    other = replace(header, index=header.index + 1)
    unfit = house.reveals(machine, replace(header, commits=99), ())
    cases = [
        (late, None, "auction.receipt"),
        (house.receipt(machine, header, bytes(32)), None, "auction.receipt"),
        (house.receipt(machine, other, commit_id), None, "auction.receipt"),
        (house.receipt(machine, header, commit_id, signer=house.node), None, "reveal.receipt"),
        (house.receipt(machine, header, commit_id), house.reveals(machine, header, (0,), seat=2), "auction.receipt"),
        (house.receipt(machine, header, commit_id), unfit, "reveal.list"),
    ]
    for receipt, reveals, code in cases:
        refused(machine, refunding(house, machine, commit_id, receipt, reveals), code)
    won = house.receipt(machine, header, bytes([1]) * 32)
    refused(machine, refunding(house, machine, bytes([1]) * 32, won), "auction.forfeit")


def test_a_refund_needs_the_committee_that_gave_the_receipt(house, lost, refused):
    machine, header, commit_id = lost
    receipt = house.receipt(machine, header, commit_id)
    house.pass_to(machine, 34)
    house.draw(machine, 45)
    house.pass_to(machine, 35)
    refused(machine, refunding(house, machine, commit_id, receipt), "auction.no_committee")


def test_offences_count_once_their_epoch_is_over_for_everybody(house, lost):
    machine, _, _ = lost
    account = house.account()
    assert [offences_before(machine.state, account, epoch) for epoch in (3, 4, 5, 148, 149)] == [0, 0, 1, 1, 0]
    house.settle(machine, house.outcome(3, Kind.UNREVEALED, 1), house.outcome(4, Kind.UNREVEALED, 1), number=1)
    assert offences_before(machine.state, account, 5) == 3


def test_a_seat_that_voted_for_two_headers_is_slashed_once(house, machine, refused, conserved):
    outcomes = [house.outcome(1)]
    first = house.header(machine, outcomes)
    second = replace(first, time_us=first.time_us + 1)

    def body(header, other, seats, others):
        return {
            "first": header.encode(),
            "first_votes": house.votes(machine, header, seats).as_map(),
            "second": other.encode(),
            "second_votes": house.votes(machine, other, others).as_map(),
        }

    def report(found):
        return house.make(machine, "auction.report_headers", found, house.other)

    refused(machine, report(body(first, first, (0,), (0,))), "auction.evidence")
    refused(machine, report(body(first, second, (0,), (1,))), "auction.evidence")
    refused(machine, report(body(first, replace(second, index=first.index + 1), (0,), (0,))), "auction.evidence")
    refused(machine, report(body(first, second, (0,), (0,)) | {"first": b"\x80"}), "header.format")
    foreign = [replace(header, ledger_id="economy:" + "0" * 64) for header in (first, second)]
    refused(machine, report(body(*foreign, (0,), (0,))), "chain.ledger")
    forged = body(first, second, (0,), (0,)) | {"second_votes": house.votes(machine, first, (0,)).as_map()}
    refused(machine, report(forged), "certificate.signature")
    nobody = [replace(header, epoch=9) for header in (first, second)]
    lonely = {"first_votes": house.votes(machine, first, (0,)).as_map()}
    lonely |= {"second_votes": house.votes(machine, second, (0,)).as_map()}
    lonely |= {"first": nobody[0].encode(), "second": nobody[1].encode()}
    refused(machine, report(lonely), "auction.no_committee")
    account = committee_of(machine.state, 3).seats[1].account
    stake = load_stake(machine.state, account).bonded
    house.do(machine, "auction.report_headers", body(first, second, (0, 1), (1, 2)), house.other)
    assert load_stake(machine.state, account).bonded == stake - stake * 500 // 10_000
    refused(machine, report(body(first, second, (1,), (1,))), "validator.punished")
    (result,) = house.run(machine, report(body(first, second, (1, 2), (1, 2))))
    assert {event.fields["account"] for event in result.events} == {committee_of(machine.state, 3).seats[2].account}
    conserved(machine)


def test_a_coordinator_that_signed_two_sets_is_slashed_once(house, machine, refused, conserved):
    def report(**changes):
        body = {"first": house.commit_set(machine, mark=1), "second": house.commit_set(machine, mark=2)} | changes
        return house.make(machine, "auction.report_sets", body, house.other)

    refused(machine, report(second=house.commit_set(machine, mark=1)), "auction.evidence")
    refused(machine, report(second=house.commit_set(machine, mark=2, number=1)), "auction.evidence")
    refused(machine, report(second=b"\x80"), "commit.set")
    nobody = {name: house.commit_set(machine, epoch=9, mark=mark, signer=house.node) for name, mark in PAIR}
    refused(machine, report(**nobody), "auction.no_committee")
    refused(machine, report(second=house.commit_set(machine, mark=2, signer=house.node)), "commit.set")
    tampered = decode(house.commit_set(machine, mark=2)) | {"count": 9}
    refused(machine, report(second=encode(tampered)), "proof.signature")
    (result,) = house.run(machine, report())
    assert result.events[0].fields["account"] == house.account(house.coordinator(machine))
    refused(machine, report(), "validator.punished")
    conserved(machine)


def test_what_is_played_can_never_be_settled(house, machine, refused):
    played = mock_ledger_id(house.genesis.ledger_id)
    assert LEDGER_ID_FORM.fullmatch(played)
    assert played != house.genesis.ledger_id
    outcomes = [house.outcome(1, Kind.WON, 80), house.outcome(2, Kind.UNREVEALED, 50)]
    header = house.header(machine, outcomes, ledger_id=played)
    certificate = house.votes(machine, header)
    refused(machine, sent(house, machine, header, outcomes), "chain.ledger")
    facts = {"committee": committee_of(machine.state, 3), "terms": terms_of(machine.state, TARGET, 3)}
    facts |= {"rates": Rates(5000, 2000), "partners": {}}
    record = decode(MockSettlement(played).record(header, certificate, outcomes, **facts))
    assert (record["revenue"], record["forfeited"], record["ledger_id"]) == (80, 50, played)
    assert sum(sum(record[name].values()) for name in ("wallets", "partners", "committee")) == 80
    with pytest.raises(RefusedError):
        LedgerSettlement(house.genesis.ledger_id).commands(header, certificate, outcomes)
    with pytest.raises(RefusedError):
        MockSettlement(house.genesis.ledger_id + "0").record(header, certificate, outcomes, **facts)
    with pytest.raises(BpciError) as caught:
        MockSettlement(played).record(header, certificate, outcomes[:1], **facts)
    assert caught.value.code == "proof.merkle"
