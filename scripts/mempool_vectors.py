"""The vectors of native entries, cancellations and eviction: ``docs/spec/vectors/mempool-rules.json``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import rlp
from coincurve import PrivateKey

from bpci_node.mempool.cancellation import Cancellation, sign_cancellation, typed_data, typed_digest
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry import Signed
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.native import sign_native
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import Transaction, decode_transaction
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.keys import LocalSigner

LEDGER_ID = "vectors:" + "5a" * 32
TARGET = TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=20)
SEED = bytes([9]) * 32


def transaction(key: int, nonce: int, fee: int, data: bytes = b"", gas: int = 21_000) -> Transaction:
    """Return a transaction signed with the private key of this number, built without the code under test."""
    fields: list[Any] = [1, nonce, fee, fee, gas, b"\x22" * 20, 0, data, []]
    digest = keccak256(b"\x02" + rlp.encode(fields))
    made = PrivateKey(key.to_bytes(32, "big")).sign_recoverable(digest, hasher=None)
    numbers = [made[64], int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big")]
    return decode_transaction(b"\x02" + rlp.encode(fields + numbers))


def natives() -> list[dict[str, Any]]:
    """Native entries with what follows from them."""
    items = []
    for kind, nonce, fee, body in (
        (EntryType.POF_UPDATE, 0, 70, b"\x00"),
        (EntryType.SETTLEMENT, 2**63 - 1, 2**63 - 1, b"settled"),
    ):
        entry = sign_native(
            LocalSigner(SEED),
            ledger_id=LEDGER_ID,
            target=TARGET.id,
            kind=kind,
            nonce=nonce,
            fee=fee,
            gas=100_000,
            body=body,
        )
        waiting = Pool(TARGET, ledger_id=LEDGER_ID).insert(entry, 1, 1).entry
        items.append(
            {
                "map": entry.signed_value() | {"nonce": str(nonce), "fee": str(fee)},
                "raw": entry.raw,
                "txid": entry.txid,
                "sender": entry.sender,
                "floor_gas": entry.floor_gas,
                "bucket_key": waiting.bucket_key,
                "leaf": waiting.leaf.encode(),
            }
        )
    return items


def cancellations() -> list[dict[str, Any]]:
    """One by an Ethereum sender, one by a native one."""
    tx = transaction(1, 0, 60)
    unsigned = Cancellation(LEDGER_ID, TARGET.id, tx.txid, 7, b"")
    made = PrivateKey((1).to_bytes(32, "big")).sign_recoverable(typed_digest(unsigned), hasher=None)
    ethereum = replace(unsigned, signature=made[:64] + bytes([27 + made[64]]))
    native = sign_cancellation(
        LocalSigner(SEED), ledger_id=LEDGER_ID, target=TARGET.id, txid=bytes([3]) * 32, arrival_seq=2**63 - 1
    )
    return [
        {
            "sender": tx.sender,
            "entry": tx.raw,
            "typed_data": typed_data(unsigned),
            "digest": typed_digest(unsigned),
            "cbor": ethereum.encode(),
        },
        {"key": LocalSigner(SEED).public_key, "map": native.signed_value(), "cbor": native.encode()},
    ]


def evictions() -> dict[str, Any]:
    """A full, checked pool and what comes to it, one after another."""
    limits = PoolLimits(entries=4, raw_bytes=4 * 108)
    pool = Pool(TARGET, limits, ledger_id=LEDGER_ID, is_checked=True)
    rich = SenderState(0, 10**12)
    steps: list[dict[str, Any]] = []

    def insert(tx: Signed, state: SenderState = rich) -> None:
        number = len(steps) + 1
        step: dict[str, Any] = {
            "raw": tx.raw,
            "account": {"nonce": state.nonce, "balance_wei": str(state.balance_wei)},
            "arrival_seq": number,
        }
        try:
            admission = pool.insert(tx, number, number, state=state)
        except Exception as error:  # noqa: BLE001 - its code is the vector
            step |= {"code": getattr(error, "code", ""), "details": getattr(error, "details", {})}
        else:
            bound = admission.entry.is_bound
            step |= {"replaced": admission.replaced, "evicted": list(admission.evicted), "bound": bound}
        steps.append(step)

    insert(transaction(1, 0, 100))
    insert(transaction(1, 1, 900))
    insert(transaction(2, 0, 200))
    insert(transaction(3, 5, 10_000))  # behind a gap
    insert(transaction(4, 0, 60))  # the idle one leaves
    insert(transaction(5, 0, 65))  # too little
    insert(transaction(5, 1, 10_000))  # a gap, in a full pool
    insert(transaction(5, 0, 300), SenderState(0, 300 * 21_000 - 1))  # can't pay
    insert(transaction(5, 0, 66))
    insert(transaction(6, 0, 111))
    insert(transaction(6, 0, 122))  # too little for a replacement
    insert(transaction(6, 0, 123))
    insert(transaction(1, 2, 10_000))  # worth no more than its sender's first nonce
    insert(transaction(1, 1, 10_000))  # a replacement needs no room
    insert(transaction(7, 0, 300, data=b"\x01" * 100, gas=30_000))  # a long one for two
    insert(transaction(7, 0, 400))  # would use less gas
    return {
        "limits": {"entries": limits.entries, "raw_bytes": limits.raw_bytes, "replacement_percent": 10},
        "steps": steps,
        "waiting": [
            {"txid": entry.leaf.txid, "bound": entry.is_bound}
            for entry in sorted(pool, key=lambda item: item.leaf.arrival_seq)
        ],
        "merkle_mesh_root": pool.merkle_mesh_root(),
    }


def mempool_rules() -> dict[str, Any]:
    """Everything of this file."""
    return {
        "about": "docs/spec/mempool.md; Ethereum keys are the integers 1 to 7, the native seed is 0x09 repeated",
        "ledger_id": LEDGER_ID,
        "target": {"id": TARGET.id, "base_fee_wei": "50", "fee_bin_wei": "20"},
        "native_seed": SEED,
        "native_entries": natives(),
        "cancellations": cancellations(),
        "eviction": evictions(),
    }
