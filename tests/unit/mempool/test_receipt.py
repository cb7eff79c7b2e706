from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.errors import BpciError, ProofError
from bpci_node.mempool.receipt import (
    ORDER_CONTEXT,
    START,
    EntryReceipt,
    issue_receipt,
    next_running_hash,
    verify_receipt,
)
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import LocalSigner, sign_object

NODE = LocalSigner(b"\x01" * 32)
OTHER = LocalSigner(b"\x02" * 32)


def receipt(signer: LocalSigner = NODE, arrival_seq: int = 1, previous: bytes = START) -> EntryReceipt:
    data = issue_receipt(
        signer,
        target="eip155:1",
        txid=bytes([arrival_seq]) * 32,
        arrival_seq=arrival_seq,
        arrival_ms=1_700_000_000_000,
        previous=previous,
    )
    return EntryReceipt.decode(data)


def test_a_receipt_holds_for_its_node_and_no_other() -> None:
    issued = receipt()
    assert verify_receipt(issued.encode(), node_key=NODE.public_key) == issued
    with pytest.raises(ProofError) as caught:
        verify_receipt(issued.encode(), node_key=OTHER.public_key)
    assert caught.value.code == "mempool.receipt"


def test_receipts_form_a_chain() -> None:
    first = receipt()
    second = receipt(arrival_seq=2, previous=first.running_hash)
    assert second.running_hash == next_running_hash(first.running_hash, "eip155:1", second.txid, 2, 1_700_000_000_000)
    assert receipt(arrival_seq=2).running_hash != second.running_hash


@given(
    seq=st.integers(0, 2**63 - 1),
    ms=st.integers(0, 2**63 - 1),
    chain=st.integers(1, 2**64 - 1),
    previous=st.binary(min_size=32, max_size=32),
)
def test_the_running_hash_is_over_the_canonical_map(seq: int, ms: int, chain: int, previous: bytes) -> None:
    target, txid = f"eip155:{chain}", b"\x07" * 32
    step = {"previous": previous, "target": target, "txid": txid, "arrival_seq": seq, "arrival_ms": ms}
    assert next_running_hash(previous, target, txid, seq, ms) == derive(ORDER_CONTEXT, encode(step))


@given(
    seq=st.integers(1, 2**63 - 1),
    ms=st.integers(0, 2**63 - 1),
    chain=st.integers(1, 2**64 - 1),
    previous=st.binary(min_size=32, max_size=32),
)
def test_an_issued_receipt_is_the_canonical_map(seq: int, ms: int, chain: int, previous: bytes) -> None:
    target, txid = f"eip155:{chain}", b"\x07" * 32
    data = issue_receipt(NODE, target=target, txid=txid, arrival_seq=seq, arrival_ms=ms, previous=previous)
    found = verify_receipt(data, node_key=NODE.public_key)
    assert found.encode() == data
    assert (found.target, found.txid, found.arrival_seq, found.arrival_ms) == (target, txid, seq, ms)


def test_every_altered_byte_is_refused() -> None:
    data = receipt().encode()
    for position in range(len(data)):
        for flip in (0x01, 0x80):
            altered = bytearray(data)
            altered[position] ^= flip
            with pytest.raises(ProofError):
                verify_receipt(bytes(altered), node_key=NODE.public_key)


def test_a_well_signed_receipt_whose_running_hash_does_not_follow_is_refused() -> None:
    false = replace(receipt(), running_hash=b"\x05" * 32)
    false = replace(false, signature=sign_object(NODE, "bpci 2026 entry receipt v1", false.signed_value()))
    with pytest.raises(ProofError) as caught:
        verify_receipt(false.encode(), node_key=NODE.public_key)
    assert "does not follow" in caught.value.message


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\x80", b"\x00" * 2000])
def test_what_is_no_receipt_is_refused(data: bytes) -> None:
    with pytest.raises(BpciError):
        EntryReceipt.decode(data)
    with pytest.raises(ProofError):
        verify_receipt(data, node_key=NODE.public_key)
