from collections.abc import Callable

import pytest

from bpci_node.errors import BpciError, LimitError, RefusedError
from bpci_node.mempool.bucket_key import bucket_id
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives import merkle
from bpci_node.primitives.ethereum import Transaction, decode_transaction

TARGET = TargetConfig("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000)
Sign = Callable[..., bytes]


def filled(transactions: list[Transaction], target: TargetConfig = TARGET) -> Pool:
    pool = Pool(target)
    for number, tx in enumerate(transactions, start=1):
        pool.insert(tx, number, 1_700_000_000_000 + number)
    return pool


def refusal(pool: Pool, tx: Transaction, arrival_seq: int = 1_000_000) -> BpciError:
    before = pool.merkle_mesh_root()
    with pytest.raises(BpciError) as caught:
        pool.insert(tx, arrival_seq, 1)
    assert pool.merkle_mesh_root() == before
    return caught.value


def test_the_shipped_transactions_all_enter_and_spread_over_buckets(mainnet: list[Transaction]) -> None:
    pool = filled(mainnet)
    assert len(pool) == 1167
    assert pool.raw_bytes == sum(len(tx.raw) for tx in mainnet)
    buckets = pool.buckets()
    assert [bucket.key for bucket in buckets] == sorted(bucket.key for bucket in buckets)
    assert sum(len(bucket) for bucket in buckets) == 1167
    assert len(buckets) > 100


def test_the_mesh_root_is_that_of_the_architecture(mainnet: list[Transaction]) -> None:
    pool = filled(mainnet[:200])
    by_key: dict[bytes, list[tuple[tuple[int, int, bytes], bytes]]] = {}
    for entry in pool:
        by_key.setdefault(entry.bucket_key, []).append((entry.leaf.order_key, entry.leaf.encode()))
    leaves = [
        bucket_id("eip155:1", key) + merkle.root_of([merkle.leaf_hash(leaf) for _, leaf in sorted(members)])
        for key, members in sorted(by_key.items())
    ]
    assert pool.merkle_mesh_root() == merkle.root_of([merkle.leaf_hash(leaf) for leaf in leaves])


def test_an_empty_pool_has_the_root_of_the_empty_tree() -> None:
    assert Pool(TARGET).merkle_mesh_root() == merkle.EMPTY_ROOT


def test_a_duplicate_is_refused(sign_raw: Sign) -> None:
    tx = decode_transaction(sign_raw())
    assert refusal(filled([tx]), tx).code == "entry.duplicate"


@pytest.mark.parametrize("fields", [{"chain_id": 5}, {"tx_type": 0, "chain_id": 5}, {"tx_type": 0, "protected": False}])
def test_a_signature_for_another_chain_or_for_none_is_refused(sign_raw: Sign, fields: dict[str, object]) -> None:
    assert refusal(Pool(TARGET), decode_transaction(sign_raw(**fields))).code == "entry.chain"


@pytest.mark.parametrize("gas", [20_999, 60_000_001, 2**64 - 1])
def test_gas_that_never_fits_is_refused(sign_raw: Sign, gas: int) -> None:
    error = refusal(Pool(TARGET), decode_transaction(sign_raw(gas=gas)))
    assert error.code == "entry.gas"
    assert error.details == {"low": 21_000, "high": 60_000_000}


@pytest.mark.parametrize(("max_fee", "tip", "passes"), [(1_100, 110, True), (1_099, 110, False), (1_100, 109, False)])
def test_a_replacement_pays_ten_percent_more_in_both_fees(
    sign_raw: Sign, max_fee: int, tip: int, *, passes: bool
) -> None:
    old = decode_transaction(sign_raw(max_fee=1_000, tip=100))
    new = decode_transaction(sign_raw(max_fee=max_fee, tip=tip, value=1))
    pool = filled([old])
    if not passes:
        error = refusal(pool, new)
        assert error.code == "entry.underpriced"
        assert error.details == {"max_fee": "1100", "max_priority_fee": "110"}
        return
    admission = pool.insert(new, 2, 2)
    assert admission.replaced == old.txid
    assert pool.find(old.txid) is None
    assert pool.find(new.txid) is admission.entry
    assert (len(pool), pool.raw_bytes) == (1, len(new.raw))
    assert len(pool.buckets()) == 1


def test_nobody_replaces_the_entry_of_somebody_else(sign_raw: Sign) -> None:
    pool = filled([decode_transaction(sign_raw(1))])
    admission = pool.insert(decode_transaction(sign_raw(2, max_fee=10**9, tip=10**9)), 2, 2)
    assert admission.replaced is None
    assert len(pool) == 2


def test_limits_by_sender_count_and_bytes(sign_raw: Sign) -> None:
    limits = PoolLimits(entries=4, raw_bytes=600, per_sender=2)
    pool = Pool(TARGET, limits)
    for number, (key, nonce) in enumerate([(1, 0), (1, 1), (2, 0)], start=1):
        pool.insert(decode_transaction(sign_raw(key, nonce=nonce)), number, number)
    assert refusal(pool, decode_transaction(sign_raw(1, nonce=2))).code == "entry.sender_limit"
    large = refusal(pool, decode_transaction(sign_raw(3, data=b"\x01" * 400)))
    assert large.code == "mempool.full_bytes"
    assert isinstance(large, LimitError)
    pool.insert(decode_transaction(sign_raw(3)), 4, 4)
    assert refusal(pool, decode_transaction(sign_raw(4))).code == "mempool.full_count"
    replacement = pool.insert(decode_transaction(sign_raw(1, max_fee=200, tip=200)), 5, 5)
    assert replacement.replaced is not None


def test_arrivals_must_ascend(sign_raw: Sign) -> None:
    pool = Pool(TARGET)
    pool.insert(decode_transaction(sign_raw(1)), 5, 1)
    for arrival in (5, 4, 0):
        assert refusal(pool, decode_transaction(sign_raw(2)), arrival).code == "mempool.arrival"


def test_settling_removes_up_to_a_nonce_and_keeps_it_from_coming_back(sign_raw: Sign) -> None:
    transactions = [decode_transaction(sign_raw(1, nonce=nonce)) for nonce in (3, 4, 6)]
    pool = filled(transactions)
    gone = pool.settle(transactions[0].sender, 4)
    assert [entry.leaf.nonce for entry in gone] == [3, 4]
    assert [entry.leaf.nonce for entry in pool] == [6]
    for tx in transactions[:2]:
        error = refusal(pool, tx)
        assert error.code == "entry.nonce"
        assert error.details == {"sealed_nonce": "4"}
    assert pool.settle(transactions[0].sender, 2) == []
    assert refusal(pool, transactions[1]).code == "entry.nonce"
    pool.settle(transactions[0].sender, 6)
    assert len(pool) == pool.raw_bytes == 0
    assert pool.buckets() == []


def test_what_pays_less_than_the_base_fee_waits_and_says_so(sign_raw: Sign) -> None:
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=1_000, fee_bin_wei=100))
    entry = pool.insert(decode_transaction(sign_raw(max_fee=999, tip=1)), 1, 1).entry
    assert not entry.pays_base_fee
    assert entry.bucket_key == b"\x00\x03\x00\x09"


