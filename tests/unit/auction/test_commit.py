from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.auction.commit import (
    ID_CONTEXT,
    MAX_BATCH,
    MAX_COMMIT_BYTES,
    SIGNATURE_CONTEXT,
    Commit,
    commitment,
    decode_commits,
    encode_commits,
    sign_commit,
    verify_commit,
)
from bpci_node.auction.window import MAX_INDEX, WindowId
from bpci_node.errors import BpciError, FormatError, LimitError, RefusedError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive
from tests.unit.auction.scene import LEDGER_ID, WINDOW, account, bid, bidder

BIDDER = bidder(1)
COMMIT = bid(1).commit

commits = st.builds(
    Commit,
    window=st.builds(
        WindowId,
        st.integers(1, 10**19).map("eip155:{}".format),
        st.sampled_from([10, 20, 50, 100]),
        st.integers(0, MAX_INDEX),
    ),
    digest=st.binary(min_size=32, max_size=32),
    account=st.just(account(1)),
    tier=st.integers(0, 255),
    signature=st.binary(min_size=64, max_size=64),
)


@given(commits)
def test_what_is_hashed_and_sent_is_the_canonical_map(commit: Commit) -> None:
    whole = commit.as_map()
    unsigned = {name: value for name, value in whole.items() if name != "signature"}
    assert commit.encode() == encode(whole)
    assert commit.commit_id == derive(ID_CONTEXT, encode(unsigned))
    assert commit.message(LEDGER_ID) == derive(SIGNATURE_CONTEXT, encode(unsigned | {"ledger_id": LEDGER_ID}))
    assert len(commit.encode()) < MAX_COMMIT_BYTES
    assert decode_commits(encode_commits([commit])) == [commit]


def test_nothing_of_a_commit_tells_of_the_bid() -> None:
    assert set(COMMIT.as_map()) == {"v", "window", "digest", "account", "tier", "signature"}
    dear = bid(1, fee=80, gas=40_000, body=b"longer than the other", nonce=7).commit
    assert len(dear.encode()) == len(COMMIT.encode())


def test_a_commit_is_signed_by_a_key_of_its_account_for_one_ledger() -> None:
    keys = [bidder(2).public_key, BIDDER.public_key]
    verify_commit(COMMIT, ledger_id=LEDGER_ID, keys=keys)
    other = replace(COMMIT, window=WindowId("eip155:1", 100, 18_001))
    for commit, ledger, known in (
        (COMMIT, "other:" + "ab" * 32, keys),
        (COMMIT, LEDGER_ID, keys[:1]),
        (COMMIT, LEDGER_ID, []),
        (other, LEDGER_ID, keys),
        (replace(COMMIT, tier=2), LEDGER_ID, keys),
        (replace(COMMIT, account=account(2)), LEDGER_ID, keys),
        (replace(COMMIT, digest=bytes(32)), LEDGER_ID, keys),
    ):
        with pytest.raises(RefusedError) as caught:
            verify_commit(commit, ledger_id=ledger, keys=known)
        assert caught.value.code == "commit.signature"


def test_a_commitment_binds_every_part() -> None:
    parts = {
        "bucket_key": b"\x00\x01\x00\x02",
        "sender": b"\x03" * 20,
        "nonce": 4,
        "raw_hash": b"\x05" * 32,
        "salt": b"\x06" * 32,
    }
    others = [
        {"bucket_key": b"\x00\x01\x00\x03"},
        {"sender": b"\x04" * 20},
        {"nonce": 5},
        {"raw_hash": b"\x06" * 32},
        {"salt": b"\x07" * 32},
    ]
    digests = {commitment(WINDOW, account(1), **parts)}
    digests |= {commitment(WINDOW, account(1), **parts | other) for other in others}
    digests.add(commitment(WINDOW, account(2), **parts))
    for window in (WindowId("eip155:2", 100, 18_000), WindowId("eip155:1", 50, 18_000), WindowId("eip155:1", 100, 1)):
        digests.add(commitment(window, account(1), **parts))
    assert len(digests) == 10
    for name in ("bucket_key", "sender", "raw_hash", "salt"):
        with pytest.raises(FormatError):
            commitment(WINDOW, account(1), **parts | {name: b"\x01"})


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"window": ["eip155:1", 100]},
        {"digest": b"\x01" * 31},
        {"account": "bpa1" + "A" * 32},
        {"tier": 256},
        {"tier": -1},
        {"signature": b""},
        {"bid": 1},
    ],
)
def test_a_malformed_commit_is_refused(change: dict[str, object]) -> None:
    data = encode([COMMIT.as_map(), COMMIT.as_map() | change])
    with pytest.raises(FormatError) as caught:
        decode_commits(data)
    assert caught.value.code in {"commit.format", "window.format"}


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xa0", b"\x9f\xff", b"\x81\x81\x00", encode("text")])
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(BpciError) as caught:
        decode_commits(data)
    assert caught.value.code in {"commit.format", "format.cbor"}


def test_a_batch_has_a_greatest_size() -> None:
    assert len(decode_commits(encode_commits([COMMIT] * MAX_BATCH))) == MAX_BATCH
    for data in (encode_commits([COMMIT] * (MAX_BATCH + 1)), b"\x00" * (MAX_COMMIT_BYTES * MAX_BATCH + 17)):
        with pytest.raises(LimitError) as caught:
            decode_commits(data)
        assert caught.value.code == "commit.batch"


def test_nobody_signs_what_is_no_commit() -> None:
    with pytest.raises(FormatError):
        sign_commit(BIDDER, ledger_id=LEDGER_ID, window=WINDOW, digest=b"", account=account(1), tier=1)
