"""The pinned vectors of docs/spec/mempool.md: once with the product's code, once with nothing but the text."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from blake3 import blake3
from Crypto.Hash import keccak

from bpci_node.mempool.fees import outbidding
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.receipt import issue_receipt, verify_receipt
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.keys import LocalSigner


def octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    path = Path(__file__).parents[3] / "docs" / "spec" / "vectors" / "mempool.json"
    return json.loads(path.read_text())


def target_of(vectors: dict[str, Any]) -> TargetConfig:
    target = vectors["target"]
    return TargetConfig(**target | {name: int(target[name]) for name in ("base_fee_wei", "fee_bin_wei")})


@pytest.fixture(scope="module")
def pool(vectors: dict[str, Any]) -> Pool:
    pool = Pool(target_of(vectors))
    for item in vectors["entries"]:
        pool.insert(
            decode_transaction(octets(item["raw"])),
            item["arrival_seq"],
            item["arrival_ms"],
            qos=item["qos"],
            opaque=octets(item["opaque"]),
        )
    return pool


def test_entries_are_those_of_the_vectors(vectors: dict[str, Any], pool: Pool) -> None:
    for item in vectors["entries"]:
        entry = pool.find(octets(item["txid"]))
        assert entry is not None
        leaf = entry.leaf
        assert (leaf.sender, leaf.nonce) == (octets(item["sender"]), int(item["nonce"]))
        assert (leaf.fee_per_w, leaf.gas) == (int(item["fee_per_w"]), item["gas"])
        assert (entry.pays_base_fee, entry.bucket_key) == (item["pays_base_fee"], octets(item["bucket_key"]))
        assert leaf.encode() == octets(item["leaf"])


def test_buckets_and_roots_are_those_of_the_vectors(vectors: dict[str, Any], pool: Pool) -> None:
    for bucket, item in zip(pool.buckets(), vectors["buckets"], strict=True):
        assert (bucket.key, bucket.identifier) == (octets(item["key"]), octets(item["bucket_id"]))
        assert (len(bucket), bucket.gas_sum) == (item["count"], item["gas_sum"])
        assert [entry.leaf.txid for entry in bucket] == [octets(txid) for txid in item["order"]]
        assert bucket.merkle_root() == octets(item["merkle_root"])
    assert pool.merkle_mesh_root() == octets(vectors["merkle_mesh_root"])


def test_repricing_gives_the_root_of_the_vectors(vectors: dict[str, Any]) -> None:
    pool = Pool(target_of(vectors))
    for item in vectors["entries"]:
        tx = decode_transaction(octets(item["raw"]))
        pool.insert(tx, item["arrival_seq"], item["arrival_ms"], qos=item["qos"], opaque=octets(item["opaque"]))
    pool.reprice(int(vectors["repriced"]["base_fee_wei"]))
    assert pool.merkle_mesh_root() == octets(vectors["repriced"]["merkle_mesh_root"])


def test_replacement_fees_are_those_of_the_vectors(vectors: dict[str, Any]) -> None:
    for item in vectors["replacement"]:
        assert outbidding(int(item["fee"]), 10) == int(item["least"])


def test_receipts_are_those_of_the_vectors(vectors: dict[str, Any]) -> None:
    node = LocalSigner(octets(vectors["node_seed"]))
    for item in vectors["receipts"]:
        receipt = issue_receipt(
            node,
            target=vectors["target"]["id"],
            txid=octets(item["txid"]),
            arrival_seq=item["arrival_seq"],
            arrival_ms=item["arrival_ms"],
            previous=octets(item["previous"]),
        )
        assert receipt == octets(item["receipt"])
        assert verify_receipt(receipt, node_key=node.public_key).running_hash == octets(item["running_hash"])


def test_a_second_implementation_from_the_text_alone_agrees(vectors: dict[str, Any]) -> None:
    def merkle_root(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return sha256(b"\x00" + leaves[0]).digest()
        half = 1
        while half * 2 < len(leaves):
            half *= 2
        return sha256(b"\x01" + merkle_root(leaves[:half]) + merkle_root(leaves[half:])).digest()

    buckets: dict[bytes, list[tuple[int, int, bytes, bytes]]] = {}
    for item in vectors["entries"]:
        fee, nonce = int(item["fee_per_w"]), int(item["nonce"])
        txid, sender, opaque = (octets(item[name]) for name in ("txid", "sender", "opaque"))
        leaf = cbor2.dumps(
            [1, txid, sender, nonce, fee, item["gas"], item["arrival_ms"], item["arrival_seq"], item["qos"], opaque]
        )
        assert leaf == octets(item["leaf"])
        assert sha256(b"\x00" + leaf).digest() == octets(item["leaf_hash"])
        buckets.setdefault(octets(item["bucket_key"]), []).append((-fee, item["arrival_seq"], txid, leaf))
    mesh = []
    for key, members in sorted(buckets.items()):
        name = keccak.new(digest_bits=256, data=b"BKT|v2|" + b"\x08" + b"eip155:1" + key).digest()
        mesh.append(name + merkle_root([leaf for *_, leaf in sorted(members)]))
    assert merkle_root(mesh) == octets(vectors["merkle_mesh_root"])

    running = bytes(32)
    for item in vectors["receipts"]:
        # Canonical order of keys: shorter first, then byte by byte.
        step = cbor2.dumps(
            {
                "txid": octets(item["txid"]),
                "target": "eip155:1",
                "previous": running,
                "arrival_ms": item["arrival_ms"],
                "arrival_seq": item["arrival_seq"],
            }
        )
        running = blake3(step, derive_key_context="bpci 2026 entry order v1").digest()
        assert running == octets(item["running_hash"])
