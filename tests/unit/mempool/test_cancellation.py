from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from coincurve import PrivateKey
from Crypto.Hash import keccak
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.errors import BpciError, FormatError, NotFoundError, RefusedError
from bpci_node.mempool.cancellation import MAX_BYTES, Cancellation, sign_cancellation, typed_data, typed_digest
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.native import sign_native
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import ORDER, Transaction, decode_transaction
from bpci_node.primitives.keys import LocalSigner

LEDGER_ID = "devnet:" + "ab" * 32
OTHER_LEDGER = "devnet:" + "cd" * 32
TARGET = TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=20)
NATIVE = LocalSigner(b"\x05" * 32)
Sign = Callable[..., bytes]


def hashed(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def signed(key: int, *, high_s: bool = False, **changes: Any) -> Cancellation:
    cancellation = Cancellation(**{"ledger_id": LEDGER_ID, "target": "eip155:1", "signature": b""} | changes)
    made = PrivateKey(key.to_bytes(32, "big")).sign_recoverable(typed_digest(cancellation), hasher=None)
    s, parity = int.from_bytes(made[32:64], "big"), made[64]
    if high_s:
        s, parity = ORDER - s, parity ^ 1
    return replace(cancellation, signature=made[:32] + s.to_bytes(32, "big") + bytes([27 + parity]))


@pytest.fixture
def tx(sign_raw: Sign) -> Transaction:
    return decode_transaction(sign_raw(1))


@pytest.fixture
def pool(sign_raw: Sign, tx: Transaction) -> Pool:
    pool = Pool(TARGET, ledger_id=LEDGER_ID)
    pool.insert(tx, 7, 7)
    pool.insert(decode_transaction(sign_raw(2)), 8, 8)
    return pool


def refusal(pool: Pool, cancellation: Cancellation) -> BpciError:
    before = pool.roots()
    with pytest.raises(BpciError) as caught:
        pool.cancel(cancellation)
    assert pool.roots() == before
    return caught.value


def test_a_sender_takes_its_entry_back(pool: Pool, tx: Transaction) -> None:
    gone = pool.cancel(signed(1, txid=tx.txid, arrival_seq=7))
    assert gone.transaction is tx
    assert len(pool) == 1
    assert pool.find(tx.txid) is None


def test_a_native_sender_takes_its_entry_back(pool: Pool) -> None:
    entry = sign_native(
        NATIVE,
        ledger_id=LEDGER_ID,
        target="eip155:1",
        kind=EntryType.SETTLEMENT,
        nonce=0,
        fee=60,
        gas=30_000,
        body=b"x",
    )
    pool.insert(entry, 9, 9)
    terms = {"ledger_id": LEDGER_ID, "target": "eip155:1", "txid": entry.txid, "arrival_seq": 9}
    assert refusal(pool, sign_cancellation(LocalSigner(b"\x06" * 32), **terms)).code == "entry.not_yours"
    assert refusal(pool, signed(1, txid=entry.txid, arrival_seq=9)).code == "entry.not_yours"
    assert pool.cancel(sign_cancellation(NATIVE, **terms)).transaction is entry


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ledger_id": OTHER_LEDGER}, "entry.ledger"),
        ({"target": "eip155:5"}, "entry.chain"),
        ({"txid": b"\x01" * 32}, "entry.not_waiting"),
        ({"arrival_seq": 8}, "entry.stale_cancellation"),
    ],
)
def test_it_is_good_for_one_stay_of_one_entry_in_one_pool(
    pool: Pool, tx: Transaction, changes: dict[str, Any], code: str
) -> None:
    assert refusal(pool, signed(1, **{"txid": tx.txid, "arrival_seq": 7} | changes)).code == code


def test_it_says_nothing_of_the_same_transaction_when_that_comes_again(pool: Pool, tx: Transaction) -> None:
    cancellation = signed(1, txid=tx.txid, arrival_seq=7)
    pool.cancel(cancellation)
    with pytest.raises(NotFoundError):
        pool.cancel(cancellation)
    pool.insert(tx, 9, 9)
    error = refusal(pool, cancellation)
    assert (error.code, error.details) == ("entry.stale_cancellation", {"arrival_seq": 9})
    pool.cancel(signed(1, txid=tx.txid, arrival_seq=9))


@pytest.mark.parametrize("change", ["key", "high_s", "v", "r", "ed25519"])
def test_nobody_takes_back_what_is_not_theirs(pool: Pool, tx: Transaction, change: str) -> None:
    own = signed(1, txid=tx.txid, arrival_seq=7)
    cancellation = {
        "key": signed(2, txid=tx.txid, arrival_seq=7),
        "high_s": signed(1, high_s=True, txid=tx.txid, arrival_seq=7),
        "v": replace(own, signature=own.signature[:64] + bytes([own.signature[64] - 27])),
        "r": replace(own, signature=bytes(32) + own.signature[32:]),
        "ed25519": sign_cancellation(NATIVE, ledger_id=LEDGER_ID, target="eip155:1", txid=tx.txid, arrival_seq=7),
    }[change]
    assert refusal(pool, cancellation).code == "entry.not_yours"


