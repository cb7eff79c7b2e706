"""Parcels: their form, what opens them, and which one runs."""

import random
from dataclasses import replace

import pytest

from bpci_node.auction.candidates import Origin
from bpci_node.auction.commit import sign_commit
from bpci_node.auction.outcome import Kind
from bpci_node.auction.outcome_list import Stake, outcomes_of
from bpci_node.auction.parcel import (
    MAX_ENTRIES,
    MAX_PARCEL_BYTES,
    decode_parcel,
    encode_parcel,
    is_parcel,
    parcel_commit_id,
    parcel_commitment,
)
from bpci_node.auction.reveal import Reveal, check_reveal, decode_reveals, encode_reveals
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import MAX_TRIED, Cause, forced_gas, merge, select_window
from bpci_node.chain.account import account_id_of
from bpci_node.errors import BpciError
from bpci_node.primitives import codec
from tests.unit.auction.parcels import builder, commit_parcel, parcel
from tests.unit.auction.sealed import LEDGER, TERMS, WINDOW, hidden, public, txid

SEQ = WINDOW.first_seq + 50


def refusal(reveal, commit):
    with pytest.raises(BpciError) as caught:
        check_reveal(reveal, commit, TERMS, LEDGER, arrival_seq=SEQ)
    return caught.value.code


def names(selection):
    return [txid(item) for item in selection.winners]


# Form


def test_a_parcel_keeps_its_payment_and_its_order(sign_raw):
    raws = tuple(sign_raw(number) for number in (3, 1, 2))
    data = encode_parcel(77, raws)
    assert is_parcel(data)
    assert not any(map(is_parcel, raws))
    assert decode_parcel(data) == (77, raws)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [1, 5],
        [2, 5, [b"x"]],
        [True, 5, [b"x"]],
        [1, 0, [b"x"]],
        [1, True, [b"x"]],
        [1, 2**63, [b"x"]],
        [1, 5, []],
        [1, 5, [b""]],
        [1, 5, ["x"]],
        [1, 5, b"x"],
        [1, 5, [b"x"] * (MAX_ENTRIES + 1)],
    ],
    ids=range(12),
)
def test_other_lists_are_no_parcels(value):
    with pytest.raises(BpciError) as caught:
        decode_parcel(codec.encode(value))
    assert caught.value.code == "parcel.format"


def test_a_parcel_is_no_longer_than_any_other_reveal():
    with pytest.raises(BpciError) as caught:
        encode_parcel(1, [bytes(MAX_PARCEL_BYTES)])
    assert caught.value.code.startswith("format.")


def test_a_commit_does_not_say_that_it_hides_a_parcel(sign_raw):
    few, many = commit_parcel([sign_raw(1)], 1), commit_parcel([sign_raw(number) for number in range(1, 9)], 10**8)
    plain = sign_commit(
        builder(1), ledger_id=LEDGER, window=WINDOW, digest=bytes(32), account=few.commit.account, tier=0
    )
    assert len(few.commit.encode()) == len(many.commit.encode()) == len(plain.encode())
    assert few.commit.as_map().keys() == plain.as_map().keys()


def test_a_reveal_opens_its_parcel_with_the_arrival_of_its_commit(sign_raw):
    raws = [sign_raw(number, max_fee=50 + number, tip=1) for number in (3, 1, 2)]
    made = commit_parcel(raws, 900)
    (reveal,) = decode_reveals(encode_reveals([made.reveal]))
    found = check_reveal(reveal, made.commit, TERMS, LEDGER, arrival_seq=SEQ)
    assert (found.payment, [entry.transaction.raw for entry in found.entries]) == (900, raws)
    assert {(entry.leaf.arrival_seq, entry.leaf.ts) for entry in found.entries} == {(SEQ, WINDOW.opens_ms)}
    parts = {"payment": 900, "raws": raws, "salt": reveal.salt}
    assert parcel_commit_id(WINDOW, made.commit.account, 0, **parts) == made.commit.commit_id


