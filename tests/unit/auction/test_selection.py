import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.auction.selection import MAX_RAW_BYTES, select
from bpci_node.mempool.entry import Entry, make_entry
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import Transaction, decode_transaction

TARGET = TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=20)
Sign = Callable[..., bytes]


def naive(entries: list[Entry], gas_limit: int) -> list[Entry]:
    """Select by the words of the specification, without queues or heaps."""
    waiting, selected, gas, size = list(entries), [], 0, 0
    while waiting:
        heads = [
            entry
            for entry in waiting
            if not any(o.leaf.sender == entry.leaf.sender and o.leaf.nonce < entry.leaf.nonce for o in waiting)
        ]
        best = min(heads, key=lambda entry: entry.leaf.order_key)
        raw_bytes = len(best.transaction.raw)
        if best.pays_base_fee and gas + best.leaf.gas <= gas_limit and size + raw_bytes <= MAX_RAW_BYTES:
            selected.append(best)
            gas, size = gas + best.leaf.gas, size + raw_bytes
            waiting.remove(best)
        else:
            waiting = [entry for entry in waiting if entry.leaf.sender != best.leaf.sender]
    return selected


def test_fee_rate_first_then_arrival(sign_raw: Sign) -> None:
    fees = [(1, 60), (2, 80), (3, 70), (4, 80)]
    entries = [
        make_entry(decode_transaction(sign_raw(key, max_fee=fee, tip=fee)), TARGET, arrival_seq=key, arrival_ms=9 - key)
        for key, fee in fees
    ]
    assert [entry.leaf.arrival_seq for entry in select(entries, 10**6)] == [2, 4, 3, 1]


def test_a_high_fee_behind_a_low_one_of_the_same_sender_waits_for_it(sign_raw: Sign) -> None:
    rows = [(1, 0, 60), (1, 1, 900), (2, 0, 70)]
    entries = [
        make_entry(
            decode_transaction(sign_raw(key, nonce=nonce, max_fee=fee, tip=fee)), TARGET, arrival_seq=n, arrival_ms=n
        )
        for n, (key, nonce, fee) in enumerate(rows, start=1)
    ]
    assert [entry.leaf.arrival_seq for entry in select(entries, 10**6)] == [3, 1, 2]


def test_what_does_not_fit_or_pay_holds_its_sender_back_and_nobody_else(sign_raw: Sign) -> None:
    rows = [(1, 0, 900, 500_000), (1, 1, 800, 21_000), (2, 0, 49, 21_000), (2, 1, 900, 21_000), (3, 0, 60, 21_000)]
    entries = [
        make_entry(
            decode_transaction(sign_raw(key, nonce=nonce, max_fee=fee, tip=1, gas=gas)),
            TARGET,
            arrival_seq=n,
            arrival_ms=n,
        )
        for n, (key, nonce, fee, gas) in enumerate(rows, start=1)
    ]
    assert [entry.leaf.arrival_seq for entry in select(entries, 100_000)] == [5]


def test_the_gas_limit_may_be_filled_exactly(sign_raw: Sign) -> None:
    entries = [
        make_entry(decode_transaction(sign_raw(key)), TARGET, arrival_seq=key, arrival_ms=1) for key in range(1, 5)
    ]
    assert len(select(entries, 63_000)) == 3
    assert len(select(entries, 62_999)) == 2
    assert select(entries, 20_999) == []
    assert select([], 63_000) == []


def test_raw_bytes_are_bounded(sign_raw: Sign) -> None:
    entries = [
        make_entry(decode_transaction(sign_raw(key, data=b"\x01" * 130_000)), TARGET, arrival_seq=key, arrival_ms=1)
        for key in range(1, 71)
    ]
    selected = select(entries, 10**9)
    assert sum(len(entry.transaction.raw) for entry in selected) <= MAX_RAW_BYTES
    assert len(selected) == MAX_RAW_BYTES // len(entries[0].transaction.raw)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 4), st.integers(0, 4), st.integers(40, 80), st.sampled_from([21_000, 50_000])),
        max_size=14,
        unique_by=lambda row: row[:2],
    ),
    gas_limit=st.integers(21_000, 400_000),
    seed=st.integers(0, 1000),
)
def test_the_heap_equals_the_words_in_whatever_order_the_entries_come(
    sign_raw: Sign, rows: list[tuple[int, int, int, int]], gas_limit: int, seed: int
) -> None:
    entries = [
        make_entry(
            decode_transaction(sign_raw(key, nonce=nonce, max_fee=fee, tip=fee, gas=gas)),
            TARGET,
            arrival_seq=n,
            arrival_ms=n,
        )
        for n, (key, nonce, fee, gas) in enumerate(rows, start=1)
    ]
    expected = naive(entries, gas_limit)
    random.Random(seed).shuffle(entries)  # noqa: S311 - a shuffle, not a secret
    assert select(entries, gas_limit) == expected
    assert select(expected, gas_limit) == expected, "selecting again among the selected changes nothing"


def test_the_shipped_transactions_select_as_the_words_say(mainnet: list[Transaction]) -> None:
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000))
    for number, tx in enumerate(mainnet[:250], start=1):
        pool.insert(tx, number, number)
    selected = select(pool, 20_000_000)
    assert selected == naive(list(pool), 20_000_000)
    assert 0 < sum(entry.leaf.gas for entry in selected) <= 20_000_000
