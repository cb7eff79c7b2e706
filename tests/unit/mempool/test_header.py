from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bpci_node.errors import FormatError, ProofError
from bpci_node.mempool.header import MxHeader, sign_header, verify_header
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.proof import MempoolProof
from bpci_node.primitives import codec
from bpci_node.primitives.keys import LocalSigner


@pytest.fixture(scope="module")
def header(real_pool: Pool, prove_pool: Callable[..., MempoolProof]) -> MxHeader:
    return prove_pool(real_pool, keys=[bytes(4)]).header


def test_a_header_says_what_the_pool_is(header: MxHeader, real_pool: Pool) -> None:
    roots = real_pool.roots()
    assert (header.verkle_root, header.merkle_mesh_root, header.mx_root) == (
        roots.verkle_root,
        roots.merkle_mesh_root,
        roots.mx_root,
    )
    assert (header.entries, header.buckets) == (1167, len(real_pool.buckets()))
    assert (header.target, header.base_fee, header.fee_bin_wei) == ("eip155:1", 45_000_000, 10_000_000)
    verify_header(header)


def test_a_header_has_one_encoding(header: MxHeader) -> None:
    data = header.encode()
    assert len(data) < 1024
    assert MxHeader.decode(data) == header
    assert MxHeader.decode(data).encode() == data
    bare = replace(header, certificate=None)
    assert MxHeader.decode(bare.encode()) == bare


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"ledger_id": "devnet"},
        {"target": "eip155:0"},
        {"region": 256},
        {"fee_bin_wei": 0},
        {"base_fee": -1},
        {"verkle_root": bytes(47)},
        {"mx_root": bytes(31)},
        {"entries": "1"},
        {"certificate": b""},
        {"certificate": bytes(1025)},
        {"signature": bytes(65)},
        {"more": 1},
    ],
)
def test_what_is_no_header_is_refused(header: MxHeader, change: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        MxHeader.decode(codec.encode(header.as_map() | change))
    assert caught.value.code == "mempool.header"


def test_a_header_lacks_nothing(header: MxHeader) -> None:
    for name in header.as_map():
        with pytest.raises(FormatError):
            MxHeader.decode(codec.encode({key: value for key, value in header.as_map().items() if key != name}))


def altered(value: Any) -> Any:
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    return value + 1 if isinstance(value, int) else value + "0"


def test_every_member_is_signed(header: MxHeader) -> None:
    for name in header.signed_map():
        if name == "v":
            continue
        value = getattr(header, name)
        with pytest.raises(ProofError) as caught:
            verify_header(replace(header, **{name: altered(value)}))
        assert caught.value.code == "proof.signature"


def test_a_signed_header_with_a_root_of_its_own_is_refused(header: MxHeader, node: LocalSigner) -> None:
    for name in ("verkle_root", "merkle_mesh_root", "mx_root"):
        value = getattr(header, name)
        with pytest.raises(ProofError) as caught:
            verify_header(sign_header(node, replace(header, **{name: bytes([value[0] ^ 1]) + value[1:]})))
        assert caught.value.code == "proof.mx_root"
