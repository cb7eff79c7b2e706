"""Random histories of a pool against a model that keeps a plain list and works everything out anew each time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from coincurve import PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bpci_node.auction.selection import select
from bpci_node.errors import RefusedError
from bpci_node.mempool.cancellation import Cancellation, typed_digest
from bpci_node.mempool.entry import Entry, make_entry
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives import merkle
from bpci_node.primitives.ethereum import Transaction, decode_transaction

LEDGER_ID = "devnet:" + "ab" * 32
KEYS = range(1, 6)
LIMITS = PoolLimits(entries=7, raw_bytes=7 * 108, per_sender=3, per_source=5, per_bucket=4)


@dataclass(frozen=True)
class Row:
    """One entry of the model."""

    tx: Transaction
    arrival: int
    source: bytes
    is_bound: bool
    is_idle: bool


def rounded_up(value: int, over: int) -> int:
    return -(-value // over)


class PoolHistories(RuleBasedStateMachine):
    sign: Callable[..., bytes]
    is_checked: bool

    def __init__(self) -> None:
        super().__init__()
        self.target = TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=40)
        self.pool = self.make_pool()
        self.rows: list[Row] = []
        self.sealed: dict[bytes, int] = {}
        self.epochs: dict[bytes, int] = {}
        self.epoch = self.arrival = 0
        self.senders = {key: decode_transaction(type(self).sign(key)).sender for key in KEYS}
        self.chain = dict.fromkeys(self.senders.values(), SenderState(0, 10**9))

    def make_pool(self) -> Pool:
        return Pool(self.target, LIMITS, ledger_id=LEDGER_ID, is_checked=type(self).is_checked)

    # The model

    def entry(self, row: Row) -> Entry:
        return make_entry(row.tx, self.target, arrival_seq=row.arrival, arrival_ms=row.arrival)

    def queue(self, sender: bytes) -> list[Row]:
        return sorted((row for row in self.rows if row.tx.sender == sender), key=lambda row: row.tx.nonce)

    def mark_idle(self, sender: bytes, *, behind: int | None = None) -> None:
        """Mark what stands behind a gap, or behind a nonce that left; without ``behind`` the rest is not idle."""
        expected = max(self.chain[sender].nonce, self.sealed.get(sender, -1) + 1)
        idle: dict[bytes, bool] = {}
        for row in self.queue(sender):
            if behind is not None:
                idle[row.tx.txid] = row.is_idle or row.tx.nonce > behind
            else:
                idle[row.tx.txid] = row.tx.nonce > expected
                expected += row.tx.nonce == expected
        self.rows = [replace(row, is_idle=idle.get(row.tx.txid, row.is_idle)) for row in self.rows]

    def judge(self, tx: Transaction, source: bytes) -> str | list[Row]:
        """Return the code with which a newcomer is refused, or those who leave for it, a replaced one first."""
        state = self.chain[tx.sender] if type(self).is_checked else None
        old = next((row for row in self.queue(tx.sender) if row.tx.nonce == tx.nonce), None)
        if any(row.tx.txid == tx.txid for row in self.rows):
            return "entry.duplicate"
        if tx.gas < (tx.floor_gas if state else 21_000):
            return "entry.gas"
        if tx.nonce <= self.sealed.get(tx.sender, -1) or (state and tx.nonce < state.nonce):
            return "entry.nonce"
        if old and tx.max_fee < max(old.tx.max_fee + 1, rounded_up(old.tx.max_fee * 110, 100)):
            return "entry.underpriced"
        if old and old.is_bound and tx.floor_gas < old.tx.floor_gas:
            return "entry.bound"
        if not old and len(self.queue(tx.sender)) >= LIMITS.per_sender:
            return "entry.sender_limit"
        if source and sum(row.source == source for row in self.rows if row is not old) >= LIMITS.per_source:
            return "entry.source_limit"
        others = [row for row in self.queue(tx.sender) if row is not old]
        if state:
            alive = [row.tx.cost_wei for row in others if row.tx.nonce >= state.nonce]
            if tx.cost_wei + sum(alive) > state.balance_wei:
                return "entry.funds"
        staying = [row for row in self.rows if row is not old]
        leaving = [old] if old else []
        if not self.fits(staying, tx):
            code = "mempool.full_count" if len(staying) + 1 > LIMITS.entries else "mempool.full_bytes"
            if state:
                first = max(state.nonce, self.sealed.get(tx.sender, -1) + 1)
                if not set(range(first, tx.nonce)) <= {row.tx.nonce for row in others}:
                    return "entry.nonce_gap"
            dearest = together = 0
            while not self.fits(staying, tx):
                candidates = [row for row in staying if row.tx.sender != tx.sender or row.tx.nonce > tx.nonce]
                ranked = sorted(
                    staying, key=lambda row: (not row.is_idle, self.entry(row).leaf.fee_per_w, -row.arrival)
                )
                pairs = [
                    (weak, row)
                    for weak in ranked
                    for row in sorted(candidates, key=lambda item: -item.tx.nonce)
                    if row.tx.sender == weak.tx.sender and row.tx.nonce >= weak.tx.nonce
                ]
                if not pairs:
                    return code
                weak, victim = pairs[0]
                price = 0 if weak.is_idle else self.entry(weak).leaf.fee_per_w
                dearest = max(dearest, price)
                together += price * (victim.tx.floor_gas if victim.is_bound else 21_000)
                staying.remove(victim)
                leaving.append(victim)
            new = Row(tx, self.arrival, source, is_bound=False, is_idle=False)
            earlier = [self.entry(row).leaf.fee_per_w for row in others if row.tx.nonce < tx.nonce]
            worth = min([self.entry(new).leaf.fee_per_w, *earlier])
            enough = max(together + 1, rounded_up(together * 110, 100))
            if worth < max(dearest + 1, rounded_up(dearest * 110, 100)) or worth * tx.floor_gas < enough:
                return code
        key = self.entry(Row(tx, 1, b"", is_bound=False, is_idle=False)).bucket_key
        if sum(self.entry(row).bucket_key == key for row in staying) >= LIMITS.per_bucket:
            return "mempool.full_bucket"
        return leaving

    def fits(self, staying: list[Row], tx: Transaction) -> bool:
        size = sum(len(row.tx.raw) for row in staying) + len(tx.raw)
        return len(staying) + 1 <= LIMITS.entries and size <= LIMITS.raw_bytes

    # The histories

    @rule(
        key=st.sampled_from(KEYS),
        nonce=st.integers(0, 4),
        fee=st.integers(1, 300) | st.integers(100, 130),
        data_bytes=st.sampled_from([0, 0, 0, 1, 90]),
        value=st.sampled_from([0, 0, 1, 5 * 10**8]),
        source=st.sampled_from([b"", b"a", b"a", b"b"]),
    )
    def insert(self, *, key: int, nonce: int, fee: int, data_bytes: int, value: int, source: bytes) -> None:
        gas = 25_000 if data_bytes == 90 else 21_000
        raw = type(self).sign(key, nonce=nonce, max_fee=fee, tip=fee, data=b"\x01" * data_bytes, value=value, gas=gas)
        tx = decode_transaction(raw)
        self.arrival += 1
        state = self.chain[tx.sender] if type(self).is_checked else None
        verdict = self.judge(tx, source)
        if isinstance(verdict, str):
            with pytest.raises(RefusedError) as caught:
                self.pool.insert(tx, self.arrival, self.arrival, source=source, state=state)
            assert caught.value.code == verdict
            return
        admission = self.pool.insert(tx, self.arrival, self.arrival, source=source, state=state)
        old = verdict[0] if verdict and verdict[0].tx.nonce == nonce and verdict[0].tx.sender == tx.sender else None
        evicted = verdict[1:] if old else verdict
        assert admission.replaced == (old.tx.txid if old else None)
        assert list(admission.evicted) == [row.tx.txid for row in evicted]
        is_bound = bool(evicted) or (old is not None and old.is_bound)
        assert admission.entry.is_bound == is_bound
        self.rows = [row for row in self.rows if row not in verdict]
        self.rows.append(Row(tx, self.arrival, source, is_bound=is_bound, is_idle=False))
        if type(self).is_checked:
            self.mark_idle(tx.sender)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.rows))
        key = next(key for key, sender in self.senders.items() if sender == row.tx.sender)
        unsigned = Cancellation(LEDGER_ID, "eip155:1", row.tx.txid, row.arrival, b"")
        made = PrivateKey(key.to_bytes(32, "big")).sign_recoverable(typed_digest(unsigned), hasher=None)
        cancellation = replace(unsigned, signature=made[:64] + bytes([27 + made[64]]))
        size = sum(len(item.tx.raw) for item in self.rows)
        is_crowded = len(self.rows) * 16 >= LIMITS.entries * 15 or size * 16 >= LIMITS.raw_bytes * 15
        if row.is_bound or is_crowded:
            with pytest.raises(RefusedError) as caught:
                self.pool.cancel(cancellation)
            assert caught.value.code == ("entry.bound" if row.is_bound else "mempool.crowded")
            return
        assert self.pool.cancel(cancellation).transaction is row.tx
        self.rows.remove(row)
        if type(self).is_checked:
            self.mark_idle(row.tx.sender, behind=row.tx.nonce)

    @rule(gas_limit=st.integers(21_000, 150_000))
    def seal(self, gas_limit: int) -> None:
        runnable = [self.entry(row) for row in self.rows if not row.is_idle]
        selected = select(self.pool.runnable(), gas_limit)
        assert [entry.leaf.txid for entry in selected] == [entry.leaf.txid for entry in select(runnable, gas_limit)]
        if not selected:
            return
        self.epoch += 1
        keys = {entry.bucket_key for entry in selected}
        self.pool.mark_sealed(sorted(keys), self.epoch)
        self.epochs |= dict.fromkeys(keys, self.epoch)
        for entry in selected:
            sender, nonce = entry.leaf.sender, entry.leaf.nonce
            gone = self.pool.settle(sender, nonce)
            self.sealed[sender] = max(nonce, self.sealed.get(sender, -1))
            expected = [row for row in self.queue(sender) if row.tx.nonce <= nonce]
            assert [entry.transaction for entry in gone] == [row.tx for row in expected]
            self.rows = [row for row in self.rows if row not in expected]

    @rule(base_fee=st.integers(0, 200))
    def reprice(self, base_fee: int) -> None:
        self.pool.reprice(base_fee)
        self.target = replace(self.target, base_fee_wei=base_fee)
        self.epochs = {}

    @rule(key=st.sampled_from(KEYS), nonces=st.integers(0, 2), balance=st.sampled_from([0, 10**7, 10**9]))
    def move_the_chain(self, key: int, nonces: int, balance: int) -> None:
        sender = self.senders[key]
        self.chain[sender] = SenderState(self.chain[sender].nonce + nonces, balance)

    @precondition(lambda self: type(self).is_checked)
    @rule()
    def revise(self) -> None:
        senders = self.pool.senders()
        assert senders == sorted({row.tx.sender for row in self.rows})
        gone = self.pool.revise({sender: self.chain[sender] for sender in senders})
        expected: list[Row] = []
        for sender in senders:
            state, left = self.chain[sender], self.chain[sender].balance_wei
            for row in self.queue(sender):
                left -= row.tx.cost_wei if row.tx.nonce >= state.nonce else 0
                if row.tx.nonce < state.nonce or left < 0:
                    expected.append(row)
        assert [entry.transaction for entry in gone] == [row.tx for row in expected]
        self.rows = [row for row in self.rows if row not in expected]
        for sender in senders:
            self.mark_idle(sender)

    @rule()
    def crash_and_restart(self) -> None:
        before = self.pool.roots()
        self.pool = self.make_pool()
        for sender, nonce in self.sealed.items():
            self.pool.settle(sender, nonce)
        for row in sorted(self.rows, key=lambda row: row.arrival):
            assert self.pool.restore(row.tx, row.arrival, row.arrival, is_bound=row.is_bound) is not None
        for key, epoch in self.epochs.items():
            self.pool.mark_sealed([key], epoch)
        assert self.pool.roots() == before
        self.rows = [replace(row, source=b"", is_idle=False) for row in self.rows]

    @invariant()
    def same_as_the_model(self) -> None:
        assert len(self.pool) == len(self.rows)
        assert self.pool.raw_bytes == sum(len(row.tx.raw) for row in self.rows)
        members: dict[bytes, list[Entry]] = {}
        for row in self.rows:
            entry = self.entry(row)
            members.setdefault(entry.bucket_key, []).append(entry)
        buckets = self.pool.buckets()
        assert [bucket.key for bucket in buckets] == sorted(members)
        for bucket in buckets:
            expected = sorted(members[bucket.key], key=lambda entry: entry.leaf.order_key)
            assert [entry.leaf for entry in bucket] == [entry.leaf for entry in expected]
            assert bucket.gas_sum == sum(entry.leaf.gas for entry in expected)
            assert bucket.merkle_root() == merkle.root_of([merkle.leaf_hash(e.leaf.encode()) for e in expected])
            assert self.pool.sealed_epoch(bucket.key) == self.epochs.get(bucket.key, 0)
        idle = {row.tx.txid for row in self.rows if row.is_idle}
        assert {entry.leaf.txid for entry in self.pool.runnable()} == {row.tx.txid for row in self.rows} - idle

    @invariant()
    def nobody_is_left_behind_who_pays_less_than_who_would_get_in(self) -> None:
        least = self.pool.least_fee()
        size = sum(len(row.tx.raw) for row in self.rows)
        assert (least == 0) == (len(self.rows) < LIMITS.entries and size < LIMITS.raw_bytes)


class CheckedHistories(PoolHistories):
    is_checked = True


class UncheckedHistories(PoolHistories):
    is_checked = False


@pytest.mark.parametrize("machine", [CheckedHistories, UncheckedHistories])
def test_random_histories_equal_the_model(sign_raw: Callable[..., bytes], machine: Any) -> None:
    machine.sign = staticmethod(sign_raw)
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=40, deadline=None))


@pytest.mark.long
@pytest.mark.parametrize("machine", [CheckedHistories, UncheckedHistories])
def test_many_long_histories_equal_the_model(sign_raw: Callable[..., bytes], machine: Any) -> None:
    machine.sign = staticmethod(sign_raw)
    run_state_machine_as_test(machine, settings=settings(max_examples=400, stateful_step_count=100, deadline=None))