# Attacks on what was committed


def test_a_copied_parcel_opens_for_nobody_but_who_committed_to_it(sign_raw):
    made = commit_parcel([sign_raw(1), sign_raw(2)])
    thief = builder(9)
    copied = sign_commit(
        thief,
        ledger_id=LEDGER,
        window=WINDOW,
        digest=made.commit.digest,
        account=account_id_of(thief.public_key),
        tier=0,
    )
    assert refusal(replace(made.reveal, commit_id=copied.commit_id), copied) == "reveal.mismatch"


def test_a_parcel_is_opened_whole_in_its_order_for_its_payment_in_its_window_or_not_at_all(sign_raw):
    raws = [sign_raw(1), sign_raw(2), sign_raw(3)]
    made = commit_parcel(raws, 500)
    for data in (
        encode_parcel(500, raws[:2]),
        encode_parcel(500, [raws[1], raws[0], raws[2]]),
        encode_parcel(500, [*raws, sign_raw(4)]),
        encode_parcel(501, raws),
        raws[0],
    ):
        assert refusal(replace(made.reveal, raw=data), made.commit) == "reveal.mismatch"
    assert refusal(replace(made.reveal, salt=bytes(32)), made.commit) == "reveal.mismatch"
    later = WindowId(WINDOW.target, WINDOW.qlock_ms, WINDOW.index + 1)
    replayed = sign_commit(
        builder(1), ledger_id=LEDGER, window=later, digest=made.commit.digest, account=made.commit.account, tier=0
    )
    assert refusal(Reveal(later, replayed.commit_id, made.reveal.raw, made.reveal.salt), replayed) == "reveal.mismatch"


def test_a_commit_to_one_entry_can_not_be_opened_as_a_parcel_nor_the_other_way_round(sign_raw):
    raw = sign_raw(1)
    salt = bytes(32)
    data = encode_parcel(5, [raw])
    account = account_id_of(builder(1).public_key)
    digest = parcel_commitment(WINDOW, account, raw, salt)
    commit = sign_commit(builder(1), ledger_id=LEDGER, window=WINDOW, digest=digest, account=account, tier=0)
    assert refusal(Reveal(WINDOW, commit.commit_id, raw, salt), commit) == "reveal.mismatch"
    assert refusal(Reveal(WINDOW, commit.commit_id, data, salt), commit) == "reveal.mismatch"


def test_parcels_that_can_never_run_are_refused_at_the_reveal(sign_raw):
    cases = {
        "parcel.duplicate": ([sign_raw(1), sign_raw(1)], 500),
        "parcel.nonce": ([sign_raw(1, nonce=1), sign_raw(1, nonce=0)], 500),
        "parcel.fee": ([sign_raw(1, max_fee=49, tip=1)], 500),
        "parcel.gas": ([sign_raw(1, gas=200_001), sign_raw(2, gas=200_000)], 500),
        "reveal.tier": ([sign_raw(1)], 10**9 + 1),
        "entry.type": ([b"\x09"], 500),
    }
    for code, (raws, payment) in cases.items():
        made = commit_parcel(raws, payment)
        assert refusal(made.reveal, made.commit) == code


# Which one runs


def test_a_parcel_runs_after_hidden_and_forced_entries_and_before_the_public_pool(sign_raw):
    shown, carried = (
        hidden(sign_raw(1, max_fee=60, tip=1), 1),
        hidden(sign_raw(2, max_fee=55, tip=1), 0, origin=Origin.CARRIED),
    )
    forced, rich = public(sign_raw(3), is_forced=True), public(sign_raw(4, max_fee=900, tip=900))
    bought = [sign_raw(5, max_fee=51, tip=1), sign_raw(6, max_fee=99, tip=1), sign_raw(7, max_fee=70, tip=1)]
    made = parcel(bought)
    found = select_window([rich, forced, shown, carried], TERMS, parcels=[made])
    inside = [entry.leaf.txid for entry in made.entries]
    assert names(found) == [txid(carried), txid(shown), txid(forced), *inside, txid(rich)]
    assert found.parcel is made
    assert [item.commit_id for item in found.winners[3:6]] == [made.commit.commit_id] * 3


