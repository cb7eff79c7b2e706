"""The pinned vectors of native entries, cancellations and eviction, once more with nothing but the text."""

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from blake3 import blake3
from coincurve import PublicKey
from Crypto.Hash import keccak
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bpci_node.errors import BpciError
from bpci_node.mempool.cancellation import Cancellation
from bpci_node.mempool.entry import decode_entry
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig


def octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def hashed(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def check_ed25519(key: bytes, context: str, value: dict[str, Any], signature: bytes) -> None:
    message = blake3(cbor2.dumps(value, canonical=True), derive_key_context=context).digest()
    Ed25519PublicKey.from_public_bytes(key).verify(signature, message)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    path = Path(__file__).parents[3] / "docs" / "spec" / "vectors" / "mempool-rules.json"
    return json.loads(path.read_text())


def test_native_entries_follow_from_the_text(vectors: dict[str, Any]) -> None:
    for item in vectors["native_entries"]:
        raw = octets(item["raw"])
        value = cbor2.loads(raw)
        assert cbor2.dumps(value, canonical=True) == raw
        check_ed25519(value["key"], "bpci 2026 native entry v1", value, value.pop("signature"))
        assert set(value) == {"v", "ledger_id", "target", "kind", "key", "nonce", "fee", "gas", "body"}
        assert octets(item["txid"]) == hashed(raw)
        sender = blake3(value["key"], derive_key_context="bpci 2026 account v1").digest()[:20]
        assert octets(item["sender"]) == sender
        assert item["floor_gas"] == 21_000 + 16 * len(value["body"])
        kind = {"pof_update": 3, "settlement": 4}[value["kind"]]
        bin_number = min(value["fee"] // int(vectors["target"]["fee_bin_wei"]), 65_535)
        assert octets(item["bucket_key"]) == bytes([0, kind * 16 + 1 * 4 + 3]) + bin_number.to_bytes(2, "big")
        leaf = [1, hashed(raw), sender, value["nonce"], value["fee"], value["gas"], 1, 1, 0, b""]
        assert octets(item["leaf"]) == cbor2.dumps(leaf)


def test_cancellations_follow_from_the_text(vectors: dict[str, Any]) -> None:
    ethereum, native = vectors["cancellations"]
    value = cbor2.loads(octets(ethereum["cbor"]))
    signature = value["signature"]
    domain = hashed(
        hashed(b"EIP712Domain(string name,string version,uint256 chainId)")
        + hashed(b"BPCI Community OS")
        + hashed(b"1")
        + (1).to_bytes(32, "big")
    )
    message = hashed(
        hashed(b"CancelEntry(string ledger,string target,bytes32 txid,uint64 arrivalSeq)")
        + hashed(value["ledger_id"].encode())
        + hashed(value["target"].encode())
        + value["txid"]
        + value["arrival_seq"].to_bytes(32, "big")
    )
    digest = hashed(b"\x19\x01" + domain + message)
    assert octets(ethereum["digest"]) == digest
    recoverable = signature[:64] + bytes([signature[64] - 27])
    point = PublicKey.from_signature_and_message(recoverable, digest, hasher=None).format(compressed=False)
    assert octets(ethereum["sender"]) == hashed(point[1:])[12:]

    value = cbor2.loads(octets(native["cbor"]))
    check_ed25519(octets(native["key"]), "bpci 2026 entry cancellation v1", value, value.pop("signature"))
    for item in vectors["cancellations"]:
        assert Cancellation.decode(octets(item["cbor"])).encode() == octets(item["cbor"])


def test_who_leaves_is_as_in_the_vectors(vectors: dict[str, Any]) -> None:
    eviction, terms = vectors["eviction"], vectors["target"]
    target = TargetConfig(terms["id"], int(terms["base_fee_wei"]), fee_bin_wei=int(terms["fee_bin_wei"]))
    pool = Pool(target, PoolLimits(**eviction["limits"]), ledger_id=vectors["ledger_id"], is_checked=True)
    for step in eviction["steps"]:
        tx, number = decode_entry(octets(step["raw"])), step["arrival_seq"]
        state = SenderState(step["account"]["nonce"], int(step["account"]["balance_wei"]))
        if "code" in step:
            with pytest.raises(BpciError) as caught:
                pool.insert(tx, number, number, state=state)
            assert (caught.value.code, caught.value.details) == (step["code"], step["details"])
            continue
        admission = pool.insert(tx, number, number, state=state)
        assert [octets(txid) for txid in step["evicted"]] == list(admission.evicted)
        assert (octets(step["replaced"]) if step["replaced"] else None) == admission.replaced
        assert step["bound"] == admission.entry.is_bound
    waiting = {entry.leaf.txid: entry.is_bound for entry in pool}
    assert waiting == {octets(item["txid"]): item["bound"] for item in eviction["waiting"]}
    assert pool.merkle_mesh_root() == octets(eviction["merkle_mesh_root"])
