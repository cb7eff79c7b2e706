from bpci_node.chain.draw import committee_of
from bpci_node.chain.epochs import load_epochs
from bpci_node.runtime.auction_frame import seats_ahead
from tests.unit.chain.conftest import BIRTH_MS, House


def ahead(house, machine, number, *, ticket=0):
    now_us = (machine.time_ms - BIRTH_MS) * 1000
    return seats_ahead(machine.state, house.account(house.signer(number)), now_us, ticket=ticket)


def test_a_seat_lies_ahead_as_soon_as_a_ticket_is_in_until_its_epoch_ends_or_others_were_drawn():
    house = House()
    machine = house.started()
    for number in (40, 41, 42, 43):
        house.validator(machine, number)
    house.pass_to(machine, 2)
    assert ahead(house, machine, 40) == set()
    house.draw(machine, 40)
    assert ahead(house, machine, 40) == {3}
    house.draw(machine, 41, 42, 43)
    seated = {seat.account for seat in committee_of(machine.state, 3).seats}
    assert len(seated) == 3
    for part in (100, 750, 990):
        house.pass_to(machine, 2, part=part)
        for number in (40, 41, 42, 43):
            expected = {3} if house.account(house.signer(number)) in seated else set()
            assert ahead(house, machine, number) == expected
    house.pass_to(machine, 3, part=500)
    assert [ahead(house, machine, 40 + step) for step in range(4)].count({3}) == 3
    house.pass_to(machine, 4)
    assert [ahead(house, machine, 40 + step) for step in range(4)] == [set()] * 4


def test_a_ticket_that_may_be_in_a_block_not_seen_yet_counts_until_the_draw_is_known():
    house = House()
    machine = house.started()
    house.validator(machine, 40)
    house.pass_to(machine, 2)
    assert ahead(house, machine, 40, ticket=2) == set()
    for part, expected in ((10, {3}), (800, {3}), (900, set())):
        house.pass_to(machine, 2, part=part)
        assert ahead(house, machine, 40, ticket=3) == expected
    assert load_epochs(machine.state).is_drawn(3, machine.time_ms - BIRTH_MS)
