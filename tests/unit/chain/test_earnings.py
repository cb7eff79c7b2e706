"""What accounts have earned with their seats, as the state keeps it."""

from bpci_node.auction.outcome import Kind
from bpci_node.chain.assets import balance
from bpci_node.chain.draw import committee_of
from bpci_node.chain.earnings import Earnings, earnings_of, note_pay
from bpci_node.chain.state import Overlay


def test_what_a_settlement_pays_its_seats_is_what_they_have_earned(house):
    machine = house.opened()
    house.line(machine, 5)
    accounts = [seat.account for seat in committee_of(machine.state, 3).seats]
    purses = {account: balance(machine.state, account, "BPI") for account in accounts}
    house.settle(machine, house.outcome(1, Kind.WON, 80), house.outcome(2, Kind.WON, 79))
    paid = {account: balance(machine.state, account, "BPI") - purses[account] for account in accounts}
    assert sum(paid.values()) > 0
    for account, amount in paid.items():
        found = earnings_of(machine.state, account, "BPI")
        assert found == (Earnings(amount, 1, 3, amount) if amount else None)
    assert earnings_of(machine.state, house.account(), "FLX") is None


def test_sums_grow_and_the_latest_epoch_stands_apart(house):
    state = Overlay(house.opened().state)
    for epoch, amount in ((5, 10), (5, 7), (6, 3), (5, 4), (6, 0)):
        note_pay(state, "bpa1x", "BPI", epoch, amount)
    assert earnings_of(state, "bpa1x", "BPI") == Earnings(24, 4, 6, 3)
