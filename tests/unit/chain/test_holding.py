"""Vesting, stakes, escrows and bonds: what is an account's and can't be spent right now."""

import pytest

from bpci_node.chain.assets import balance
from bpci_node.chain.bond import load_bond
from bpci_node.chain.escrow import EscrowRecord, load_escrow
from bpci_node.chain.parameters import Schedule
from bpci_node.chain.stake import load_stake
from bpci_node.chain.vesting import load_grant
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import FormatError

BOND = bytes([7]) * 32


@pytest.fixture
def machine(economy):
    return economy.started()


def have(economy, machine, signer=None, asset="BPI"):
    return balance(machine.state, economy.account(signer), asset)


def test_a_grant_vests_with_block_time(economy, machine, refused, conserved):
    claim = {"grant_id": (3).to_bytes(16)}  # the fourth allocation of the genesis: 900 NEX over ten seconds
    assert have(economy, machine, economy.other, "NEX") == 0
    economy.do(machine, "vesting.claim", claim, economy.other, step_ms=2000)
    assert have(economy, machine, economy.other, "NEX") == 900 * 3000 // 10_000
    conserved(machine)
    economy.do(machine, "vesting.claim", claim, economy.other, step_ms=60_000)
    assert have(economy, machine, economy.other, "NEX") == 900
    refused(machine, economy.make(machine, "vesting.claim", claim, economy.other), "vesting.unknown")
    refused(machine, economy.make(machine, "vesting.claim", claim), "vesting.unknown")
    conserved(machine)


def test_nothing_vests_before_the_cliff(economy, machine, refused, conserved):
    start = machine.time_ms + 10_000
    schedule = {"start_ms": start, "cliff_ms": start + 5000, "end_ms": start + 10_000}
    body = {"grant_id": bytes(16), "to": economy.account(economy.other), "asset": "GEN", "amount": 7}
    economy.do(machine, "vesting.grant", body | {"schedule": schedule})
    taken = economy.make(machine, "vesting.grant", body | {"schedule": schedule, "amount": 1})
    refused(machine, taken, "vesting.exists")
    refused(machine, economy.make(machine, "vesting.claim", {"grant_id": bytes(16)}, economy.other), "vesting.nothing")
    assert load_grant(machine.state, economy.account(economy.other), bytes(16)).claimed == 0
    conserved(machine)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schedule": {"start_ms": 5, "cliff_ms": 4, "end_ms": 9}}, "format.schedule"),
        ({"schedule": {"start_ms": 5, "cliff_ms": 5, "end_ms": 5}}, "format.schedule"),
        ({"schedule": {"start_ms": 5, "cliff_ms": 10, "end_ms": 9}}, "format.schedule"),
        ({"schedule": {"start_ms": 5, "cliff_ms": 6}}, "format.body"),
        ({"grant_id": bytes(15)}, "format.body"),
        ({"asset": "XXX"}, "asset.unknown"),
        ({"amount": 501}, "asset.balance"),
    ],
    ids=str,
)
def test_a_grant_that_breaks_a_rule_is_refused(economy, machine, refused, change, code):
    body = {"grant_id": bytes(16), "to": economy.account(economy.other), "asset": "GEN", "amount": 7}
    body |= {"schedule": {"start_ms": 0, "cliff_ms": 0, "end_ms": 9}} | change
    refused(machine, economy.make(machine, "vesting.grant", body), code)


def test_a_schedule_never_pays_too_much_nor_falls():
    schedule = Schedule(10, 13, 20)
    shares = [schedule.vested(7, time_ms) for time_ms in range(30)]
    assert shares[12] == 0
    assert shares[13] == 2
    assert shares[20:] == [7] * 10
    assert shares == sorted(shares)
    with pytest.raises(FormatError):
        Schedule(3, 2, 4)


def test_a_stake_stays_liable_for_the_unbonding_time(economy, machine, refused, conserved):
    economy.do(machine, "stake.deposit", {"amount": 500})
    economy.do(machine, "stake.withdraw", {"amount": 200})
    record = load_stake(machine.state, economy.account())
    assert (record.bonded, record.unbonding) == (300, ((200, machine.time_ms + 5000),))
    conserved(machine)
    refused(machine, economy.make(machine, "stake.claim", {}), "stake.nothing")
    before = have(economy, machine)
    economy.do(machine, "stake.claim", {}, step_ms=5000)
    assert have(economy, machine) == before + 200 - 2
    economy.do(machine, "stake.withdraw", {"amount": 300})
    economy.do(machine, "stake.claim", {}, step_ms=5000)
    assert machine.state.get(b"stake/" + economy.account().encode()) is None
    conserved(machine)


def test_stakes_that_break_a_rule_are_refused(economy, machine, refused):
    refused(machine, economy.make(machine, "stake.deposit", {"amount": 1_000_000}), "asset.balance")
    refused(machine, economy.make(machine, "stake.withdraw", {"amount": 1}), "stake.amount")
    economy.do(machine, "stake.deposit", {"amount": 100})
    for _ in range(16):
        economy.do(machine, "stake.withdraw", {"amount": 1}, step_ms=1)
    refused(machine, economy.make(machine, "stake.withdraw", {"amount": 1}), "stake.unbonding")


def reservation(economy, **changes):
    body = {"bond_id": BOND, "owner": economy.account(), "asset": "BPI", "amount": 60}
    return body | {"purpose": "auction.commit", "last_height": 12} | changes


@pytest.fixture
def funded(economy, machine):
    body = {"holder": economy.account(economy.other), "asset": "BPI", "amount": 100}
    economy.do(machine, "escrow.deposit", body)
    return machine


