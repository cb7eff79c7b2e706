from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.auction.batch_signature import BatchSignature, sign_batch, verify_batched
from bpci_node.auction.commit_receipt import (
    SIGNATURE_CONTEXT,
    Arrival,
    CommitReceipt,
    issue_commit_receipts,
    next_running_hash,
    order_start,
    verify_commit_receipt,
)
from bpci_node.auction.commit_set import (
    CommitSet,
    Omission,
    prove_omission,
    set_leaves,
    verify_omission,
    verify_set,
)
from bpci_node.auction.window import WindowId
from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.primitives import merkle
from bpci_node.primitives.codec import encode
from tests.unit.auction.scene import COORDINATOR, EPOCH, LEDGER_ID, NODES, WINDOW, bid, closed

COMMITS = [bid(number).commit for number in range(1, 6)]
NAMES = [commit.commit_id for commit in COMMITS]


def arrivals() -> list[Arrival]:
    found, before = [], order_start(LEDGER_ID, EPOCH, WINDOW)
    for position, commit in enumerate(COMMITS):
        seq = WINDOW.first_seq + position
        after = next_running_hash(before, commit.commit_id, seq)
        found.append(Arrival(commit, commit.commit_id, seq, before, after))
        before = after
    return found


RECEIPTS = issue_commit_receipts(COORDINATOR, LEDGER_ID, EPOCH, arrivals())
SET = closed(COMMITS)


def verify(receipt: CommitReceipt, key: bytes = COORDINATOR.public_key, ledger_id: str = LEDGER_ID) -> CommitReceipt:
    return verify_commit_receipt(receipt.encode(), coordinator=key, ledger_id=ledger_id)


def test_one_signature_serves_a_batch_and_every_receipt_holds_alone() -> None:
    assert len({receipt.signed.signature for receipt in RECEIPTS}) == 1
    assert [verify(receipt) for receipt in RECEIPTS] == RECEIPTS
    assert RECEIPTS[-1].running_hash == SET.running_hash


def test_a_receipt_is_of_one_coordinator_and_one_ledger() -> None:
    for key, ledger_id in ((NODES[1].public_key, LEDGER_ID), (COORDINATOR.public_key, "other:" + "ab" * 32)):
        with pytest.raises(ProofError) as caught:
            verify(RECEIPTS[0], key, ledger_id)
        assert caught.value.code == "commit.receipt"


def test_every_altered_byte_of_a_receipt_is_refused() -> None:
    data = RECEIPTS[2].encode()
    for position in range(len(data)):
        altered = bytearray(data)
        altered[position] ^= 1
        with pytest.raises(ProofError):
            verify_commit_receipt(bytes(altered), coordinator=COORDINATOR.public_key, ledger_id=LEDGER_ID)


def test_a_well_signed_receipt_whose_running_hash_does_not_follow_is_refused() -> None:
    false = replace(RECEIPTS[0], running_hash=bytes(32))
    signed = sign_batch(COORDINATOR, SIGNATURE_CONTEXT, [encode(false.statement())])
    with pytest.raises(ProofError) as caught:
        verify(replace(false, signed=signed[0]))
    assert "does not follow" in caught.value.message


@given(size=st.integers(1, 40), pick=st.integers(0, 39), other=st.integers(1, 39))
def test_a_batch_signature_holds_for_its_statement_in_its_place(size: int, pick: int, other: int) -> None:
    statements = [b"statement %d" % number for number in range(size)]
    signed = sign_batch(COORDINATOR, "bpci 2026 test v1", statements)
    index = pick % size
    path = b"".join(merkle.audit_path([merkle.leaf_hash(item) for item in statements], index))
    assert signed[index].path == path
    verify_batched(COORDINATOR.public_key, "bpci 2026 test v1", statements[index], signed[index])
    for false in (
        replace(signed[index], index=(index + other) % (size + 1)),
        replace(signed[index], size=size + other),
        replace(signed[index], path=path + bytes(32)),
        replace(signed[index], path=path[32:] if path else bytes(32)),
    ):
        if false != signed[index]:
            with pytest.raises(ProofError):
                verify_batched(COORDINATOR.public_key, "bpci 2026 test v1", statements[index], false)
    with pytest.raises(ProofError):
        verify_batched(COORDINATOR.public_key, "bpci 2026 other v1", statements[index], signed[index])


def test_what_is_put_together_by_hand_is_the_canonical_map() -> None:
    for receipt in RECEIPTS:
        whole = receipt.statement() | {"signed": receipt.signed.as_map()}
        assert receipt.signed_bytes() == encode(receipt.statement())
        assert receipt.encode() == encode(whole)
        assert CommitReceipt.decode(receipt.encode()) == receipt


