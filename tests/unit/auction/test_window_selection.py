import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.auction.candidates import Origin
from bpci_node.auction.window_selection import Cause, Item, forced_gas, merge, select_window
from tests.unit.auction.sealed import TERMS, hidden, public, txid


def causes(selection):
    return {txid(item.candidate): item.cause for item in selection.excluded}


def test_revealed_entries_run_by_fee_then_arrival(sign_raw):
    low, high = hidden(sign_raw(1, max_fee=60, tip=60), 0), hidden(sign_raw(2, max_fee=90, tip=90), 1)
    late = hidden(sign_raw(3, max_fee=90, tip=90), 2)
    assert select_window([late, low, high], TERMS).winners == (high, late, low)


def test_public_entries_fill_the_room_behind_and_carried_ones_go_first(sign_raw):
    rich = public(sign_raw(1, max_fee=900, tip=900))
    forced = public(sign_raw(2, max_fee=800, tip=800), is_forced=True)
    shown = hidden(sign_raw(3, max_fee=60, tip=60), 1)
    carried = hidden(sign_raw(4, max_fee=55, tip=55), 0, origin=Origin.CARRIED)
    assert select_window([rich, forced, shown, carried], TERMS).winners == (carried, shown, forced, rich)


def test_an_entry_runs_only_after_its_senders_previous_nonce_by_whatever_door_that_came(sign_raw):
    first = public(sign_raw(1, nonce=0, max_fee=60, tip=60))
    second = hidden(sign_raw(1, nonce=1, max_fee=900, tip=900), 0)
    other = hidden(sign_raw(2, max_fee=70, tip=70), 1)
    stranger = public(sign_raw(3, max_fee=55, tip=55))
    assert select_window([stranger, second, first, other], TERMS).winners == (other, first, second, stranger)


def test_what_is_behind_a_passed_over_entry_is_passed_over(sign_raw):
    large = hidden(sign_raw(1, nonce=0, gas=500_000, max_fee=90, tip=90), 0)
    behind = hidden(sign_raw(1, nonce=1, max_fee=900, tip=900), 1)
    cheap = hidden(sign_raw(2, max_fee=40, tip=40), 2)
    selection = select_window([large, behind, cheap], TERMS)
    assert causes(selection) == {txid(large): Cause.ROOM, txid(behind): Cause.BEHIND, txid(cheap): Cause.FEE}
    assert selection.winners == ()
    assert set(selection.carried) == {large, behind}
    assert selection.lost == (cheap,)


def test_what_was_carried_once_is_not_carried_again(sign_raw):
    again = hidden(sign_raw(1, gas=500_000), 0, origin=Origin.CARRIED)
    selection = select_window([again], TERMS)
    assert (selection.carried, selection.lost) == ((), (again,))


def test_the_last_window_of_an_epoch_carries_nothing(sign_raw):
    large = hidden(sign_raw(1, gas=500_000), 0)
    assert select_window([large], TERMS, carry=False).lost == (large,)


def test_room_is_kept_for_forced_entries_as_far_as_they_need_it(sign_raw):
    assert forced_gas(TERMS) == 100_000
    whole = hidden(sign_raw(1, gas=400_000, max_fee=900, tip=900), 0)
    most = hidden(sign_raw(2, gas=350_000, max_fee=800, tip=800), 1)
    forced = public(sign_raw(3, gas=50_000), is_forced=True)
    selection = select_window([whole, most, forced], TERMS)
    assert selection.winners == (most, forced)
    assert selection.carried == (whole,)
    assert select_window([whole, most], TERMS).winners == (whole,)


def test_forced_entries_beyond_their_share_have_no_claim(sign_raw):
    rest = hidden(sign_raw(1, gas=300_000, max_fee=900, tip=900), 0)
    forced = [
        public(sign_raw(2 + number, gas=60_000, max_fee=100 - number, tip=50), is_forced=True) for number in range(3)
    ]
    selection = select_window([rest, *forced], TERMS)
    assert selection.winners == (rest, forced[0])
    assert causes(selection) == {txid(forced[1]): Cause.ROOM, txid(forced[2]): Cause.ROOM}


