import pytest

from bpci_node.chain.emergency import GRACE_MS, halt_of
from bpci_node.chain.escrow import load_escrow
from bpci_node.chain.lines import MAX_BONDS, LineId, load_line
from bpci_node.chain.target_terms import Tier
from bpci_node.chain.targets import MAX_TARGETS, MAX_VERSIONS, list_targets, store_terms, terms_of
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import NotFoundError
from tests.unit.chain.test_every_rule import altered

QUORUM = (12, 13)
TARGET = "eip155:1"
CAUSE = {"reasons": bytes(32)}
CHEAP = Tier(0, 1, 1)


@pytest.fixture
def machine(house):
    return house.opened()


def escrow(house, machine, owner=None):
    return load_escrow(machine.state, house.account(owner or house.node), WALLETS["auction"], "BPI").amount


def reservation(house, machine, signer=None, **changes):
    item = {"owner": house.account(), "tier": 0, "count": 1}
    body = {"epoch": 3, "target": TARGET, "items": [item | changes.pop("item", {})]} | changes
    return house.make(machine, "auction.reserve", body, signer or house.coordinator(machine), fee=0)


def reclaim(house, machine, signer=None, *, epoch=3, tier=0):
    body = {"epoch": epoch, "target": TARGET, "tier": tier}
    return house.make(machine, "auction.reclaim", body, signer)


def test_a_line_is_taken_from_the_escrow_whole(house, machine, conserved):
    house.line(machine, 5)
    house.line(machine, 2)
    house.line(machine, 3, owner=house.other, tier=1)
    name = LineId(3, TARGET, house.account(), 0)
    line = load_line(machine.state, name)
    assert (line.asset, line.bond, line.cap, line.open, line.reserved) == ("BPI", 100, 80, 7, 7)
    assert escrow(house, machine) == 200_000 - 700
    assert escrow(house, machine, house.other) == 200_000 - 3000
    conserved(machine)


def test_what_was_announced_to_leave_counts_until_it_has_left(house, machine):
    body = {"holder": WALLETS["auction"], "asset": "BPI", "amount": 200_000}
    house.do(machine, "escrow.announce", body)
    house.line(machine, 2000)
    assert escrow(house, machine) == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"epoch": 2}, "auction.epoch"),
        ({"epoch": 4}, "auction.epoch"),
        ({"target": "eip155:10"}, "auction.target"),
        ({"item": {"tier": 7}}, "auction.tier"),
        ({"item": {"count": 2001}}, "escrow.amount"),
        ({"items": []}, "format.body"),
        ({"item": {"count": 0}}, "format.body"),
        ({"item": {"owner": "me"}}, "format.body"),
    ],
    ids=["over", "not-drawn", "target", "tier", "escrow", "empty", "none", "owner"],
)
def test_a_line_that_can_not_be_is_refused(house, machine, refused, changes, code):
    refused(machine, reservation(house, machine, **changes), code)


def test_nobody_but_the_coordinator_reserves(house, machine, refused):
    refused(machine, reservation(house, machine, house.node), "auction.coordinator")


def test_an_epoch_for_which_nobody_drew_has_no_lines(house, machine, refused):
    house.pass_to(machine, 4)
    refused(machine, reservation(house, machine, house.node, epoch=4), "auction.no_committee")


def test_a_line_has_a_bounded_number_of_bonds(house, machine, refused):
    cheap = altered(machine, lambda state: store_terms(state, TARGET, house.terms(tiers=(CHEAP,)), 3))
    body = {"holder": WALLETS["auction"], "asset": "BPI", "amount": 700_000}
    house.do(cheap, "escrow.deposit", body)
    house.line(cheap, 600_000)
    refused(cheap, reservation(house, cheap, item={"count": MAX_BONDS}), "escrow.amount")
    house.do(cheap, "asset.transfer", {"asset": "BPI", "to": house.account(), "amount": 300_000}, house.other)
    house.do(cheap, "escrow.deposit", body | {"amount": 350_000})
    refused(cheap, reservation(house, cheap, item={"count": 400_001}), "auction.bonds")


def test_an_owner_takes_back_what_nobody_settled_three_epochs_later(house, machine, refused, conserved):
    house.line(machine, 5)
    refused(machine, reclaim(house, machine, house.other), "auction.line")
    for epoch in (4, 6):
        house.pass_to(machine, epoch)
        refused(machine, reclaim(house, machine), "auction.early")
    house.pass_to(machine, 7)
    house.do(machine, "auction.reclaim", {"epoch": 3, "target": TARGET, "tier": 0})
    assert escrow(house, machine) == 200_000
    assert load_line(machine.state, LineId(3, TARGET, house.account(), 0)) is None
    conserved(machine)
    refused(machine, reclaim(house, machine), "auction.line")


