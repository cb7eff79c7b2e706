"""The pinned vectors of docs/spec/mx-verkle.md, sections 7 to 9: with the product's code, and from the text alone."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bpci_node.errors import ProofError
from bpci_node.mempool.verify import Trust, verify_mempool_proof
from bpci_node.primitives.keys import public_key_of

DIRECTORY = Path(__file__).parents[3] / "docs" / "spec" / "vectors"


def octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    return json.loads((DIRECTORY / "mempool-proof.json").read_text())


@pytest.fixture(scope="module")
def trust(vectors: dict[str, Any]) -> Trust:
    return Trust(signer=public_key_of(vectors["signer"]))


def test_the_proofs_of_the_vectors_hold(vectors: dict[str, Any], trust: Trust) -> None:
    mempool = json.loads((DIRECTORY / "mempool.json").read_text())
    present = {item["key"] for item in mempool["buckets"]}
    for item in vectors["proofs"]:
        proof = verify_mempool_proof(octets(item["proof"]), trust)
        assert {entry.txid for bucket in proof.buckets for entry in bucket.entries} == set(map(octets, item["entries"]))
        assert set(proof.absent) == {octets(key) for key in item["buckets"] if key not in present}
        assert proof.encode() == octets(item["proof"])
        if proof.header.entries:
            verify_mempool_proof(octets(item["proof"]), Trust(mx_root=octets(vectors["mx_root"])))


def test_what_the_vectors_refuse_is_refused_with_their_codes(vectors: dict[str, Any], trust: Trust) -> None:
    assert len(vectors["refused"]) >= 15
    for item in vectors["refused"]:
        with pytest.raises(ProofError) as caught:
            verify_mempool_proof(octets(item["proof"]), trust)
        assert caught.value.code == item["code"], item["what"]


def test_a_second_implementation_from_the_text_alone_agrees(vectors: dict[str, Any]) -> None:
    mempool = json.loads((DIRECTORY / "mempool.json").read_text())
    leaves = {item["txid"]: (sha256(b"\x00" + octets(item["leaf"])).digest(), item) for item in mempool["entries"]}
    for bucket, item in zip(mempool["buckets"], vectors["buckets"], strict=True):
        assert bucket["key"] == item["key"]
        hashes = [leaves[txid][0] for txid in bucket["order"]]
        fees = [int(leaves[txid][1]["fee_per_w"]) for txid in bucket["order"]]
        top = sha256(b"BKK|v1|" + b"".join(hashes[:16])).digest()
        leaf = cbor2.dumps(
            [
                1,
                octets(bucket["bucket_id"]),
                bucket["count"],
                bucket["gas_sum"],
                fees[-1],
                fees[0],
                top,
                octets(bucket["merkle_root"]),
                item["sealed_epoch"],
            ]
        )
        assert leaf == octets(item["leaf"])
        assert sha256(b"BKL|v1|" + leaf).digest() == octets(item["digest"])
    roots = octets(vectors["verkle_root"]) + octets(mempool["merkle_mesh_root"])
    assert sha256(b"MXR|v1|" + roots).digest() == octets(vectors["mx_root"])

    header = cbor2.loads(octets(vectors["header"]))
    signature = header.pop("signature")
    digest = blake3(cbor2.dumps(header, canonical=True), derive_key_context="bpci 2026 mempool header v1").digest()
    Ed25519PublicKey.from_public_bytes(header["signer"]).verify(signature, digest)
    assert (header["mx_root"], header["entries"]) == (octets(vectors["mx_root"]), 9)
