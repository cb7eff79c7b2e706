import math
from dataclasses import replace

import pytest

from bpci_node.chain.draw import KEPT_COMMITTEES, SEED_CONTEXT, committee_entry, committee_of, race_of, seed_of
from bpci_node.chain.epochs import Epochs, Span, load_epochs, plan_length
from bpci_node.chain.machine import Machine
from bpci_node.chain.state import Overlay, State
from bpci_node.errors import NotFoundError
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.record import load_record
from bpci_node.primitives.vrf import VrfSigner, output_of

QUORUM = (12, 13)


@pytest.fixture
def ready(house):
    """Epoch 2 has begun; four validators may draw for epoch 3."""
    machine = house.started()
    for number in (40, 41, 42, 43):
        house.validator(machine, number, amount=100 + number)
    house.pass_to(machine, 2)
    return machine


def test_the_key_of_the_ledger_is_the_key_of_the_function(house):
    assert VrfSigner(bytes(31) + b"*").public_key == LocalSigner(bytes(31) + b"*").public_key


def test_the_tickets_of_an_epoch_make_the_committee_of_the_next(house, ready):
    house.draw(ready, 40, 41, 42, 43)
    found = committee_of(ready.state, 3)
    outputs = {
        house.account(house.signer(number)): output_of(house.ticket(ready, number)["proof"])
        for number in (40, 41, 42, 43)
    }
    stakes = {house.account(house.signer(number)): 100 + number for number in (40, 41, 42, 43)}
    order = sorted(outputs, key=lambda name: -math.log(int.from_bytes(outputs[name]) / 2**512) / stakes[name])
    assert [seat.account for seat in found.seats] == order[:3]
    assert found.epoch == 3
    assert [seat.weight for seat in found.seats] == [stakes[name] for name in order[:3]]
    seat = found.coordinator
    number = next(number for number in (40, 41, 42, 43) if house.account(house.signer(number)) == seat.account)
    bls, _, ml_dsa = house.keys(number)
    assert (seat.bls_key, seat.ml_dsa_key) == (bls.public_key, ml_dsa.public_key)
    assert seat.node_key == house.signer(number).public_key


def test_a_committee_is_fixed_with_the_third_quarter_and_stays_through_exits_and_restarts(house, ready):
    house.draw(ready, 40, 41, 42)
    before = committee_of(ready.state, 3)
    epochs, now = load_epochs(ready.state), ready.time_ms - house.genesis.time_ms
    assert not epochs.is_drawn(3, now)
    house.pass_to(ready, 2, part=750)
    assert load_epochs(ready.state).is_drawn(3, ready.time_ms - house.genesis.time_ms)
    house.do(ready, "validator.exit", {}, house.signer(40))
    assert committee_of(ready.state, 3) == before
    assert ready.state.get(committee_entry(3)) is not None
    assert not list(ready.state.entries(b"auction-ticket/"))
    entries = ready.state.entries()
    again = Machine(ready.genesis, entries=entries, height=ready.height, time_ms=ready.time_ms)
    assert committee_of(again.state, 3) == before


def test_a_committee_is_written_down_though_the_next_ticket_comes_with_the_first_block_of_its_epoch(house, ready):
    house.draw(ready, 40, 41, 42)
    before = committee_of(ready.state, 3)
    begins_ms = house.genesis.time_ms + load_epochs(ready.state).begins_ms(3)
    ticket = house.ticket(ready, 40, epoch=4)
    house.do(ready, "auction.draw", ticket, house.signer(40), fee=0, step_ms=begins_ms - ready.time_ms)
    assert load_epochs(ready.state).number_at(ready.time_ms - house.genesis.time_ms) == 3
    assert load_record(ready.state.get(committee_entry(3))) == before.as_map()


def test_an_exit_before_the_third_quarter_changes_no_ticket(house, ready):
    house.draw(ready, 40, 41, 42)
    before = committee_of(ready.state, 3)
    house.do(ready, "validator.exit", {}, house.signer(41))
    house.pass_to(ready, 3)
    assert committee_of(ready.state, 3) == before


def test_seeds_chain_the_outputs_and_idle_epochs_keep_them(house, ready):
    first = seed_of(ready.state, house.genesis, 2)
    assert first == derive(SEED_CONTEXT, house.genesis.hash)
    proofs = [house.ticket(ready, number)["proof"] for number in (40, 41)]
    house.draw(ready, 41, 40)
    outputs = sorted(output_of(proof) for proof in proofs)
    second = seed_of(ready.state, house.genesis, 3)
    assert second == derive(SEED_CONTEXT, first + b"".join(outputs))
    house.pass_to(ready, 9)
    assert seed_of(ready.state, house.genesis, 9) == second
    house.draw(ready, 42)
    third = seed_of(ready.state, house.genesis, 10)
    assert third == derive(SEED_CONTEXT, second + output_of(house.ticket(ready, 42)["proof"]))