def test_the_next_coordinator_reserves_as_soon_as_it_is_drawn(house, machine, refused):
    house.draw(machine, 45, 46)
    house.pass_to(machine, 3, part=749)
    with pytest.raises(AssertionError):
        house.line(machine, epoch=4)
    house.pass_to(machine, 3, part=750)
    house.line(machine, epoch=4)
    assert load_line(machine.state, LineId(4, TARGET, house.account(), 0)).open == 5


def test_a_halt_stops_reserving_and_frees_every_bond(house, machine, refused, conserved):
    house.line(machine, 5)
    resume = house.make(machine, "auction.resume", CAUSE, approvals=QUORUM)
    refused(machine, resume, "auction.running")
    refused(machine, house.make(machine, "auction.halt", CAUSE), "access.quorum")
    house.do(machine, "auction.halt", CAUSE, approvals=QUORUM)
    since = (machine.time_ms - house.genesis.time_ms) * 1000
    assert halt_of(machine.state).covers(since)
    assert not halt_of(machine.state).covers(since - 1)
    refused(machine, house.make(machine, "auction.halt", CAUSE, approvals=QUORUM), "auction.halted")
    refused(machine, reservation(house, machine), "auction.halted")
    refused(machine, reclaim(house, machine), "auction.early")
    house.run(machine, step_ms=GRACE_MS)
    house.do(machine, "auction.reclaim", {"epoch": 3, "target": TARGET, "tier": 0})
    assert escrow(house, machine) == 200_000
    refused(machine, house.make(machine, "auction.resume", CAUSE), "access.quorum")
    house.do(machine, "auction.resume", CAUSE, approvals=QUORUM)
    house.line(machine, 5)
    refused(machine, reclaim(house, machine), "auction.early")
    assert not halt_of(machine.state).covers((machine.time_ms - house.genesis.time_ms) * 1000)
    conserved(machine)


def test_terms_are_in_force_from_the_epoch_after_the_next_on(house, machine):
    before = terms_of(machine.state, TARGET, 3)
    house.set_target(machine, gas_limit=10**7)
    house.set_target(machine, gas_limit=10**8)
    assert [terms_of(machine.state, TARGET, epoch).gas_limit for epoch in (3, 4, 5, 9)] == [10**6, 10**6, 10**8, 10**8]
    house.do(machine, "auction.set_target", {"target": TARGET, "terms": None}, approvals=QUORUM)
    assert terms_of(machine.state, TARGET, 4) == before
    for epoch in (1, 5):
        with pytest.raises(NotFoundError) as caught:
            terms_of(machine.state, TARGET, epoch)
        assert caught.value.code == "auction.target"


def test_only_guardians_and_votes_set_terms(house, machine, refused):
    body = {"target": TARGET, "terms": house.terms().as_map()}
    refused(machine, house.make(machine, "auction.set_target", body), "access.quorum")
    house.do(machine, "stake.deposit", {"amount": 1000})
    change = {"kind": "auction.set_target", "body": {"target": TARGET, "terms": None}}
    house.do(machine, "governance.propose", {"reasons": bytes(32), "actions": [change]})
    house.do(machine, "governance.vote", {"proposal": 1, "choice": "yes"})
    for _ in range(10):
        house.run(machine)
    house.do(machine, "governance.execute", {"proposal": 1})
    with pytest.raises(NotFoundError):
        terms_of(machine.state, TARGET, 5)


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ((TARGET, {"asset": "XYZ"}), "asset.unknown"),
        (("eip155:10", None), "auction.target"),
        (("eip155:10", {}), "format.body"),
    ],
    ids=["asset", "unknown", "another"],
)
def test_terms_that_can_not_be_are_refused(house, machine, refused, case, code):
    target, change = case
    body = {"target": target, "terms": None if change is None else house.terms(**change).as_map()}
    refused(machine, house.make(machine, "auction.set_target", body, approvals=QUORUM), code)


def test_a_ledger_knows_a_bounded_number_of_targets_and_of_terms(house, machine, refused):
    def fill(state):
        for number in range(2, MAX_TARGETS + 1):
            store_terms(state, f"eip155:{number}", house.terms(target=f"eip155:{number}"), 3)
        for epoch in range(4, 30):
            store_terms(state, TARGET, house.terms(gas_limit=10**6 + epoch), epoch)

    full = altered(machine, fill)
    assert len(list_targets(full.state)) == MAX_TARGETS
    terms = house.terms(target="eip155:99")
    body = {"target": terms.target, "terms": terms.as_map()}
    refused(full, house.make(full, "auction.set_target", body, approvals=QUORUM), "auction.targets")
    assert terms_of(full.state, TARGET, 29 - MAX_VERSIONS + 1).gas_limit == 10**6 + 29 - MAX_VERSIONS + 1
    with pytest.raises(NotFoundError):
        terms_of(full.state, TARGET, 29 - MAX_VERSIONS)