def test_a_forced_entry_that_can_not_run_keeps_no_room(sign_raw):
    unpaid = public(sign_raw(1, gas=100_000, max_fee=10, tip=10), is_forced=True)
    blocked = public(sign_raw(2, nonce=1, gas=50_000), is_forced=True)
    blocker = hidden(sign_raw(2, nonce=0, gas=600_000, max_fee=1_000, tip=1_000), 0)
    whole = hidden(sign_raw(3, gas=300_000, max_fee=900, tip=900), 1)
    selection = select_window([unpaid, blocked, blocker, whole], TERMS)
    assert selection.winners == (whole,)
    assert causes(selection) == {
        txid(unpaid): Cause.FEE,
        txid(blocker): Cause.ROOM,
        txid(blocked): Cause.BEHIND,
    }
    shown = selection.left_out([txid(unpaid), txid(blocked)])
    assert {txid(item.candidate) for item in shown} == {txid(unpaid), txid(blocked), txid(blocker)}


def test_the_same_transaction_counts_once_by_its_earliest_door(sign_raw):
    raw = sign_raw(1)
    shown, forced = hidden(raw, 0), public(raw, is_forced=True)
    selection = select_window([forced, shown], TERMS)
    assert selection.winners == (shown,)
    assert [(item.candidate, item.cause, item.by) for item in selection.excluded] == [(forced, Cause.DUPLICATE, shown)]
    assert selection.unique() == [shown]


def test_a_copy_behind_a_second_commit_is_lost_and_its_bond_goes_back(sign_raw):
    raw = sign_raw(1)
    first, copy = hidden(raw, 0), hidden(raw, 1)
    selection = select_window([copy, first], TERMS)
    assert (selection.winners, selection.lost) == ((first,), (copy,))


def test_of_two_with_one_nonce_the_first_in_the_order_runs(sign_raw):
    low, high = hidden(sign_raw(1, max_fee=60, tip=60), 0), hidden(sign_raw(1, max_fee=90, tip=90), 1)
    later = hidden(sign_raw(1, nonce=1, max_fee=70, tip=70), 2)
    selection = select_window([low, later, high], TERMS)
    assert selection.winners == (high, later)
    assert causes(selection) == {txid(low): Cause.NONCE}