def test_committees_and_seeds_are_kept_for_a_while(house, ready):
    for _ in range(KEPT_COMMITTEES + 2):
        house.draw(ready, 40)
        house.pass_to(ready, house.epoch(ready) + 1)
    last = house.epoch(ready)
    assert committee_of(ready.state, last).epoch == last
    assert committee_of(ready.state, last - KEPT_COMMITTEES + 1)
    with pytest.raises(NotFoundError) as caught:
        committee_of(ready.state, last - KEPT_COMMITTEES)
    assert caught.value.code == "auction.no_committee"
    with pytest.raises(NotFoundError) as caught:
        seed_of(ready.state, house.genesis, 3)
    assert caught.value.code == "auction.epoch_gone"
    assert len(list(ready.state.entries(b"auction-committee/"))) == KEPT_COMMITTEES
    assert len(list(ready.state.entries(b"auction-draw/"))) <= 4


def test_keys_count_from_the_second_epoch_after_their_registration(house, refused):
    machine = house.started()
    house.validator(machine, 40)
    early = house.make(machine, "auction.draw", house.ticket(machine, 40), house.signer(40), fee=0)
    refused(machine, early, "auction.not_eligible")
    house.pass_to(machine, 1)
    house.draw(machine, 40)
    assert committee_of(machine.state, 2).coordinator.account == house.account(house.signer(40))


def test_keys_of_the_last_quarter_count_an_epoch_later(house, ready, refused):
    house.draw(ready, 40)
    house.pass_to(ready, 2, part=750)
    house.validator(ready, 44)
    house.pass_to(ready, 3)
    early = house.make(ready, "auction.draw", house.ticket(ready, 44), house.signer(44), fee=0)
    refused(ready, early, "auction.not_eligible")
    house.pass_to(ready, 4)
    house.draw(ready, 44)


def test_no_new_key_is_tried_against_a_known_seed_where_no_block_marks_the_time(house, ready, refused):
    """The first block of an epoch brings both a validator and its ticket: the state before the block is what counts."""
    house.admitted(ready, 44)
    house.staked(ready, 44)
    house.pass_to(ready, 3)
    commands = [
        house.make(ready, "validator.set_up", house.set_up(44), house.signer(44)),
        house.make(ready, "auction.draw", house.ticket(ready, 44, epoch=5), house.signer(44), fee=0, nonce=3),
    ]
    step = load_epochs(ready.state).begins_ms(4) + house.genesis.time_ms - ready.time_ms
    results = house.run(ready, *commands, step_ms=step)
    assert [result.error and result.error.code for result in results] == [None, "auction.not_eligible"]


def test_stake_that_comes_after_the_seed_adds_no_weight(house, ready):
    house.pass_to(ready, 2, part=750)
    body = {"asset": "BPI", "to": house.account(house.signer(40)), "amount": 10_000}
    house.do(ready, "asset.transfer", body, house.other)
    house.do(ready, "stake.deposit", {"amount": 5000}, house.signer(40))
    house.pass_to(ready, 3)
    house.draw(ready, 40)
    assert committee_of(ready.state, 4).total == 140


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"epoch": 2}, "auction.draw_time"),
        ({"epoch": 4}, "auction.draw_time"),
        ({"seed": bytes(32)}, "proof.vrf"),
        ({"ledger_id": "economy:" + "0" * 64}, "proof.vrf"),
    ],
    ids=["past", "later", "seed", "ledger"],
)
def test_a_ticket_is_for_the_next_epoch_of_this_ledger(house, ready, refused, change, code):
    refused(ready, house.make(ready, "auction.draw", house.ticket(ready, 40, **change), house.signer(40), fee=0), code)


def test_a_ticket_comes_before_the_last_quarter_and_once(house, ready, refused):
    house.draw(ready, 40)
    again = house.make(ready, "auction.draw", house.ticket(ready, 40), house.signer(40), fee=0)
    refused(ready, again, "auction.drawn")
    house.pass_to(ready, 2, part=750)
    late = house.make(ready, "auction.draw", house.ticket(ready, 41), house.signer(41), fee=0)
    refused(ready, late, "auction.draw_time")


def test_nobody_draws_with_the_ticket_of_another(house, ready, refused):
    body = house.ticket(ready, 41)
    refused(ready, house.make(ready, "auction.draw", body, house.signer(40), fee=0), "proof.vrf")


