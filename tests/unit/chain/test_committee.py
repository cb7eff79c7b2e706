from dataclasses import replace

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.committee import Committee, Seat
from bpci_node.errors import FormatError


def seat(number, weight=10):
    name = number.to_bytes(32)
    return Seat(account_id_of(name), name, number.to_bytes(48), number.to_bytes(1312), weight)


def committee(*weights):
    return Committee(7, tuple(seat(number, weight) for number, weight in enumerate(weights, 1)))


def test_a_committee_comes_back_from_its_map():
    found = committee(5, 6, 7)
    assert Committee.from_map(found.as_map()) == found


def test_its_digest_covers_epoch_order_and_every_field():
    found = committee(5, 6)
    others = [
        replace(found, epoch=8),
        replace(found, seats=found.seats[::-1]),
        *(
            replace(found, seats=(replace(found.seats[0], **{name: value}), found.seats[1]))
            for name, value in (("weight", 4), ("node_key", bytes(32)), ("ml_dsa_key", bytes(1312)))
        ),
    ]
    assert len({item.digest() for item in (found, *others)}) == len(others) + 1


def test_two_thirds_exactly_is_no_majority():
    found = committee(2, 2, 2)
    assert found.total == 6
    assert not found.is_majority(found.weight_of([0, 1]))
    assert found.is_majority(found.weight_of([0, 1, 2]))
    assert committee(201, 99).is_majority(201)


def test_the_first_seat_coordinates_and_numbers_are_positions():
    found = committee(1, 2, 3)
    assert found.coordinator == found.seats[0]
    assert [found.number_of(item.account) for item in found.seats] == [0, 1, 2]
    assert found.number_of(seat(9).account) is None


@pytest.mark.parametrize("name", ["account", "node_key", "bls_key"])
def test_nobody_has_two_seats(name):
    first, second = seat(1), seat(2)
    with pytest.raises(FormatError) as caught:
        Committee(1, (first, replace(second, **{name: getattr(first, name)})))
    assert caught.value.code == "format.committee"


@pytest.mark.parametrize("count", [0, 65])
def test_a_committee_has_1_to_64_seats(count):
    with pytest.raises(FormatError):
        committee(*[1] * count)


@pytest.mark.parametrize(
    ("name", "value"),
    [("account", "bpa1"), ("node_key", bytes(31)), ("bls_key", bytes(47)), ("ml_dsa_key", b""), ("weight", 0)],
)
def test_a_seat_outside_its_form_is_refused(name, value):
    found = committee(1, 2).as_map()
    found["seats"][1] |= {name: value}
    with pytest.raises(FormatError) as caught:
        Committee.from_map(found)
    assert caught.value.code == "format.committee"