def test_the_result_does_not_depend_on_the_order_in_which_buckets_are_looked_at(sign_raw):
    pool = [
        hidden(sign_raw(1 + number % 5, nonce=number // 5, max_fee=60 + 7 * number, tip=50), number)
        for number in range(20)
    ]
    pool += [public(sign_raw(9 + number, gas=30_000), is_forced=number % 2 == 0) for number in range(4)]
    expected = select_window(pool, TERMS)
    for seed in range(20):
        random.Random(seed).shuffle(pool)  # noqa: S311 - any orders, the same each time
        assert select_window(pool, TERMS) == expected


def slow_merge(items, gas_limit, share, parcel=()):
    """The rule as it is written: look at every sender's next item again before each step.

    Returns:
        What runs; None where the parcel can't run whole.
    """
    best = {}
    for item in sorted([*items, *parcel]):
        best.setdefault(item.key[1][2], item)
    waiting = {}
    for item in sorted(best.values()):
        waiting.setdefault(item.sender, {}).setdefault(item.nonce, item)
    ran, used, forced_used, parcel_left = [], 0, 0, list(parcel)
    while any(waiting.values()):
        heads = [queue[min(queue)] for queue in waiting.values() if queue]
        item = min(heads)
        if parcel_left and (item.key[0] > 2 or len(parcel_left) < len(parcel)):
            item = parcel_left.pop(0)
            if item not in heads:
                return None
        needs = sum(other.gas for queue in waiting.values() for other in queue.values() if other.key[0] == 2)
        kept = 0 if item.key[0] == 2 else min(max(0, share - forced_used), needs)
        if item.pays_base_fee and used + item.gas + kept <= gas_limit:
            ran.append(item)
            used += item.gas
            forced_used += item.gas if item.key[0] == 2 else 0
            del waiting[item.sender][item.nonce]
        elif item.key[0] == 3:
            return None
        else:
            waiting[item.sender] = {}
    return None if parcel_left else ran


ITEMS = st.lists(
    st.builds(
        lambda origin, fee, arrival, txid, sender, nonce, gas, pays: Item(
            (origin, (-fee, arrival, bytes([txid]))), bytes([sender]), nonce, gas, 1, pays
        ),
        st.sampled_from((0, 1, 2, 4)),
        st.integers(0, 5),
        st.integers(0, 3),
        st.integers(0, 40),
        st.integers(0, 4),
        st.integers(0, 3),
        st.integers(1, 30),
        st.booleans(),
    ),
    max_size=25,
    unique_by=lambda item: item.key,
)


@given(ITEMS, st.integers(0, 120), st.integers(0, 60))
def test_the_merge_is_the_rule_step_by_step(items, gas_limit, share):
    merged = merge(items, gas_limit, share)
    assert [items[number] for number in merged.ran] == slow_merge(items, gas_limit, share)
    assert sorted([*merged.ran, *merged.causes]) == list(range(len(items)))


PARCELS = st.lists(
    st.builds(
        lambda fee, txid, sender, nonce, gas: Item(
            (3, (-fee, 1, bytes([txid]))), bytes([sender]), nonce, gas, 1, pays_base_fee=True
        ),
        st.integers(0, 5),
        st.integers(0, 60),
        st.integers(0, 6),
        st.integers(0, 3),
        st.integers(1, 20),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda item: item.key[1][2],
)


@given(ITEMS, PARCELS, st.integers(0, 200), st.integers(0, 60))
def test_the_merge_with_a_parcel_is_the_rule_step_by_step(items, parcel, gas_limit, share):
    ordered = [item._replace(key=(3, (place, *item.key[1][1:]))) for place, item in enumerate(parcel)]
    expected = slow_merge(items, gas_limit, share, ordered)
    together = [*items, *parcel]
    merged = merge(together, gas_limit, share, range(len(items), len(together)))
    assert merged.is_whole == (expected is not None)
    if expected is not None:
        assert [([*items, *ordered])[number] for number in merged.ran] == expected
        assert sorted([*merged.ran, *merged.causes]) == list(range(len(together)))


@given(ITEMS, st.integers(0, 120), st.integers(0, 60))
def test_selecting_again_without_the_others_gives_the_same(items, gas_limit, share):
    merged = merge(items, gas_limit, share)
    needed = {number for number in merged.causes if items[number].key[0] == 2}
    needed = {number for number in needed if merged.causes[number][0] is not Cause.DUPLICATE}
    waiting = list(needed)
    while waiting:
        by = merged.causes[waiting.pop()][1]
        if by is not None and by in merged.causes and by not in needed:
            needed.add(by)
            waiting.append(by)
    shown = [*merged.ran, *sorted(needed)]
    again = merge([items[number] for number in shown], gas_limit, share)
    assert again.ran == list(range(len(merged.ran)))
    for place, number in enumerate(shown[len(merged.ran) :], len(merged.ran)):
        assert again.causes[place][0] is merged.causes[number][0]


def test_more_candidates_than_a_window_holds_are_refused(sign_raw, monkeypatch):
    monkeypatch.setattr("bpci_node.auction.window_selection.MAX_CANDIDATES", 1)
    with pytest.raises(Exception) as caught:
        select_window([hidden(sign_raw(1), 0), hidden(sign_raw(2), 1)], TERMS)
    assert caught.value.code == "header.candidates"