def test_only_validators_in_good_standing_draw(house, ready, refused):
    def attempt(number):
        return house.make(ready, "auction.draw", house.ticket(ready, number), house.signer(number), fee=0)

    refused(ready, attempt(77), "auction.not_eligible")
    jailed = {"validator": house.account(house.signer(40)), "cause": bytes(32)}
    house.do(ready, "validator.jail", jailed, approvals=QUORUM)
    refused(ready, attempt(40), "auction.not_eligible")
    house.do(ready, "validator.exit", {}, house.signer(41))
    house.do(ready, "validator.set_up", house.set_up(41), house.signer(41))
    refused(ready, attempt(41), "auction.not_eligible")
    order = {"node": house.account(house.signer(42)), "cause": bytes(32), "until_height": 10_000}
    house.do(ready, "registry.suspend_node", order, approvals=QUORUM)
    refused(ready, attempt(42), "registry.suspended")
    house.do(ready, "registry.retire_node", {}, house.signer(43))
    refused(ready, attempt(43), "registry.retired")


def test_a_race_is_a_logarithm():
    for number in (1, 2, 3, 2**256, 2**511, 2**512 - 2**300, 2**512 - 1, 12345678901234567890**20 % 2**512):
        output = (number - 1).to_bytes(64)
        expected = (
            512 - math.log2(number) if number < 2**511 else -math.log1p(-(2**512 - number) / 2**512) / math.log(2)
        )
        assert race_of(output) / 2**96 == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert race_of(b"\xff" * 64) == 0


def test_the_draw_weighs_every_unit_alike():
    """Of 1,500 draws of three, who has half of the weight is first in half of them, and so on: 5 deviations at most."""
    weights, firsts, rounds = (50, 30, 20), [0, 0, 0], 1500
    for number in range(rounds):
        outputs = [
            b"".join(derive("bpci 2026 test v1", bytes([part, seat]) + number.to_bytes(2)) for part in (0, 1))
            for seat in range(3)
        ]
        races = [race_of(output) * 10**6 // weight for output, weight in zip(outputs, weights, strict=True)]
        firsts[races.index(min(races))] += 1
    for found, weight in zip(firsts, weights, strict=True):
        share = weight / 100
        assert abs(found - rounds * share) < 5 * math.sqrt(rounds * share * (1 - share))


def test_a_vote_changes_the_length_of_epochs_from_the_one_after_the_next_on():
    state = Overlay(State.of())
    assert load_epochs(state).number_at(600_000 * 7 + 5) == 7
    plan_length(state, 600_000 * 7 + 5, 60_000)
    epochs = load_epochs(state)
    assert [epochs.begins_ms(number) for number in (8, 9, 10)] == [4_800_000, 5_400_000, 5_460_000]
    assert [epochs.number_at(ms) for ms in (5_399_999, 5_400_000, 5_459_999, 5_460_000)] == [8, 9, 9, 10]
    assert epochs.tickets_close_ms(9) == 5_445_000
    plan_length(state, 600_000 * 8, 30_000)
    epochs = load_epochs(state)
    assert (epochs.begins_ms(10), epochs.begins_ms(11)) == (5_460_000, 5_490_000)
    plan_length(state, 600_000 * 8, 60_000)
    assert load_epochs(state).spans == (Span(0, 0, 600_000), Span(9, 5_400_000, 60_000))


def test_a_calendar_says_when_it_does_not_reach_back():
    epochs = Epochs((Span(5, 1000, 10),))
    for ask in (lambda: epochs.number_at(999), lambda: epochs.begins_ms(4), lambda: epochs.tickets_close_ms(4)):
        with pytest.raises(NotFoundError) as caught:
            ask()
        assert caught.value.code == "auction.epoch_gone"


def test_the_size_of_a_committee_is_that_of_its_first_ticket(house, ready):
    house.draw(ready, 40, 41, 42)
    house.do(ready, "stake.deposit", {"amount": 1000})
    change = {"kind": "governance.set_parameter", "body": {"name": "auction_committee_size", "value": 1}}
    house.do(ready, "governance.propose", {"reasons": bytes(32), "actions": [change]})
    house.do(ready, "governance.vote", {"proposal": 1, "choice": "yes"})
    for _ in range(10):
        house.run(ready)
    house.do(ready, "governance.execute", {"proposal": 1})
    assert len(committee_of(ready.state, 3).seats) == 3
    house.pass_to(ready, 3)
    house.draw(ready, 40, 41)
    assert len(committee_of(ready.state, 4).seats) == 1


def test_epochs_that_a_vote_makes_shorter_are_drawn_for(house, ready):
    house.do(ready, "stake.deposit", {"amount": 1000})
    change = {"kind": "governance.set_parameter", "body": {"name": "auction_epoch_ms", "value": 100_000}}
    house.do(ready, "governance.propose", {"reasons": bytes(32), "actions": [change]})
    house.do(ready, "governance.vote", {"proposal": 1, "choice": "yes"})
    for _ in range(10):
        house.run(ready)
    house.do(ready, "governance.execute", {"proposal": 1})
    house.pass_to(ready, 5)
    assert house.epoch(ready) == 5
    house.draw(ready, 40)
    assert committee_of(ready.state, 6).epoch == 6
    assert replace(committee_of(ready.state, 6), epoch=7).seats
