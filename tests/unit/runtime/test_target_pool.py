"""Any history of a pool on its journal, crashes included, against a pool in memory that never stops."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bpci_node.auction.selection import select
from bpci_node.errors import BpciError, StorageError
from bpci_node.mempool.cancellation import sign_cancellation
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry import Signed
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.native import NativeEntry, sign_native
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.receipt import START, next_running_hash
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.sealing import Sealer
from bpci_node.runtime.target_pool import Arrival, TargetPool
from bpci_node.store import compaction, journal
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.journal_row import CANCELLED, EVICTED, REPLACED, SPENT
from bpci_node.store.store import Store

T = "eip155:1"
LEDGER = "devnet:" + "ab" * 32
TARGET = TargetConfig(T, base_fee_wei=50, fee_bin_wei=20)
LIMITS = PoolLimits(entries=8, raw_bytes=3_000, per_sender=4)
NODE = LocalSigner(b"\x01" * 32)
NATIVES = [LocalSigner(bytes([number]) * 32) for number in (11, 12)]


@pytest.fixture(scope="module")
def corpus(sign_raw: Callable[..., bytes]) -> list[Signed]:
    """Entries of seven senders that compete for nonces and room."""
    found: list[Signed] = [
        decode_transaction(sign_raw(key, nonce=nonce, max_fee=fee, tip=fee // 2, data=b"\x01" * (key * 40)))
        for key in range(1, 6)
        for nonce in range(3)
        for fee in (45, 60, 90, 200)
    ]
    for signer in NATIVES:
        for nonce in range(3):
            for fee in (55, 120):
                terms = {"kind": EntryType.SETTLEMENT, "nonce": nonce, "fee": fee, "gas": 40_000, "body": b"body"}
                found.append(sign_native(signer, ledger_id=LEDGER, target=T, **terms))
    return found


def signer_of(entry: NativeEntry) -> LocalSigner:
    return next(signer for signer in NATIVES if signer.public_key == entry.key)


class Opened:
    """A pool on the journal in one directory."""

    def __init__(self, directory: Path, target: TargetConfig = TARGET) -> None:
        self.directory = directory
        self.store = Store(directory)
        (directory / "guard").mkdir(exist_ok=True)
        guard = ArrivalGuard(directory / "guard" / "arrivals")
        self.pool = TargetPool(target, LIMITS, guard=guard, ledger_id=LEDGER)
        self.store.writer.after_commit.append(self.pool.remember)
        self.sealer = Sealer(self.pool, signer=NODE, ledger_id=LEDGER, guard_directory=directory / "guard")
        try:
            self.run(self.pool.refresh)
            self.sealer.check_guard(self.store)
        except BaseException:
            self.store.close()
            raise

    def run(self, job: Callable[[sqlite3.Connection], Any]) -> Any:
        return self.store.writer.submit(job, undo=self.pool.forget).result(10)


@dataclass
class Known:
    """What the model knows of one arrival."""

    arrival: Arrival
    running_hash: bytes
    bundle: int | None = None
    left_ms: int | None = None


class Histories(RuleBasedStateMachine):
    """Random histories; the model is a pool in memory and a list of arrivals."""

    corpus: ClassVar[Sequence[Signed]] = ()

    @initialize()
    def begin(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.lives = 0
        self.node = Opened(self.home / "0")
        self.model = Pool(TARGET, LIMITS, ledger_id=LEDGER)
        self.arrivals: list[Known] = []
        self.forgotten: set[int] = set()
        self.running_hash = START
        self.bundles = 0
        self.sealed: dict[bytes, int] = {}
        self.epochs: dict[bytes, int] = {}
        self.now = 1_000

    def teardown(self) -> None:
        self.node.store.close()
        shutil.rmtree(self.home)

    def build_anew(self) -> None:
        """What the node does with its pool after a start or a failed commit: take in again what waits."""
        old, self.model = self.model, Pool(self.model.target, LIMITS, ledger_id=LEDGER)
        for sender, nonce in self.sealed.items():
            self.model.settle(sender, nonce)
        for entry in sorted(old, key=lambda entry: entry.leaf.arrival_seq):
            self.model.restore(entry.transaction, entry.leaf.arrival_seq, entry.leaf.ts, is_bound=entry.is_bound)
        for key, epoch in self.epochs.items():
            self.model.mark_sealed([key], epoch)

    def leave(self, txids: Sequence[bytes], bundle: int) -> None:
        wanted = set(txids)
        for known in self.arrivals:
            if known.bundle is None and known.arrival.txid in wanted:
                known.bundle, known.left_ms = bundle, self.now

    # What may happen

    @rule(picks=st.lists(st.integers(0, 71), min_size=1, max_size=12))
    def accept(self, picks: list[int]) -> None:
        self.now += 1
        batch = [self.corpus[pick % len(self.corpus)] for pick in picks]
        results = self.node.run(lambda c: self.node.pool.accept(c, batch, self.now))
        for item, result in zip(batch, results, strict=True):
            seq = len(self.arrivals) + 1
            if isinstance(result, BpciError):
                with pytest.raises(BpciError) as caught:
                    self.model.insert(item, seq, self.now)
                assert caught.value.code == result.code
                continue
            admission = self.model.insert(item, seq, self.now)
            arrival = Arrival(item.txid, seq, self.now, self.running_hash)
            assert (result.txid, result.arrival_seq, result.arrival_ms, result.previous) == (
                arrival.txid,
                arrival.arrival_seq,
                arrival.arrival_ms,
                arrival.previous,
            )
            self.running_hash = next_running_hash(self.running_hash, T, item.txid, seq, self.now)
            if admission.replaced is not None:
                self.leave([admission.replaced], REPLACED)
            self.leave(admission.evicted, EVICTED)
            self.arrivals.append(Known(arrival, self.running_hash))

    @precondition(lambda self: any(isinstance(entry.transaction, NativeEntry) for entry in self.model))
    @rule(pick=st.integers(0, 7))
    def cancel(self, pick: int) -> None:
        self.now += 1
        natives = sorted(
            (entry for entry in self.model if isinstance(entry.transaction, NativeEntry)),
            key=lambda entry: entry.leaf.arrival_seq,
        )
        entry = natives[pick % len(natives)]
        assert isinstance(entry.transaction, NativeEntry)
        signed = sign_cancellation(
            signer_of(entry.transaction),
            ledger_id=LEDGER,
            target=T,
            txid=entry.leaf.txid,
            arrival_seq=entry.leaf.arrival_seq,
        )
        if self.model.is_crowded or entry.is_bound:
            code = "entry.bound" if entry.is_bound else "mempool.crowded"
            with pytest.raises(BpciError) as caught:
                self.node.run(lambda c: self.node.pool.cancel(c, signed, self.now))
            assert caught.value.code == code
            return
        self.model.cancel(signed)
        self.node.run(lambda c: self.node.pool.cancel(c, signed, self.now))
        self.leave([entry.leaf.txid], CANCELLED)
        assert (signed.encode(),) in self.node.store.query("SELECT data FROM cancellations")

    @precondition(lambda self: len(self.model))
    @rule(pick=st.integers(0, 7), nonce=st.integers(0, 3))
    def revise(self, pick: int, nonce: int) -> None:
        self.now += 1
        senders = self.model.senders()
        if senders:
            states = {senders[pick % len(senders)]: SenderState(nonce, 10**24)}
            gone = self.model.revise(states)
            assert self.node.run(lambda c: self.node.pool.revise(c, states, self.now)) == len(gone)
            self.leave([entry.leaf.txid for entry in gone], SPENT)

    @precondition(lambda self: len(self.model))
    @rule(gas=st.sampled_from([21_000, 60_000, 200_000]), base_fee=st.sampled_from([None, None, 40, 50, 70]))
    def seal(self, gas: int, base_fee: int | None) -> None:
        self.now += 1
        terms = {"now_ms": self.now, "gas_limit": gas, "base_fee_wei": base_fee, "certificate": None}
        before = self.model.target.base_fee_wei
        if base_fee is not None and base_fee != before:
            self.model.reprice(base_fee)
        selected = select(self.model.runnable(), gas)
        if not selected:
            with pytest.raises(BpciError) as caught:
                self.node.run(lambda c: self.node.sealer.seal(c, **terms))
            assert caught.value.code == "bundle.empty"
            self.model.reprice(before)
            self.build_anew()
            return
        self.node.sealer.remember(self.node.run(lambda c: self.node.sealer.seal(c, **terms)))
        self.bundles += 1
        if self.model.target.base_fee_wei != before:
            self.epochs = {}
        self.epochs |= dict.fromkeys((entry.bucket_key for entry in selected), self.bundles)
        txids = {entry.leaf.txid for entry in selected}
        left = [gone for entry in selected for gone in self.model.settle(entry.leaf.sender, entry.leaf.nonce)]
        for entry in selected:
            self.sealed[entry.leaf.sender] = max(entry.leaf.nonce, self.sealed.get(entry.leaf.sender, 0))
        self.model.mark_sealed(sorted({entry.bucket_key for entry in selected}), self.bundles)
        self.leave(sorted(txids), self.bundles)
        self.leave([entry.leaf.txid for entry in left if entry.leaf.txid not in txids], REPLACED)

    @rule(picks=st.lists(st.integers(0, 71), min_size=1, max_size=6))
    def fail_to_commit(self, picks: list[int]) -> None:
        """The disk is full at the worst moment: nothing of the group has happened."""
        batch = [self.corpus[pick % len(self.corpus)] for pick in picks]

        def write(connection: sqlite3.Connection) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            self.node.pool.accept(connection, batch, self.now)
            connection.execute(f"PRAGMA max_page_count={pages}")
            connection.execute("INSERT INTO meta VALUES ('large', zeroblob(1000000))")

        with pytest.raises(StorageError) as caught:
            self.node.run(write)
        assert caught.value.code == "storage.full"
        self.node.run(lambda c: c.execute("PRAGMA max_page_count=1000000").fetchone())
        self.build_anew()

    @rule(picks=st.lists(st.integers(0, 71), min_size=1, max_size=6))
    def fail_alone(self, picks: list[int]) -> None:
        batch = [self.corpus[pick % len(self.corpus)] for pick in picks]

        def write(connection: sqlite3.Connection) -> None:
            self.node.pool.accept(connection, batch, self.now)
            raise StorageError("as if", code="storage.io")

        with pytest.raises(StorageError):
            self.node.run(write)
        self.build_anew()

    @rule()
    def crash(self) -> None:
        """What a process that was killed leaves behind is opened by another one."""
        self.lives += 1
        directory = self.home / str(self.lives)
        shutil.copytree(self.node.directory, directory)
        self.node.store.close()
        shutil.rmtree(self.node.directory)
        self.node = Opened(directory)
        self.build_anew()

    @rule()
    def restart(self) -> None:
        self.node.store.close()
        self.node = Opened(self.node.directory)
        self.build_anew()

    @rule()
    def rebuild(self) -> None:
        self.node.pool.forget()
        self.node.run(self.node.pool.refresh)
        self.build_anew()

    @rule(age=st.integers(0, 10), most=st.integers(1, 5))
    def compact(self, age: int, most: int) -> None:
        before_ms = self.now - age

        def step(connection: sqlite3.Connection) -> int:
            done = compaction.forget_entries(connection, before_ms, most)
            compaction.shrink(connection, 16)
            self.node.pool.note_forgotten(connection)
            return done

        old = [known for known in self.arrivals if known.left_ms is not None and known.left_ms < before_ms]
        old = [known for known in old if known.arrival.arrival_seq not in self.forgotten]
        assert self.node.run(step) == min(most, len(old))
        kept = {row[0] & 0xFFFFFFFF for row in self.node.store.query("SELECT id FROM gone")}
        self.forgotten |= {known.arrival.arrival_seq for known in old if known.arrival.arrival_seq not in kept}

    # What always holds

    @invariant()
    def the_pool_is_the_models(self) -> None:
        # As every use of it begins: after a failed commit it is built anew.
        self.node.run(self.node.pool.refresh)
        pool = self.node.pool.pool
        assert {entry.leaf for entry in pool} == {entry.leaf for entry in self.model}
        assert {(e.leaf.txid, e.is_bound) for e in pool} == {(e.leaf.txid, e.is_bound) for e in self.model}
        assert pool.target == self.model.target
        assert pool.raw_bytes == self.model.raw_bytes
        assert pool.roots() == self.model.roots()

    @invariant()
    def the_journal_is_the_models(self) -> None:
        status = self.node.pool.status()
        assert status["arrivals"] == len(self.arrivals)
        assert status["forgotten"] == max(self.forgotten, default=0)
        latest: dict[bytes, Known] = {}
        for known in self.arrivals:
            if known.arrival.arrival_seq not in self.forgotten:
                latest[known.arrival.txid] = known
        for known in self.arrivals:
            found = journal.find_entry(self.node.store, T, known.arrival.txid)
            wanted = latest.get(known.arrival.txid)
            if wanted is None:
                assert found is None
                continue
            assert found is not None
            assert (found.arrival_seq, found.arrival_ms) == (wanted.arrival.arrival_seq, wanted.arrival.arrival_ms)
            assert (found.previous, found.running_hash) == (wanted.arrival.previous, wanted.running_hash)
            assert (found.bundle, found.left_ms) == (wanted.bundle, wanted.left_ms)


@pytest.mark.parametrize("examples", [25, pytest.param(150, marks=pytest.mark.long)])
def test_any_history_leaves_what_a_pool_that_never_stops_would_have(corpus: list[Signed], examples: int) -> None:
    Histories.corpus = corpus
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_other_terms_in_the_configuration_clear_epochs_and_base_fee(corpus: list[Signed], tmp_path: Path) -> None:
    node = Opened(tmp_path)
    node.run(lambda c: node.pool.accept(c, corpus[:20], 1))
    terms = {"now_ms": 2, "gas_limit": 60_000, "base_fee_wei": 60, "certificate": None}
    node.sealer.remember(node.run(lambda c: node.sealer.seal(c, **terms)))
    node.store.close()
    same = Opened(tmp_path)
    assert same.pool.target.base_fee_wei == 60
    assert same.store.query("SELECT count(*) FROM epochs")[0][0] > 0
    same.store.close()
    other = Opened(tmp_path, replace(TARGET, fee_bin_wei=25))
    assert other.pool.target == replace(TARGET, fee_bin_wei=25)
    assert other.store.query("SELECT count(*) FROM epochs") == [(0,)]
    other.store.close()


def test_a_guard_that_is_ahead_or_missing_stops_the_node(corpus: list[Signed], tmp_path: Path) -> None:
    node = Opened(tmp_path / "state")
    node.run(lambda c: node.pool.accept(c, corpus[:3], 1))
    backup = shutil.copytree(tmp_path / "state", tmp_path / "backup")
    node.run(lambda c: node.pool.accept(c, corpus[24:26], 1))
    node.store.close()
    assert ArrivalGuard(tmp_path / "state" / "guard" / "arrivals").last() is not None
    shutil.copyfile(tmp_path / "state" / "guard" / "arrivals", backup / "guard" / "arrivals")
    for change in (lambda: None, (backup / "guard" / "arrivals").unlink):
        change()
        with pytest.raises(BpciError) as caught:
            Opened(backup)
        assert caught.value.code == "sign.rolled_back"
        assert caught.value.hint