def test_what_others_were_pushed_out_for_is_not_taken_back(sign_raw: Sign) -> None:
    pool = Pool(TARGET, PoolLimits(entries=3), ledger_id=LEDGER_ID)
    for key in (1, 2, 3):
        pool.insert(decode_transaction(sign_raw(key)), key, key)
    evictor = decode_transaction(sign_raw(4, max_fee=200, tip=200))
    assert len(pool.insert(evictor, 4, 4).evicted) == 1
    assert refusal(pool, signed(4, txid=evictor.txid, arrival_seq=4)).code == "entry.bound"
    again = decode_transaction(sign_raw(4, max_fee=300, tip=300))
    assert pool.insert(again, 5, 5).entry.is_bound
    assert refusal(pool, signed(4, txid=again.txid, arrival_seq=5)).code == "entry.bound"


def test_nothing_is_taken_back_while_the_pool_is_crowded(sign_raw: Sign) -> None:
    pool = Pool(TARGET, PoolLimits(entries=16), ledger_id=LEDGER_ID)
    entries = [decode_transaction(sign_raw(key)) for key in range(1, 16)]
    for number, tx in enumerate(entries, start=1):
        pool.insert(tx, number, number)
    assert refusal(pool, signed(1, txid=entries[0].txid, arrival_seq=1)).code == "mempool.crowded"
    pool.settle(entries[14].sender, 0)
    pool.cancel(signed(1, txid=entries[0].txid, arrival_seq=1))


def test_a_replacement_that_pushed_nobody_out_can_be_taken_back(pool: Pool, sign_raw: Sign) -> None:
    again = decode_transaction(sign_raw(1, max_fee=300, tip=300))
    pool.insert(again, 9, 9)
    assert pool.cancel(signed(1, txid=again.txid, arrival_seq=9)).transaction is again


def test_it_reads_back_as_it_was_written() -> None:
    cancellation = signed(1, txid=b"\x02" * 32, arrival_seq=2**63 - 1)
    assert Cancellation.decode(cancellation.encode()) == cancellation
    assert len(cancellation.encode()) <= MAX_BYTES


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"ledger_id": "devnet"},
        {"target": "eip155:0"},
        {"txid": b"\x01" * 31},
        {"arrival_seq": 0},
        {"arrival_seq": 2**63},
        {"signature": b""},
        {"signature": bytes(63)},
        {"signature": bytes(66)},
        {"extra": 1},
        {"txid": None},
    ],
)
def test_what_is_not_in_form_is_refused(change: dict[str, Any]) -> None:
    value = cbor2.loads(signed(1, txid=b"\x02" * 32, arrival_seq=1).encode()) | change
    value = {name: item for name, item in value.items() if item is not None}
    with pytest.raises(FormatError) as caught:
        Cancellation.decode(cbor2.dumps(value, canonical=True))
    assert caught.value.code == "entry.cancellation"


@given(st.binary(max_size=600))
def test_junk_is_no_cancellation(data: bytes) -> None:
    with pytest.raises(FormatError):
        Cancellation.decode(data)


def test_the_digest_is_that_of_eip_712_computed_by_its_text() -> None:
    cancellation = Cancellation(LEDGER_ID, "eip155:137", b"\x02" * 32, 300, b"")
    domain = hashed(
        hashed(b"EIP712Domain(string name,string version,uint256 chainId)")
        + hashed(b"BPCI Community OS")
        + hashed(b"1")
        + (137).to_bytes(32, "big")
    )
    message = hashed(
        hashed(b"CancelEntry(string ledger,string target,bytes32 txid,uint64 arrivalSeq)")
        + hashed(LEDGER_ID.encode())
        + hashed(b"eip155:137")
        + b"\x02" * 32
        + (300).to_bytes(32, "big")
    )
    assert typed_digest(cancellation) == hashed(b"\x19\x01" + domain + message)


def test_a_wallet_is_told_what_it_signs() -> None:
    shown = typed_data(Cancellation(LEDGER_ID, "eip155:137", b"\x02" * 32, 300, b""))
    assert shown["domain"] == {"name": "BPCI Community OS", "version": "1", "chainId": 137}
    assert shown["message"] == {
        "ledger": LEDGER_ID,
        "target": "eip155:137",
        "txid": "0x" + "02" * 32,
        "arrivalSeq": "300",
    }
    assert shown["types"]["CancelEntry"] == [
        {"name": "ledger", "type": "string"},
        {"name": "target", "type": "string"},
        {"name": "txid", "type": "bytes32"},
        {"name": "arrivalSeq", "type": "uint64"},
    ]


def test_a_refused_cancellation_is_an_error_of_the_callers(pool: Pool, tx: Transaction) -> None:
    error = refusal(pool, signed(2, txid=tx.txid, arrival_seq=7))
    assert isinstance(error, RefusedError)
    assert error.http_status == 409
