from collections.abc import Callable
from typing import Any

import pytest

from bpci_node.errors import BpciError, LimitError, RefusedError
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.native import sign_native
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import Transaction, decode_transaction
from bpci_node.primitives.keys import LocalSigner

TARGET = TargetConfig("eip155:1", base_fee_wei=0, fee_bin_wei=10)
LEDGER_ID = "devnet:" + "ab" * 32
RICH = SenderState(0, 10**18)
Sign = Callable[..., bytes]


class Filling:
    """A pool and a short way to put entries into it."""

    def __init__(self, sign: Sign, limits: PoolLimits, *, is_checked: bool = False) -> None:
        self.pool = Pool(TARGET, limits, ledger_id=LEDGER_ID, is_checked=is_checked)
        self._sign, self._arrival = sign, 0

    def make(self, key: int, nonce: int, fee: int, **fields: Any) -> Transaction:
        return decode_transaction(self._sign(key, nonce=nonce, max_fee=fee, tip=fee, **fields))

    def put(self, key: int, nonce: int, fee: int, state: SenderState | None = None, **fields: Any) -> list[Any]:
        """Insert, and return key and nonce of those who left."""
        return self.take(self.make(key, nonce, fee, **fields), state)

    def take(self, tx: Any, state: SenderState | None = None) -> list[Any]:
        before = {entry.leaf.txid: entry for entry in self.pool}
        self._arrival += 1
        admission = self.pool.insert(tx, self._arrival, self._arrival, state=state)
        assert admission.entry.is_bound == bool(admission.evicted) or admission.replaced is not None
        return [(before[txid].leaf.fee_per_w, before[txid].leaf.nonce) for txid in admission.evicted]

    def refusal(self, key: int, nonce: int, fee: int, state: SenderState | None = None, **fields: Any) -> BpciError:
        before = self.pool.roots()
        with pytest.raises(BpciError) as caught:
            self.put(key, nonce, fee, state, **fields)
        assert self.pool.roots() == before
        return caught.value

    def waiting(self) -> list[tuple[int, int]]:
        return sorted((entry.leaf.fee_per_w, entry.leaf.nonce) for entry in self.pool)


@pytest.fixture
def fill(sign_raw: Sign) -> Callable[..., Filling]:
    return lambda limits, **options: Filling(sign_raw, limits, **options)


def test_the_least_fee_leaves_for_one_that_pays_the_percentage_more(fill: Any) -> None:
    filling = fill(PoolLimits(entries=3))
    for key, fee in ((1, 300), (2, 100), (3, 200)):
        filling.put(key, 0, fee)
    error = filling.refusal(4, 0, 109)
    assert isinstance(error, LimitError)
    assert (error.code, error.details) == ("mempool.full_count", {"limit": 3, "least_fee": "110"})
    assert filling.pool.least_fee() == 110
    assert filling.put(4, 0, 110) == [(100, 0)]
    assert filling.waiting() == [(110, 0), (200, 0), (300, 0)]


def test_of_equal_fees_the_latest_arrival_leaves(fill: Any) -> None:
    filling = fill(PoolLimits(entries=3))
    for nonce, key in enumerate((1, 2, 3)):
        filling.put(key, nonce, 100)
    assert filling.put(4, 9, 110) == [(100, 2)]


def test_the_percentage_is_the_owners(fill: Any) -> None:
    filling = fill(PoolLimits(entries=1, replacement_percent=50))
    filling.put(1, 0, 101)
    assert filling.refusal(2, 0, 151).details["least_fee"] == "152"
    assert filling.refusal(1, 0, 151, value=1).details["max_fee"] == "152"
    assert filling.put(2, 0, 152) == [(101, 0)]


def test_a_senders_latest_nonce_goes_for_its_cheapest_so_that_nothing_is_left_behind_a_gap(fill: Any) -> None:
    filling = fill(PoolLimits(entries=4))
    for nonce, fee in ((0, 500), (1, 100), (2, 900)):
        filling.put(1, nonce, fee)
    filling.put(2, 0, 400)
    assert filling.put(3, 0, 110) == [(900, 2)]
    assert filling.put(4, 0, 121) == [(100, 1)]
    assert filling.waiting() == [(110, 0), (121, 0), (400, 0), (500, 0)]


