"""Windows of a target with a service level that ended void, and what a report of them does and does not do."""

from dataclasses import replace

import pytest

from bpci_node.auction.commit_set import CommitSet
from bpci_node.auction.window import WindowId
from bpci_node.chain.assets import balance
from bpci_node.chain.service import is_answered
from bpci_node.chain.stake import load_stake
from bpci_node.chain.target_terms import ServiceLevel

TARGET = "eip155:1"
LEVEL = ServiceLevel("gold", 300, 30)
FEE = 2


@pytest.fixture
def machine(house):
    """Epoch 3, in which an enterprise of the other holder's is auctioned."""
    found = house.opened(kind="enterprise", owner=house.account(house.other), sla=LEVEL)
    house.line(found, 5)
    return found


def report(house, machine, void, **changes):
    return house.make(machine, "auction.report_miss", house.miss(machine, void) | changes, house.node)


def test_a_void_window_costs_its_coordinator_once_and_brings_the_reporter_nothing(house, machine, refused, conserved):
    coordinator, owner = house.account(house.coordinator(machine)), house.account(house.other)
    void = house.commit_set(machine, number=4)
    house.pass_to(machine, 7)
    stake = load_stake(machine.state, coordinator).bonded
    purses = [balance(machine.state, account, "BPI") for account in (owner, house.account())]
    (result,) = house.run(machine, report(house, machine, void))
    (event,) = result.events
    assert (event.kind, event.fields["coordinator"], event.fields["amount"]) == ("auction.missed_void", coordinator, 30)
    assert load_stake(machine.state, coordinator).bonded == stake - 30
    after = [balance(machine.state, account, "BPI") for account in (owner, house.account())]
    assert after == [purses[0] + 30, purses[1] - FEE]
    refused(machine, report(house, machine, void), "auction.answered")
    # Nor by another set of the same window, which its coordinator may have signed meanwhile.
    refused(machine, report(house, machine, house.commit_set(machine, number=4, mark=1)), "auction.answered")
    conserved(machine)


def test_no_report_makes_a_settled_window_void(house, machine, refused):
    settled, coordinator = (0, 1, 300), house.account(house.coordinator(machine))
    for number in settled:
        house.settle(machine, house.outcome(number % 200 + 1), number=number)
    first = house.header(machine, []).index
    answered = [number for number in range(600) if is_answered(machine.state, WindowId(TARGET, 100, first + number), 3)]
    assert answered == list(settled)
    house.pass_to(machine, 7)
    stake = load_stake(machine.state, coordinator).bonded
    for number in settled:
        refused(machine, report(house, machine, house.commit_set(machine, number=number)), "auction.answered")
    assert load_stake(machine.state, coordinator).bonded == stake


def test_a_mark_of_one_epoch_answers_for_no_other(house, machine):
    house.settle(machine, house.outcome(1), number=5)
    window = house.header(machine, [], number=5).window
    assert is_answered(machine.state, window, 3)
    later = replace(window, index=window.index + 16 * 100_000)
    assert not is_answered(machine.state, later, 19)


def test_a_window_is_reported_when_it_cannot_be_settled_any_more_and_not_for_ever(house, machine, refused):
    void = house.commit_set(machine)
    for epoch in (3, 6):
        house.pass_to(machine, epoch, part=900)
        assert refused(machine, report(house, machine, void), "auction.early").details["epoch"] == 7
    house.pass_to(machine, 14)
    machine.check(report(house, machine, void), machine.time_ms + 1000)
    house.pass_to(machine, 15)
    refused(machine, report(house, machine, void), "auction.late")


def test_a_report_holds_what_the_coordinator_and_two_thirds_signed(house, machine, refused):
    void = house.commit_set(machine)
    house.pass_to(machine, 7)
    refused(machine, report(house, machine, void, commit_set=b"\x80"), "commit.set")
    foreign = house.commit_set(machine, ledger_id="economy:" + "0" * 64)
    refused(machine, report(house, machine, foreign), "commit.set")
    refused(machine, report(house, machine, house.commit_set(machine, signer=house.node)), "commit.set")
    tampered = replace(CommitSet.decode(void), closed_us=9)
    refused(machine, report(house, machine, tampered.encode()), "proof.signature")
    few = house.miss(machine, void, seats=(0,))
    refused(machine, report(house, machine, void, **few), "certificate.weight")
    other = house.miss(machine, house.commit_set(machine, mark=1))["certificate"]
    refused(machine, report(house, machine, void, certificate=other), "certificate.signature")
    certificate = house.miss(machine, void)["certificate"]
    nobody = house.commit_set(machine, epoch=9, signer=house.node)
    early = house.commit_set(machine, number=-1)
    elsewhere = replace(CommitSet.decode(void), window=WindowId("eip155:10", 100, 300_000)).encode()
    for wrong, code in ((nobody, "no_committee"), (early, "epoch"), (elsewhere, "target")):
        body = {"commit_set": wrong, "certificate": certificate}
        refused(machine, house.make(machine, "auction.report_miss", body), f"auction.{code}")


