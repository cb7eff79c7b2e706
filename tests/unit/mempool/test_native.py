import base64
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.auction.verify import verify_bundle
from bpci_node.chain.account import account_id_of
from bpci_node.errors import BpciError, FormatError, ProofError, RefusedError
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry import decode_entry
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.native import MAX_BODY_BYTES, MAX_BYTES, NativeEntry, decode_native, sign_native
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.hashing import derive, keccak256
from bpci_node.primitives.keys import LocalSigner, did_of

LEDGER_ID = "devnet:" + "ab" * 32
SIGNER = LocalSigner(b"\x05" * 32)
TARGET = TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=20)


def native(**changes: Any) -> NativeEntry:
    values: dict[str, Any] = {
        "ledger_id": LEDGER_ID,
        "target": "eip155:1",
        "kind": EntryType.SETTLEMENT,
        "nonce": 3,
        "fee": 70,
        "gas": 100_000,
        "body": b"what was agreed",
    }
    return sign_native(changes.pop("signer", SIGNER), **values | changes)


def resigned(entry: NativeEntry, **changes: Any) -> bytes:
    """Sign a changed map with nothing of the product's but its hash."""
    value = {name: item for name, item in (entry.signed_value() | changes).items() if item is not None}
    message = derive("bpci 2026 native entry v1", cbor2.dumps(value, canonical=True))
    signature = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32).sign(message)
    return cbor2.dumps(value | {"signature": signature}, canonical=True)


def test_a_native_entry_reads_back_with_its_sender() -> None:
    entry = native()
    assert decode_entry(entry.raw) == entry
    assert resigned(entry) == entry.raw
    assert entry.txid == keccak256(entry.raw)
    assert account_id_of(SIGNER.public_key)[4:].encode() == base64.b32encode(entry.sender).lower()
    assert (entry.nonce, entry.fee, entry.gas, entry.body) == (3, 70, 100_000, b"what was agreed")
    assert entry.floor_gas == 21_000 + 16 * 15
    assert entry.cost_wei == 70 * 100_000


def test_it_waits_like_a_transaction_with_its_fee_as_gas_price() -> None:
    pool = Pool(TARGET, ledger_id=LEDGER_ID)
    update = native(kind=EntryType.POF_UPDATE, nonce=1)
    entry = pool.insert(update, 1, 1).entry
    assert (entry.leaf.fee_per_w, entry.leaf.gas, entry.leaf.sender) == (70, 100_000, update.sender)
    assert entry.bucket_key == bytes([0, 3 * 16 + 1 * 4 + 3, 0, 3])
    assert entry.pays_base_fee
    assert pool.insert(native(), 2, 2).entry.bucket_key[1] == 4 * 16 + 1 * 4 + 3
    assert not pool.insert(native(nonce=9, fee=49), 3, 3).entry.pays_base_fee


def test_it_is_replaced_and_limited_like_a_transaction() -> None:
    pool = Pool(TARGET, PoolLimits(per_sender=2), ledger_id=LEDGER_ID)
    first = native()
    pool.insert(first, 1, 1)
    with pytest.raises(RefusedError) as caught:
        pool.insert(native(fee=76), 2, 2)
    assert caught.value.code == "entry.underpriced"
    assert caught.value.details["max_fee"] == "77"
    assert pool.insert(native(fee=77), 2, 2).replaced == first.txid
    pool.insert(native(nonce=4), 3, 3)
    with pytest.raises(RefusedError) as caught:
        pool.insert(native(nonce=5), 4, 4)
    assert caught.value.code == "entry.sender_limit"