@pytest.mark.parametrize("change", [{"path": b"\x00"}, {"path": bytes(352)}, {"index": 1}, {"size": 0}, {"size": 1025}])
def test_a_malformed_batch_signature_is_refused(change: dict[str, object]) -> None:
    value = BatchSignature(0, 1, b"", bytes(64)).as_map() | change
    with pytest.raises(FormatError) as caught:
        BatchSignature.from_map(value, code="commit.receipt")
    assert caught.value.code == "commit.receipt"


def test_a_set_comes_back_from_its_bytes_and_is_that_of_its_commits_alone() -> None:
    assert CommitSet.decode(SET.encode()) == SET
    verify_set(SET, NAMES, coordinator=COORDINATOR.public_key, ledger_id=LEDGER_ID)
    for names in (NAMES[:-1], NAMES[::-1], [*NAMES, bytes(32)], []):
        with pytest.raises(ProofError) as caught:
            verify_set(SET, names, coordinator=COORDINATOR.public_key, ledger_id=LEDGER_ID)
        assert caught.value.code == "commit.set"


@pytest.mark.parametrize("change", [{"count": 4}, {"root": bytes(32)}, {"running_hash": bytes(32)}])
def test_a_well_signed_set_that_is_not_that_of_its_commits_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProofError) as caught:
        verify_set(closed(COMMITS, **change), NAMES, coordinator=COORDINATOR.public_key, ledger_id=LEDGER_ID)
    assert caught.value.code == "commit.set"


def test_a_set_is_signed_by_its_coordinator_for_its_ledger() -> None:
    for false, key, ledger_id in (
        (replace(SET, closed_us=SET.closed_us + 1), COORDINATOR.public_key, LEDGER_ID),
        (SET, NODES[1].public_key, LEDGER_ID),
        (SET, COORDINATOR.public_key, "other:" + "ab" * 32),
    ):
        with pytest.raises(ProofError):
            verify_set(false, NAMES, coordinator=key, ledger_id=ledger_id)


def test_the_digest_of_a_set_covers_all_but_the_signature() -> None:
    changed = [
        replace(SET, **change)
        for change in (
            {"ledger_id": "other:" + "ab" * 32},
            {"epoch": 4},
            {"window": WindowId("eip155:1", 100, 18_001)},
            {"count": 6},
            {"root": bytes(32)},
            {"running_hash": bytes(32)},
            {"closed_us": 0},
            {"coordinator": bytes(32)},
        )
    ]
    assert len({item.digest() for item in (SET, *changed)}) == 9
    assert replace(SET, signature=b"").digest() == SET.digest()


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\x80", bytes(2000)])
def test_what_is_no_set_or_receipt_is_refused(data: bytes) -> None:
    for decode in (CommitSet.decode, CommitReceipt.decode):
        with pytest.raises(BpciError):
            decode(data)


def refused(receipt: CommitReceipt, commit_set: CommitSet, omission: Omission) -> str:
    with pytest.raises(ProofError) as caught:
        verify_omission(receipt, commit_set, omission)
    return caught.value.code


def test_a_coordinator_that_omits_a_commit_with_a_receipt_is_found_out() -> None:
    kept = [NAMES[0], *NAMES[2:]]
    omitted = closed([COMMITS[0], *COMMITS[2:]])
    verify_omission(RECEIPTS[1], omitted, prove_omission(RECEIPTS[1], kept))
    assert prove_omission(RECEIPTS[-1], kept) == Omission(None, ())
    verify_omission(RECEIPTS[-1], omitted, Omission(None, ()))


def test_a_coordinator_that_moves_a_commit_with_a_receipt_is_found_out() -> None:
    moved = [NAMES[1], NAMES[0], *NAMES[2:]]
    false = closed([COMMITS[1], COMMITS[0], *COMMITS[2:]])
    for receipt in RECEIPTS[:2]:
        verify_omission(receipt, false, prove_omission(receipt, moved))


def test_a_coordinator_that_kept_its_word_is_never_found_at_fault() -> None:
    for position, receipt in enumerate(RECEIPTS):
        with pytest.raises(ProofError) as caught:
            prove_omission(receipt, NAMES)
        assert caught.value.code == "commit.not_omitted"
        path = tuple(merkle.audit_path(set_leaves(WINDOW, NAMES), position))
        assert refused(receipt, SET, Omission(NAMES[position], path)) == "commit.not_omitted"
        assert refused(receipt, SET, Omission(None, ())) == "commit.not_omitted"
        assert refused(receipt, SET, Omission(NAMES[position - 1], path)) == "proof.merkle"
        other = (position + 1) % len(NAMES)
        elsewhere = tuple(merkle.audit_path(set_leaves(WINDOW, NAMES), other))
        assert refused(receipt, SET, Omission(NAMES[other], elsewhere)) == "proof.merkle"
    for change in ({"epoch": 4}, {"coordinator": bytes(32)}, {"window": WindowId("eip155:1", 100, 18_001)}):
        assert refused(RECEIPTS[0], replace(SET, **change), Omission(NAMES[1], ())) == "commit.not_omitted"