def test_of_two_parcels_the_one_that_pays_more_runs_and_of_equals_the_earlier_one(sign_raw):
    low, high = parcel([sign_raw(1)], 500, position=1), parcel([sign_raw(2)], 501, position=2, number=2)
    found = select_window([], TERMS, parcels=[low, high])
    assert (found.parcel, found.lost_parcels) == (high, (low,))
    equal = parcel([sign_raw(2)], 500, position=0, number=2)
    assert select_window([], TERMS, parcels=[low, equal]).parcel is equal


def test_a_parcel_that_does_not_fit_whole_leaves_the_room_to_the_next_one(sign_raw):
    shown = hidden(sign_raw(1, gas=150_000), 0)
    large = parcel([sign_raw(2, gas=130_000), sign_raw(3, gas=130_000)], 900)
    small = parcel([sign_raw(4, gas=130_000), sign_raw(5, gas=120_000)], 500, position=51, number=2)
    found = select_window([shown], TERMS, parcels=[large, small])
    assert (found.parcel, found.lost_parcels) == (small, (large,))
    assert names(found) == [txid(shown), *(entry.leaf.txid for entry in small.entries)]


def test_entries_of_the_pool_run_once_with_the_parcel_that_brings_them_forced_or_not(sign_raw):
    raws = [sign_raw(number) for number in (1, 2)]
    pool = [public(raws[0], is_forced=True), public(raws[1]), public(sign_raw(3))]
    made = parcel(raws[::-1])
    found = select_window(pool, TERMS, parcels=[made])
    assert names(found) == [*(entry.leaf.txid for entry in made.entries), txid(pool[2])]
    assert {item.cause for item in found.excluded} == {Cause.DUPLICATE}
    assert len(found.unique()) == 3
    # Where the parcel loses, its entries are what they were before.
    other = parcel([sign_raw(9)], 900, number=2)
    assert names(select_window(pool, TERMS, parcels=[made, other]))[0] == txid(pool[0])


def test_an_entry_that_a_hidden_bid_brought_is_not_sold_again(sign_raw):
    raw = sign_raw(1)
    shown = hidden(raw, 0)
    found = select_window([shown], TERMS, parcels=[parcel([sign_raw(2), raw])])
    assert (found.parcel, names(found)) == (None, [txid(shown)])


def test_a_parcel_waits_for_no_nonce_and_overtakes_none(sign_raw):
    before = public(sign_raw(1, nonce=0))
    late = parcel([sign_raw(1, nonce=1), sign_raw(2)])
    assert select_window([before], TERMS, parcels=[late]).parcel is None
    assert select_window([], TERMS, parcels=[late]).parcel is late
    first = hidden(sign_raw(1, nonce=0), 0)
    assert select_window([first], TERMS, parcels=[late]).parcel is late


def test_what_a_parcel_makes_eligible_does_not_run_between_its_entries(sign_raw):
    made = parcel([sign_raw(1, nonce=0), sign_raw(2), sign_raw(3)])
    behind = hidden(sign_raw(1, nonce=1, max_fee=900), 0)
    forced = public(sign_raw(2, nonce=1), is_forced=True)
    found = select_window([behind, forced], TERMS, parcels=[made])
    assert names(found) == [*(entry.leaf.txid for entry in made.entries), txid(behind), txid(forced)]


def test_the_room_of_forced_entries_is_not_sold(sign_raw):
    blocked = public(sign_raw(1, nonce=1, gas=50_000), is_forced=True)
    before = public(sign_raw(1, nonce=0, gas=21_000))
    whole = parcel([sign_raw(2, gas=360_000)], 900)
    rest = parcel([sign_raw(3, gas=320_000)], 500, position=51, number=2)
    found = select_window([blocked, before], TERMS, parcels=[whole, rest])
    assert (found.parcel, found.lost_parcels) == (rest, (whole,))
    assert names(found) == [rest.entries[0].leaf.txid, txid(before), txid(blocked)]