def test_a_newcomer_is_worth_no_more_than_the_nonces_before_it(fill: Any) -> None:
    filling = fill(PoolLimits(entries=3))
    filling.put(1, 0, 105)
    filling.put(2, 0, 100)
    filling.put(3, 0, 400)
    error = filling.refusal(1, 1, 10_000)
    assert error.details["least_fee"] == "110"
    assert "an earlier nonce of this sender pays 105" in error.message


def test_nobody_pushes_out_what_runs_before_the_newcomer(fill: Any) -> None:
    filling = fill(PoolLimits(entries=2))
    filling.put(1, 0, 100)
    filling.put(1, 1, 100)
    error = filling.refusal(1, 2, 10**6)
    assert (error.code, error.details) == ("mempool.full_count", {"limit": 2})


def test_what_is_replaced_makes_its_own_room(fill: Any) -> None:
    filling = fill(PoolLimits(entries=2))
    filling.put(1, 0, 100)
    filling.put(2, 0, 200)
    assert filling.put(1, 0, 110) == []
    assert filling.waiting() == [(110, 0), (200, 0)]


def test_a_large_newcomer_pays_for_all_that_it_pushes_out(fill: Any) -> None:
    filling = fill(PoolLimits(entries=100, raw_bytes=20 * 103 + 50))
    for key in range(1, 21):
        filling.put(key, 0, 100)
    data = b"\x01" * 1_000
    error = filling.refusal(30, 0, 110, data=data, gas=10**6)
    assert error.code == "mempool.full_bytes"
    victims = 11
    floor_gas = 21_000 + 16 * 1_000
    least = -(-victims * 100 * 110 * 21_000 // 100 // floor_gas)
    assert error.details["least_fee"] == str(least)
    assert len(filling.put(30, 0, least, data=data, gas=10**6)) == victims
    assert filling.pool.raw_bytes <= filling.pool.limits.raw_bytes


def test_a_replacement_that_is_longer_pushes_others_out(fill: Any) -> None:
    filling = fill(PoolLimits(raw_bytes=3 * 106))
    for key, fee in ((1, 100), (2, 200), (3, 300)):
        filling.put(key, 0, fee)
    assert filling.put(3, 0, 400, data=b"\x01" * 60, gas=30_000) == [(100, 0)]


def test_what_can_never_fit_is_refused(fill: Any) -> None:
    error = fill(PoolLimits(raw_bytes=100)).refusal(1, 0, 10**6)
    assert (error.code, error.details) == ("mempool.full_bytes", {"limit": 100})


def test_a_full_bucket_is_refused_unless_one_of_it_leaves(fill: Any) -> None:
    filling = fill(PoolLimits(entries=4, per_bucket=2))
    filling.put(1, 0, 101)
    filling.put(2, 0, 102)
    error = filling.refusal(3, 0, 105)
    assert (error.code, error.details) == ("mempool.full_bucket", {"limit": 2})
    filling.put(3, 0, 115)
    assert filling.put(1, 0, 112) == []  # moves to another bucket
    assert filling.refusal(4, 0, 118).code == "mempool.full_bucket"
    filling.put(4, 0, 125)
    assert filling.refusal(5, 0, 119).code == "mempool.full_bucket"
    assert filling.put(5, 0, 135) == [(102, 0)]


def test_sources_are_counted_while_their_entries_wait(sign_raw: Sign) -> None:
    pool = Pool(TARGET, PoolLimits(per_source=2))
    entries = [decode_transaction(sign_raw(key)) for key in range(1, 6)]
    pool.insert(entries[0], 1, 1, source=b"a")
    pool.insert(entries[1], 2, 2, source=b"a")
    with pytest.raises(LimitError) as caught:
        pool.insert(entries[2], 3, 3, source=b"a")
    assert (caught.value.code, caught.value.details) == ("entry.source_limit", {"limit": 2})
    pool.insert(entries[2], 3, 3, source=b"b")
    for number, tx in enumerate(entries[3:], start=4):
        pool.insert(tx, number, number)
    again = decode_transaction(sign_raw(1, max_fee=200, tip=200))
    assert pool.insert(again, 6, 6, source=b"a").replaced == entries[0].txid
    with pytest.raises(LimitError):
        pool.insert(decode_transaction(sign_raw(3, max_fee=200, tip=200)), 7, 7, source=b"a")
    pool.reprice(5)
    pool.settle(again.sender, 0)
    pool.insert(decode_transaction(sign_raw(9)), 7, 7, source=b"a")


def test_with_known_accounts_the_gas_must_be_enough_to_run_at_all(fill: Any) -> None:
    filling = fill(PoolLimits(), is_checked=True)
    error = filling.refusal(1, 0, 100, RICH, data=b"\x01\x00", gas=21_019)
    assert (error.code, error.details["low"]) == ("entry.gas", 21_020)
    filling.put(1, 0, 100, RICH, data=b"\x01\x00", gas=21_020)


def test_with_known_accounts_a_used_nonce_is_refused(fill: Any) -> None:
    filling = fill(PoolLimits(), is_checked=True)
    error = filling.refusal(1, 4, 100, SenderState(5, 10**18))
    assert (error.code, error.details) == ("entry.nonce", {"next_nonce": "5"})
    filling.put(1, 5, 100, SenderState(5, 10**18))


def test_one_balance_backs_only_what_it_can_pay_for(fill: Any) -> None:
    filling = fill(PoolLimits(), is_checked=True)
    one = filling.make(1, 0, 100, value=7).cost_wei
    assert one == 100 * 21_000 + 7
    filling.put(1, 0, 100, SenderState(0, 2 * one), value=7)
    error = filling.refusal(1, 1, 100, SenderState(0, 2 * one), value=8)
    assert error.code == "entry.funds"
    assert error.details == {"balance_wei": str(2 * one), "needed_wei": str(2 * one + 1)}
    filling.put(1, 1, 100, SenderState(0, 2 * one), value=7)
    assert filling.refusal(1, 0, 110, SenderState(0, 2 * one)).code == "entry.funds"
    blob = filling.make(2, 0, 100, tx_type=3)
    assert blob.cost_wei == 100 * 21_000 + 131_072


def test_into_a_full_pool_comes_only_who_can_run(fill: Any) -> None:
    filling = fill(PoolLimits(entries=3), is_checked=True)
    for key in (1, 2):
        filling.put(key, 0, 100, RICH)
    filling.put(3, 0, 400, RICH)
    error = filling.refusal(4, 1, 10**6, RICH)
    assert (error.code, error.details) == ("entry.nonce_gap", {"next_nonce": "0"})
    assert filling.refusal(4, 0, 10**6).code == "mempool.full_count"
    assert filling.put(4, 0, 110, RICH) == [(100, 0)]
    assert filling.put(3, 1, 500, RICH) == [(100, 0)]


def test_nonces_that_are_sealed_count_as_run(fill: Any) -> None:
    filling = fill(PoolLimits(entries=2), is_checked=True)
    filling.put(1, 0, 300, RICH)
    filling.put(2, 0, 100, RICH)
    filling.pool.settle(filling.make(1, 0, 300).sender, 0)
    filling.put(3, 0, 100, RICH)
    assert filling.put(1, 1, 300, RICH) == [(100, 0)]


def test_what_waits_behind_a_gap_leaves_first_whatever_it_bids(fill: Any) -> None:
    filling = fill(PoolLimits(entries=3), is_checked=True)
    filling.put(1, 5, 10**6, RICH)
    filling.put(2, 0, 100, RICH)
    filling.put(3, 0, 200, RICH)
    assert filling.pool.least_fee() == 1
    assert filling.put(4, 0, 1, RICH) == [(10**6, 5)]
    assert filling.pool.least_fee() == 2


def test_who_fills_its_gap_is_safe_again(fill: Any) -> None:
    filling = fill(PoolLimits(entries=4), is_checked=True)
    filling.put(1, 1, 900, RICH)
    filling.put(2, 0, 100, RICH)
    filling.put(1, 0, 800, RICH)
    filling.put(3, 0, 200, RICH)
    assert filling.put(4, 0, 110, RICH) == [(100, 0)]
    assert list(filling.pool.runnable()) == list(filling.pool)


def test_a_native_entry_of_whom_nothing_is_known_gives_way_to_who_can_pay(fill: Any) -> None:
    filling = fill(PoolLimits(entries=2), is_checked=True)
    native = sign_native(
        LocalSigner(b"\x05" * 32),
        ledger_id=LEDGER_ID,
        target="eip155:1",
        kind=EntryType.SETTLEMENT,
        nonce=0,
        fee=10**6,
        gas=30_000,
        body=b"x",
    )
    filling.take(native)
    filling.put(1, 0, 100, RICH)
    assert [entry.transaction for entry in filling.pool.runnable() if entry.transaction is native] == [native]
    assert filling.put(2, 0, 50, RICH) == [(10**6, 0)]
    with pytest.raises(LimitError):
        filling.take(native)


def test_the_chain_moving_on_takes_out_what_can_not_run(fill: Any) -> None:
    filling = fill(PoolLimits(), is_checked=True)
    cost = filling.make(1, 0, 100).cost_wei
    for key in (1, 2, 3):
        for nonce in range(3):
            filling.put(key, nonce, 100, RICH)
    senders = {key: filling.make(key, 0, 100).sender for key in (1, 2, 3, 4)}
    assert filling.pool.senders() == sorted(senders[key] for key in (1, 2, 3))
    gone = filling.pool.revise(
        {
            senders[1]: SenderState(1, 10**18),
            senders[2]: SenderState(0, 2 * cost - 1),
            senders[4]: SenderState(9, 0),
        }
    )
    left = {key: [e.leaf.nonce for e in filling.pool if e.leaf.sender == senders[key]] for key in (1, 2, 3)}
    assert {key: sorted(nonces) for key, nonces in left.items()} == {1: [1, 2], 2: [0], 3: [0, 1, 2]}
    by_sender = sorted((entry.leaf.sender, entry.leaf.nonce) for entry in gone)
    assert [(entry.leaf.sender, entry.leaf.nonce) for entry in gone] == by_sender
    assert len(gone) == 3


def test_what_the_chain_left_behind_a_gap_is_not_selected(fill: Any) -> None:
    filling = fill(PoolLimits(), is_checked=True)
    filling.put(1, 0, 100, RICH)
    filling.put(1, 2, 100, RICH)
    assert [entry.leaf.nonce for entry in filling.pool.runnable()] == [0]
    filling.pool.revise({filling.make(1, 0, 1).sender: SenderState(2, 10**18)})
    assert [entry.leaf.nonce for entry in filling.pool.runnable()] == [2]


def test_in_an_unchecked_pool_everything_may_run(fill: Any) -> None:
    filling = fill(PoolLimits())
    filling.put(1, 7, 100)
    assert len(list(filling.pool.runnable())) == 1
    assert filling.pool.least_fee() == 0


def test_a_restored_pool_knows_who_is_bound_and_evicts_alike(fill: Any, sign_raw: Sign) -> None:
    filling = fill(PoolLimits(entries=3), is_checked=True)
    for key, fee in ((1, 100), (2, 200), (3, 300), (4, 400)):
        filling.put(key, 0, fee, RICH)
    restored = Filling(sign_raw, PoolLimits(entries=3), is_checked=True)
    for entry in sorted(filling.pool, key=lambda item: item.leaf.arrival_seq):
        leaf = entry.leaf
        restored.pool.restore(entry.transaction, leaf.arrival_seq, leaf.ts, is_bound=entry.is_bound)
    assert [e.is_bound for e in sorted(restored.pool, key=lambda e: e.leaf.fee_per_w)] == [False, False, True]
    assert restored.pool.roots() == filling.pool.roots()
    restored._arrival = 4
    assert restored.put(5, 0, 500, RICH) == filling.put(5, 0, 500, RICH) == [(200, 0)]


def test_a_replacement_of_what_pushed_others_out_uses_no_less_gas(fill: Any) -> None:
    filling = fill(PoolLimits(entries=2))
    for key in (1, 2):
        filling.put(key, 0, 100)
    filling.put(3, 0, 200, data=b"\x01" * 100, gas=30_000)
    error = filling.refusal(3, 0, 300)
    assert isinstance(error, RefusedError)
    assert (error.code, error.details) == ("entry.bound", {"floor_gas": 22_600})
    filling.put(3, 0, 300, data=b"\x01" * 100, gas=30_000)