def test_a_window_without_commits_or_a_level_in_bpi_is_worth_nothing(house, machine, refused):
    house.pass_to(machine, 7)
    refused(machine, report(house, machine, house.commit_set(machine, names=[])), "auction.level")
    coordinator = house.account(house.coordinator(machine))
    for terms in (
        {},
        {"kind": "enterprise", "owner": house.account(house.other), "sla": LEVEL, "asset": "NEX"},
        {"kind": "enterprise", "owner": coordinator, "sla": LEVEL},
    ):
        other = house.opened(**terms)
        assert house.account(house.coordinator(other)) == coordinator
        house.pass_to(other, 7)
        refused(other, report(house, other, house.commit_set(other)), "auction.level")


def test_a_halt_excuses_windows_that_it_kept_from_being_settled(house, machine, refused):
    void = house.commit_set(machine)
    cause = {"reasons": bytes(32)}
    house.do(machine, "auction.halt", cause, approvals=(12, 13), fee=0)
    house.pass_to(machine, 7)
    refused(machine, report(house, machine, void), "auction.halted")
    house.do(machine, "auction.resume", cause, approvals=(12, 13), fee=0)
    refused(machine, report(house, machine, void), "auction.halted")


def test_a_halt_that_came_later_excuses_nothing(house, machine):
    void = house.commit_set(machine)
    house.pass_to(machine, 7)
    house.do(machine, "auction.halt", {"reasons": bytes(32)}, approvals=(12, 13), fee=0)
    house.do(machine, "auction.report_miss", house.miss(machine, void))


def test_nobody_pays_for_a_coordinator_that_has_nothing_left(house, machine, refused, conserved):
    void, signer = house.commit_set(machine), house.coordinator(machine)
    stake = load_stake(machine.state, house.account(signer)).bonded
    house.do(machine, "validator.exit", {}, signer)
    house.do(machine, "stake.withdraw", {"amount": stake}, signer)
    house.pass_to(machine, 7)
    house.do(machine, "stake.claim", {}, signer)
    refused(machine, report(house, machine, void), "auction.no_stake")
    conserved(machine)


COMMITS = [bytes([number]) * 32 for number in (21, 22, 23)]


@pytest.mark.parametrize("held", [COMMITS[:1] + COMMITS[2:], [COMMITS[0], COMMITS[2], COMMITS[1]], [], COMMITS[:1]])
def test_a_coordinator_that_left_a_commit_out_or_moved_it_is_slashed_once(house, machine, refused, conserved, held):
    receipt = house.commit_receipts(machine, COMMITS)[1]
    account = house.account(house.coordinator(machine))
    stake = load_stake(machine.state, account).bonded
    body = house.omission(machine, receipt, held)
    events = house.do(machine, "auction.report_omission", body, house.other)
    assert [event.kind for event in events] == ["validator.slashed", "validator.jailed"]
    assert load_stake(machine.state, account).bonded == stake - stake * 500 // 10_000
    refused(machine, house.make(machine, "auction.report_omission", body), "validator.punished")
    # A second set of the same window is the same lie.
    sets = {"first": body["commit_set"], "second": house.commit_set(machine, names=COMMITS)}
    refused(machine, house.make(machine, "auction.report_sets", sets), "validator.punished")
    conserved(machine)


def test_an_honest_coordinator_is_not_slashed_by_its_receipts(house, machine, refused):
    receipts = house.commit_receipts(machine, COMMITS)
    honest, nobody = house.commit_set(machine, names=COMMITS), house.commit_set(machine, epoch=9, signer=house.node)
    mine = house.omission(machine, receipts[1], COMMITS[:1])
    moved = house.omission(machine, receipts[1], [COMMITS[0], COMMITS[2], COMMITS[1]])
    later = house.commit_receipts(machine, COMMITS, number=1)
    forged = house.commit_receipts(machine, COMMITS, signer=house.node)
    foreign = house.commit_receipts(machine, COMMITS, ledger_id="economy:" + "0" * 64)
    cases = [
        (mine | {"commit_set": honest}, "commit.not_omitted"),
        (moved | {"commit_set": honest}, "proof.merkle"),
        (moved | {"commit_id": COMMITS[1]}, "commit.not_omitted"),
        (mine | {"receipt": later[1].encode()}, "commit.not_omitted"),
        (mine | {"receipt": forged[1].encode()}, "commit.receipt"),
        (mine | {"receipt": foreign[1].encode()}, "commit.receipt"),
        (mine | {"receipt": b"\x80"}, "commit.receipt"),
        (mine | {"commit_set": b"\x80"}, "commit.set"),
        (mine | {"commit_set": house.commit_set(machine, names=[], signer=house.node)}, "commit.set"),
        (mine | {"commit_set": replace(CommitSet.decode(honest), count=1).encode()}, "proof.signature"),
        (mine | {"commit_set": nobody}, "auction.no_committee"),
    ]
    for body, code in cases:
        refused(machine, house.make(machine, "auction.report_omission", body), code)