def test_only_the_parcels_that_pay_most_are_tried(sign_raw):
    hidden_one = hidden(sign_raw(1), 0)
    false = [
        parcel([sign_raw(1)], 1_000 + number, position=60 + number, number=number) for number in range(MAX_TRIED - 1)
    ]
    good, late = parcel([sign_raw(2)], 2, number=40), parcel([sign_raw(3)], 1, number=41)
    assert select_window([hidden_one], TERMS, parcels=[*false, good, late]).parcel is good
    more = parcel([sign_raw(1)], 5_000, position=59, number=42)
    assert select_window([hidden_one], TERMS, parcels=[*false, more, good, late]).parcel is None


# What they come to


def test_the_winner_pays_its_bid_once_the_other_nothing_and_who_withholds_forfeits(sign_raw):
    won = parcel([sign_raw(1, max_fee=900), sign_raw(2, max_fee=900)], 700)
    lost = parcel([sign_raw(3)], 600, position=51, number=2)
    withheld = commit_parcel([sign_raw(4)], 10**9, number=3).commit
    stakes = [Stake(item.commit_id, item.account, item.tier) for item in (won.commit, lost.commit, withheld)]
    found = outcomes_of(stakes, select_window([], TERMS, parcels=[won, lost]), TERMS, lambda _: 5)
    assert [(item.kind, item.amount) for item in found] == [(Kind.WON, 700), (Kind.LOST, 0), (Kind.UNREVEALED, 5)]


@pytest.mark.parametrize("seed", range(40))
def test_selecting_again_among_what_ran_and_what_was_forced_gives_the_same(sign_raw, seed):
    draw = random.Random(seed)  # noqa: S311 - which windows are tried is no secret

    def signed():
        return sign_raw(
            draw.randrange(1, 7),
            nonce=draw.randrange(3),
            gas=draw.choice((21_000, 60_000, 120_000)),
            max_fee=draw.randrange(45, 120),
            tip=draw.randrange(1, 45),
        )

    candidates = [hidden(signed(), number, origin=Origin(number % 2)) for number in range(draw.randrange(5))]
    candidates += [public(signed(), is_forced=draw.random() < 0.5) for _ in range(draw.randrange(8))]
    parcels = []
    for number in range(4):
        made = commit_parcel([signed() for _ in range(draw.randrange(1, 4))], draw.randrange(1, 9), number=number)
        try:
            parcels.append(made.opened(50 + number))
        except BpciError:
            continue
    found = select_window(candidates, TERMS, parcels=parcels)
    draw.shuffle(candidates)
    assert select_window(candidates, TERMS, parcels=parcels[::-1]) == replace(
        found, lost_parcels=tuple(item for item in parcels[::-1] if item is not found.parcel)
    )
    forced = [txid(item) for item in candidates if item.origin is Origin.FORCED]
    left_out = found.left_out(forced)
    shown = [*found.winners, *(item.candidate for item in left_out)]
    again = select_again(shown)
    assert again.is_whole
    assert again.ran == list(range(len(found.winners)))
    causes = [again.causes[number][0] for number in range(len(found.winners), len(shown))]
    assert causes == [item.cause for item in left_out]
    inside = [number for number, item in enumerate(found.winners) if item.origin is Origin.PARCEL]
    if found.parcel is not None:
        assert inside == list(range(inside[0], inside[0] + len(inside)))
        assert [found.winners[number].entry for number in inside] == list(found.parcel.entries)
    else:
        assert not inside


def select_again(shown):
    from bpci_node.auction.window_selection import _item

    block = [number for number, item in enumerate(shown) if item.origin is Origin.PARCEL]
    return merge([_item(item) for item in shown], TERMS.gas_limit, forced_gas(TERMS), block)