def escrow(economy, machine):
    return load_escrow(machine.state, economy.account(), economy.account(economy.other), "BPI")


def test_a_holder_reserves_and_releases_a_bond(economy, funded, conserved):
    (event,) = economy.do(funded, "bond.reserve", reservation(economy), economy.other)
    assert event.kind == "bond.reserved"
    assert escrow(economy, funded).amount == 40
    conserved(funded)
    economy.do(funded, "bond.release", {"bond_id": BOND}, economy.other)
    assert escrow(economy, funded).amount == 100
    assert load_bond(funded.state, economy.account(economy.other), BOND).status == "released"
    conserved(funded)


def test_a_forfeited_bond_is_the_treasurys(economy, funded, refused, conserved):
    economy.do(funded, "bond.reserve", reservation(economy), economy.other)
    before = balance(funded.state, WALLETS["treasury"], "BPI")
    (event,) = economy.do(funded, "bond.forfeit", {"bond_id": BOND, "reason": bytes([1]) * 32}, economy.other)
    assert event.fields["reason"] == bytes([1]) * 32
    assert balance(funded.state, WALLETS["treasury"], "BPI") == before + 60 + 2
    refused(funded, economy.make(funded, "bond.release", {"bond_id": BOND}, economy.other), "bond.closed")
    conserved(funded)


def test_what_a_holder_repeats_after_a_crash_changes_nothing(economy, funded, refused, conserved):
    release, forfeit = {"bond_id": BOND}, {"bond_id": BOND, "reason": bytes(32)}
    for kind, body in (("bond.reserve", reservation(economy)), ("bond.release", release)):
        economy.do(funded, kind, body, economy.other)
        held = escrow(economy, funded)
        assert economy.do(funded, kind, body, economy.other) == ()
        assert escrow(economy, funded) == held
    conserved(funded)
    for kind, body, code in (
        ("bond.forfeit", forfeit, "bond.closed"),
        ("bond.reserve", reservation(economy), "bond.conflict"),
        ("bond.reserve", reservation(economy, amount=1), "bond.conflict"),
    ):
        refused(funded, economy.make(funded, kind, body, economy.other), code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": 101}, "escrow.amount"),
        ({"asset": "GEN"}, "escrow.amount"),
        ({"last_height": 1}, "bond.expired"),
        ({"purpose": "A"}, "format.body"),
        ({"bond_id": bytes(31)}, "format.body"),
    ],
    ids=str,
)
def test_a_reservation_that_breaks_a_rule_is_refused(economy, funded, refused, change, code):
    refused(funded, economy.make(funded, "bond.reserve", reservation(economy, **change), economy.other), code)


def test_nobody_but_the_holder_reserves_and_closes(economy, funded, refused):
    refused(funded, economy.make(funded, "bond.reserve", reservation(economy)), "escrow.amount")
    economy.do(funded, "bond.reserve", reservation(economy), economy.other)
    refused(funded, economy.make(funded, "bond.release", {"bond_id": BOND}), "bond.unknown")
    refused(funded, economy.make(funded, "bond.forfeit", {"bond_id": BOND, "reason": bytes(32)}), "bond.unknown")


def test_an_owner_takes_back_what_its_holder_left_lying(economy, funded, refused, conserved):
    economy.do(funded, "bond.reserve", reservation(economy, last_height=6), economy.other)
    body = {"holder": economy.account(economy.other), "bond_id": BOND}
    refused(funded, economy.make(funded, "bond.reclaim", body), "bond.early")
    while funded.height < 6:
        economy.run(funded)
    theirs = body | {"holder": economy.account()}
    refused(funded, economy.make(funded, "bond.reclaim", theirs, economy.other), "bond.unknown")
    economy.do(funded, "bond.reclaim", body)
    assert escrow(economy, funded).amount == 100
    conserved(funded)


def test_a_forfeited_bond_is_not_taken_back(economy, funded, refused):
    economy.do(funded, "bond.reserve", reservation(economy, last_height=4), economy.other)
    economy.do(funded, "bond.forfeit", {"bond_id": BOND, "reason": bytes(32)}, economy.other)
    economy.run(funded)
    body = {"holder": economy.account(economy.other), "bond_id": BOND}
    refused(funded, economy.make(funded, "bond.reclaim", body), "bond.closed")


def test_what_leaves_an_escrow_is_announced_and_reservable_until_then(economy, funded, refused, conserved):
    name = {"holder": economy.account(economy.other), "asset": "BPI"}
    refused(funded, economy.make(funded, "escrow.withdraw", name), "escrow.nothing")
    refused(funded, economy.make(funded, "escrow.announce", name | {"amount": 101}), "escrow.amount")
    economy.do(funded, "escrow.announce", name | {"amount": 90})
    refused(funded, economy.make(funded, "escrow.withdraw", name), "escrow.notice")
    economy.do(funded, "bond.reserve", reservation(economy), economy.other)
    assert escrow(economy, funded).leaving == 40
    economy.do(funded, "escrow.withdraw", name, step_ms=3000)
    assert escrow(economy, funded) == EscrowRecord(0)
    conserved(funded)
    economy.do(funded, "bond.release", {"bond_id": BOND}, economy.other)
    refused(funded, economy.make(funded, "escrow.withdraw", name), "escrow.nothing")
    conserved(funded)


def test_a_deposit_that_breaks_a_rule_is_refused(economy, machine, refused):
    body = {"holder": economy.account(economy.other), "asset": "BPI", "amount": 1_000_000}
    refused(machine, economy.make(machine, "escrow.deposit", body), "asset.balance")
    refused(machine, economy.make(machine, "escrow.deposit", body | {"asset": "XXX"}), "asset.unknown")
