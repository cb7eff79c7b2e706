from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bpci_node.auction.bundle import Bundle
from bpci_node.auction.verify import verify_bundle
from bpci_node.errors import FormatError, RefusedError
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.keys import LocalSigner, did_of

Seal = Callable[..., Bundle]


def test_a_bundle_reads_back_as_it_was_written(seal: Seal, small_pool: Pool) -> None:
    bundle = seal(small_pool)
    assert Bundle.decode(bundle.encode()) == bundle


def test_sealing_leaves_the_pool_as_it_is_and_is_deterministic(seal: Seal, small_pool: Pool) -> None:
    before = small_pool.merkle_mesh_root()
    assert seal(small_pool).encode() == seal(small_pool).encode()
    assert small_pool.merkle_mesh_root() == before
    assert len(small_pool) == 8


def test_the_header_says_what_was_sealed_from_what(seal: Seal, small_pool: Pool) -> None:
    header = seal(small_pool).header
    assert (header.count, header.pool_count, header.bucket_count) == (6, 8, len(small_pool.buckets()))
    assert header.gas_used == 21_000 * 4 + 100_000 + 400_000
    assert header.mesh_root == small_pool.merkle_mesh_root()


def test_an_empty_selection_is_not_sealed(seal: Seal) -> None:
    with pytest.raises(RefusedError) as caught:
        seal(Pool(TargetConfig("eip155:1", base_fee_wei=50)))
    assert caught.value.code == "bundle.empty"


@pytest.mark.parametrize("gas_limit", [-1, 0, 20_999, 2**63])
def test_a_gas_limit_that_no_reader_accepts_is_not_sealed(seal: Seal, small_pool: Pool, gas_limit: int) -> None:
    with pytest.raises(FormatError) as caught:
        seal(small_pool, gas_limit=gas_limit)
    assert caught.value.code == "bundle.gas_limit"


def test_only_the_first_bundle_has_no_parent(seal: Seal, small_pool: Pool) -> None:
    for changes in ({"sequence": 2}, {"parent": b"\x01" * 32}):
        with pytest.raises(RefusedError) as caught:
            seal(small_pool, **changes)
        assert caught.value.code == "bundle.parent"


def test_bundles_form_a_chain_through_their_headers(
    seal: Seal, sign_raw: Callable[..., bytes], node: LocalSigner
) -> None:
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=20))
    for key in (1, 2, 3):
        pool.insert(decode_transaction(sign_raw(key, gas=30_000)), key, key)
    first = verify_bundle(seal(pool, gas_limit=60_000).encode(), signer=did_of(node.public_key))
    for entry in first.entries:
        pool.settle(entry.leaf.sender, entry.leaf.nonce)
    second = verify_bundle(
        seal(pool, gas_limit=60_000, sequence=2, parent=first.digest).encode(), signer=did_of(node.public_key)
    )
    assert second.bundle.header.parent == first.bundle.header.digest()
    assert (second.bundle.header.pool_count, len(second.entries)) == (1, 1)
    assert not {e.leaf.txid for e in first.entries} & {e.leaf.txid for e in second.entries}


def test_the_digest_is_that_of_the_header_alone(seal: Seal, small_pool: Pool) -> None:
    bundle = seal(small_pool)
    assert replace(bundle, certificate=None).header.digest() == bundle.header.digest()
    assert replace(bundle.header, time_ms=1).digest() != bundle.header.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"extra": 1},
        {"certificate": b""},
        {"certificate": b"\x00" * 1025},
        {"signer": b"\x00" * 31},
        {"signature": b"\x00" * 63},
        {"entries": {}},
        {"entries": [{}]},
        {"buckets": [1]},
        {"proofs": {"buckets": [], "mesh": b"\x00" * 31}},
        {"proofs": {"buckets": [], "mesh": []}},
        {"header": None},
    ],
)
def test_what_is_not_in_form_is_refused(seal: Seal, small_pool: Pool, change: dict[str, Any]) -> None:
    value = codec.decode(seal(small_pool).encode())
    with pytest.raises(FormatError) as caught:
        Bundle.decode(codec.encode(value | change))
    assert caught.value.code == "bundle.format"


@pytest.mark.parametrize(
    "change",
    [
        {"v": 0},
        {"sequence": 0},
        {"parent": b""},
        {"ledger_id": "devnet"},
        {"target": "eip155:0"},
        {"base_fee": -1},
        {"base_fee": True},
        {"fee_bin_wei": 0},
        {"region": 256},
        {"gas_limit": 2**63},
        {"count": 0},
        {"bucket_count": 2**40},
        {"pool_count": 0},
    ],
)
def test_a_header_out_of_range_is_refused(seal: Seal, small_pool: Pool, change: dict[str, Any]) -> None:
    value = codec.decode(seal(small_pool).encode())
    value["header"] |= change
    with pytest.raises(FormatError) as caught:
        Bundle.decode(codec.encode(value))
    assert caught.value.code == "bundle.format"


@pytest.mark.parametrize(
    "change", [{"raw": b""}, {"raw": b"\x00" * 131_073}, {"arrival_seq": 0}, {"qos": 256}, {"opaque": b"\x00" * 65}]
)
def test_an_entry_out_of_range_is_refused(seal: Seal, small_pool: Pool, change: dict[str, Any]) -> None:
    value = codec.decode(seal(small_pool).encode())
    value["entries"][0] |= change
    with pytest.raises(FormatError):
        Bundle.decode(codec.encode(value))


@pytest.mark.parametrize("change", [{"key": b"\x00"}, {"count": 0}, {"positions": [-1]}, {"positions": [True]}])
def test_a_bucket_out_of_range_is_refused(seal: Seal, small_pool: Pool, change: dict[str, Any]) -> None:
    value = codec.decode(seal(small_pool).encode())
    value["buckets"][0] |= change
    with pytest.raises(FormatError):
        Bundle.decode(codec.encode(value))
