"""The pinned vectors of docs/spec/bundle.md."""

import json
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.bundle import NO_PARENT, Bundle
from bpci_node.auction.seal import seal_bundle
from bpci_node.auction.selection import select
from bpci_node.auction.verify import verify_bundle
from bpci_node.errors import ProofError
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.keys import LocalSigner, public_key_of

VECTORS = Path(__file__).parents[3] / "docs" / "spec" / "vectors"


def octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    return json.loads((VECTORS / "bundle.json").read_text())


@pytest.fixture
def pool() -> Pool:
    mempool = json.loads((VECTORS / "mempool.json").read_text())
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000))
    for item in mempool["entries"]:
        tx = decode_transaction(octets(item["raw"]))
        pool.insert(tx, item["arrival_seq"], item["arrival_ms"], qos=item["qos"], opaque=octets(item["opaque"]))
    return pool


def test_sealing_the_pool_of_the_vectors_gives_their_bundles(vectors: dict[str, Any], pool: Pool) -> None:
    parent = NO_PARENT
    for item in vectors["bundles"]:
        selected = select(pool, item["gas_limit"])
        assert [entry.leaf.arrival_seq for entry in selected] == item["selected"]
        bundle = seal_bundle(
            pool,
            selected,
            signer=LocalSigner(octets(vectors["node_seed"])),
            ledger_id=vectors["ledger_id"],
            sequence=item["sequence"],
            parent=parent,
            time_ms=item["time_ms"],
            gas_limit=item["gas_limit"],
            certificate=octets(vectors["certificate"]),
        )
        assert codec.encode(bundle.header.as_map()) == octets(item["header"])
        assert bundle.encode() == octets(item["bundle"])
        parent = bundle.header.digest()
        assert parent == octets(item["digest"])
        for entry in selected:
            pool.settle(entry.leaf.sender, entry.leaf.nonce)


def test_the_bundles_of_the_vectors_hold(vectors: dict[str, Any]) -> None:
    network = (vectors["ledger_id"], public_key_of(vectors["registry_key"]))
    for item in vectors["bundles"]:
        verified = verify_bundle(octets(item["bundle"]), signer=vectors["signer"], network=network)
        assert verified.digest == octets(item["digest"])
        assert Bundle.decode(octets(item["bundle"])).encode() == octets(item["bundle"])


def test_what_the_vectors_refuse_is_refused_with_their_codes(vectors: dict[str, Any]) -> None:
    assert len(vectors["refused"]) >= 8
    for item in vectors["refused"]:
        with pytest.raises(ProofError) as caught:
            verify_bundle(octets(item["bundle"]), signer=vectors["signer"])
        assert caught.value.code == item["code"], item["what"]
