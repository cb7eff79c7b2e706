"""How headers and proofs look to people: JSON types, bytes as hexadecimal, amounts as decimal strings."""

from __future__ import annotations

from typing import Any

from bpci_node.mempool.bucket_key import BucketKey
from bpci_node.mempool.entry_leaf import EntryLeaf
from bpci_node.mempool.header import VERSION, MxHeader
from bpci_node.mempool.proof import BucketOpening, MempoolProof
from bpci_node.primitives.keys import did_of

_AMOUNTS = ("base_fee", "fee_bin_wei")


def header_view(header: MxHeader) -> dict[str, Any]:
    """Return the JSON view of a header; its signer by name."""
    view = {name: _hex(value) if isinstance(value, bytes) else value for name, value in header.as_map().items()}
    return view | {name: str(view[name]) for name in _AMOUNTS} | {"signer": did_of(header.signer)}


def proof_view(proof: MempoolProof) -> dict[str, Any]:
    """Return the JSON view of a proof. It can't be verified; the encoding can."""
    return {
        "v": VERSION,
        "header": header_view(proof.header),
        "buckets": [_bucket_view(bucket) for bucket in proof.buckets],
        "absent": [_hex(key) for key in proof.absent],
        "verkle": _hex(proof.verkle.encode()),
    }


def _bucket_view(bucket: BucketOpening) -> dict[str, Any]:
    key, leaf = BucketKey.decode(bucket.key), bucket.leaf
    return {
        "key": _hex(bucket.key),
        "bucket_id": _hex(leaf.bucket_id),
        "region": key.region,
        "type": key.kind.name.lower(),
        "gas_class": key.gas.name,
        "qlock_ms": key.qlock_ms,
        "fee_bin": key.fee_bin,
        "count": leaf.count,
        "gas_sum": leaf.gas_sum,
        "min_fee": str(leaf.min_fee),
        "max_fee": str(leaf.max_fee),
        "topk_digest": _hex(leaf.topk_digest),
        "merkle_root": _hex(leaf.merkle_root),
        "sealed_epoch": leaf.sealed_epoch,
        "entries": [
            _entry_view(position, entry) for position, entry in zip(bucket.positions, bucket.entries, strict=True)
        ],
        "path": [_hex(item) for item in bucket.path],
    }


def _entry_view(position: int, entry: EntryLeaf) -> dict[str, Any]:
    return {
        "position": position,
        "txid": _hex(entry.txid),
        "sender": _hex(entry.sender),
        "nonce": str(entry.nonce),
        "fee_per_w": str(entry.fee_per_w),
        "gas": entry.gas,
        "ts": entry.ts,
        "arrival_seq": entry.arrival_seq,
        "qos": entry.qos,
        "opaque": _hex(entry.opaque),
    }


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