def test_repricing_equals_a_pool_filled_at_that_base_fee(mainnet: list[Transaction]) -> None:
    pool = filled(mainnet[:300])
    pool.reprice(40_000_000)
    fresh = filled(mainnet[:300], TargetConfig("eip155:1", base_fee_wei=40_000_000, fee_bin_wei=10_000_000))
    assert pool.merkle_mesh_root() == fresh.merkle_mesh_root()
    assert (len(pool), pool.raw_bytes) == (len(fresh), fresh.raw_bytes)
    pool.reprice(45_000_000)
    assert pool.merkle_mesh_root() == filled(mainnet[:300]).merkle_mesh_root()


def test_a_base_fee_out_of_range_leaves_the_pool_as_it_was(mainnet: list[Transaction]) -> None:
    pool = filled(mainnet[:10])
    before = pool.merkle_mesh_root()
    with pytest.raises(BpciError):
        pool.reprice(-1)
    assert pool.merkle_mesh_root() == before


def test_restoring_gives_the_same_pool_after_replacement_and_seal(sign_raw: Sign) -> None:
    journal = [
        decode_transaction(raw)
        for raw in (
            sign_raw(1, nonce=0),
            sign_raw(1, nonce=1),
            sign_raw(1, nonce=0, max_fee=200, tip=200),
            sign_raw(2, nonce=7),
            sign_raw(2, nonce=7, max_fee=200, tip=200),
        )
    ]
    pool = filled(journal)
    pool.settle(journal[2].sender, 0)

    restored = Pool(TARGET, PoolLimits(entries=1, per_sender=1))
    restored.settle(journal[2].sender, 0)
    waiting = [(number, tx) for number, tx in enumerate(journal, start=1) if number != 3]
    placed = [restored.restore(tx, number, 1_700_000_000_000 + number) for number, tx in waiting]
    assert [entry is not None for entry in placed] == [False, True, True, True]
    assert restored.merkle_mesh_root() == pool.merkle_mesh_root()
    assert {entry.leaf.txid for entry in restored} == {entry.leaf.txid for entry in pool}


def test_a_journal_of_another_chain_is_not_restored(sign_raw: Sign) -> None:
    with pytest.raises(RefusedError) as caught:
        Pool(TARGET).restore(decode_transaction(sign_raw(chain_id=2)), 1, 1)
    assert caught.value.code == "entry.chain"