@pytest.mark.parametrize(
    ("ledger_id", "changes", "code"),
    [
        (LEDGER_ID, {"ledger_id": "devnet:" + "cd" * 32}, "entry.ledger"),
        (LEDGER_ID, {"target": "eip155:2"}, "entry.chain"),
        (None, {}, "entry.ledger"),
    ],
)
def test_it_is_good_for_one_pool_of_one_ledger_only(ledger_id: str | None, changes: dict[str, Any], code: str) -> None:
    pool = Pool(TARGET, ledger_id=ledger_id)
    for take in (pool.insert, pool.restore):
        with pytest.raises(RefusedError) as caught:
            take(native(**changes), 1, 1)
        assert caught.value.code == code
    assert len(pool) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": None},
        {"kind": "transfer"},
        {"kind": 3},
        {"ledger_id": "devnet"},
        {"target": "bip122:1"},
        {"key": b"\x05" * 31},
        {"nonce": -1},
        {"nonce": 2**63},
        {"nonce": True},
        {"fee": 2**63},
        {"fee": "70"},
        {"gas": 21_000 + 16 * 15 - 1},
        {"gas": 2**63},
        {"body": b""},
        {"body": "text"},
        {"body": bytes(MAX_BODY_BYTES + 1), "gas": 10**7},
        {"extra": 1},
    ],
)
def test_what_is_not_in_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        decode_native(resigned(native(), **changes))
    assert caught.value.code == "entry.format"


def test_the_longest_body_is_read_and_a_longer_entry_is_not_looked_at() -> None:
    assert len(native(body=bytes(MAX_BODY_BYTES), gas=10**6).raw) <= MAX_BYTES
    with pytest.raises(RefusedError) as caught:
        decode_entry(b"\xa0" + bytes(MAX_BYTES))
    assert caught.value.code == "entry.size"


def test_an_encoding_that_is_not_the_canonical_one_is_refused() -> None:
    value = cbor2.loads(native().raw)
    backwards = cbor2.dumps(dict(reversed(list(value.items()))))
    for data in (backwards, native().raw + b"\x00", native().raw[:-1], b"\xa0", b"\xbf\xff"):
        with pytest.raises(FormatError) as caught:
            decode_entry(data)
        assert caught.value.code == "entry.format"


@given(st.data())
def test_no_altered_entry_is_accepted(data: st.DataObject) -> None:
    raw = bytearray(native().raw)
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << at % 8
    with pytest.raises(BpciError):
        decode_native(bytes(raw))


@given(st.binary(max_size=600).map(lambda data: b"\xaa" + data))
def test_nothing_but_errors_of_ours_come_out_of_junk(data: bytes) -> None:
    with pytest.raises(BpciError):
        decode_entry(data)


def test_a_key_of_small_order_signs_nothing() -> None:
    value = native().signed_value() | {"key": bytes([1]) + bytes(31)}
    forged = codec.encode(value | {"signature": bytes([1]) + bytes(63)})
    with pytest.raises(RefusedError) as caught:
        decode_native(forged)
    assert caught.value.code == "entry.signature"


def test_a_bundle_with_native_entries_is_sealed_and_verified(seal: Any, sign_raw: Any, node: LocalSigner) -> None:
    pool = Pool(TARGET, ledger_id=LEDGER_ID)
    pool.insert(decode_transaction(sign_raw(1, max_fee=65, tip=65)), 1, 1)
    pool.insert(native(), 2, 2)
    pool.insert(native(nonce=4, kind=EntryType.POF_UPDATE, fee=300), 3, 3)
    bundle = seal(pool)
    verified = verify_bundle(bundle.encode(), signer=did_of(node.public_key))
    assert [entry.leaf.fee_per_w for entry in verified.entries] == [70, 300, 65]
    assert isinstance(verified.entries[0].transaction, NativeEntry)


def test_a_bundle_of_another_ledger_can_not_hold_them(seal: Any, node: LocalSigner) -> None:
    pool = Pool(TARGET, ledger_id=LEDGER_ID)
    pool.insert(native(), 1, 1)
    bundle = seal(pool, ledger_id="devnet:" + "cd" * 32)
    with pytest.raises(ProofError) as caught:
        verify_bundle(bundle.encode(), signer=did_of(node.public_key))
    assert caught.value.code == "bundle.entry"
