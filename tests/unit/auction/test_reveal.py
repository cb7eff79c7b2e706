from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.auction.commit import sign_commit
from bpci_node.auction.offences import forfeit_bps, forfeit_of
from bpci_node.auction.reveal import (
    MAX_BATCH_BYTES,
    Reveal,
    check_reveal,
    decode_reveals,
    encode_reveals,
    payment_of,
)
from bpci_node.auction.reveal_receipt import (
    RevealList,
    RevealReceipt,
    bits_of,
    issue_reveal_receipts,
    sign_list,
    verify_list,
    verify_reveal_receipt,
)
from bpci_node.auction.window import WindowId
from bpci_node.errors import BpciError, FormatError, LimitError, ProofError, RefusedError
from bpci_node.mempool.entry import Entry
from bpci_node.primitives.codec import encode
from tests.unit.auction.scene import (
    COMMITTEE,
    EPOCH,
    LEDGER_ID,
    NODES,
    TERMS,
    WINDOW,
    Bid,
    account,
    bid,
    bidder,
    closed,
)

SEQ = WINDOW.first_seq + 7
SET_DIGEST = closed([]).digest()


def opened(made: Bid, **changes: object) -> Entry:
    reveal = replace(made.reveal, **changes)
    return check_reveal(reveal, made.commit, TERMS, LEDGER_ID, arrival_seq=SEQ)


def test_a_reveal_opens_its_commit_and_arrives_where_the_commit_did(sign_raw: Callable[..., bytes]) -> None:
    for made in (bid(1), bid(2, raw=sign_raw(5, max_fee=55, tip=55))):
        entry = opened(made)
        assert entry.transaction.raw == made.reveal.raw
        assert (entry.leaf.arrival_seq, entry.leaf.ts) == (SEQ, 1_800_000)


def test_reveals_come_back_from_a_batch() -> None:
    reveals = [bid(1).reveal, bid(2).reveal]
    assert decode_reveals(encode_reveals(reveals)) == reveals
    assert Reveal.from_map(reveals[0].as_map()) == reveals[0]


@pytest.mark.parametrize(
    "change", [{"v": 2}, {"raw": b""}, {"raw": bytes(131_073)}, {"salt": b"\x01"}, {"commit_id": b""}, {"more": 1}]
)
def test_a_malformed_reveal_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError) as caught:
        decode_reveals(encode([bid(1).reveal.as_map() | change]))
    assert caught.value.code == "reveal.format"


def test_a_batch_of_reveals_has_a_greatest_size() -> None:
    reveal = bid(1).reveal
    assert len(decode_reveals(encode_reveals([reveal] * 3), most=3)) == 3
    with pytest.raises(LimitError) as caught:
        decode_reveals(encode_reveals([reveal] * 4), most=3)
    assert caught.value.code == "reveal.batch"
    with pytest.raises(LimitError) as caught:
        decode_reveals(bytes(MAX_BATCH_BYTES + 1))
    assert caught.value.code == "reveal.batch"
    for data in (b"\x80", b"\xa0", b""):
        with pytest.raises(FormatError):
            decode_reveals(data)


def test_what_does_not_open_the_commit_is_refused(sign_raw: Callable[..., bytes]) -> None:
    made = bid(1, fee=60)
    other_window = replace(made.reveal, window=WindowId("eip155:1", 100, 18_001))
    for false in (
        replace(made.reveal, salt=bytes(32)),
        replace(made.reveal, raw=bid(1, fee=61).reveal.raw),
        replace(made.reveal, raw=sign_raw(5)),
        replace(made.reveal, commit_id=bytes(32)),
        other_window,
    ):
        with pytest.raises(RefusedError) as caught:
            check_reveal(false, made.commit, TERMS, LEDGER_ID, arrival_seq=SEQ)
        assert caught.value.code == "reveal.mismatch"


def test_a_copied_digest_opens_for_nobody_but_who_made_it() -> None:
    made = bid(1)
    copied = sign_commit(
        bidder(2), ledger_id=LEDGER_ID, window=WINDOW, digest=made.commit.digest, account=account(2), tier=1
    )
    stolen = replace(made.reveal, commit_id=copied.commit_id)
    with pytest.raises(RefusedError) as caught:
        check_reveal(stolen, copied, TERMS, LEDGER_ID, arrival_seq=SEQ)
    assert caught.value.code == "reveal.mismatch"


def test_a_commit_of_an_earlier_window_opens_nothing_in_a_later_one() -> None:
    made, later = bid(1), WindowId("eip155:1", 100, 18_001)
    replayed = sign_commit(
        bidder(1), ledger_id=LEDGER_ID, window=later, digest=made.commit.digest, account=account(1), tier=1
    )
    again = replace(made.reveal, window=later, commit_id=replayed.commit_id)
    with pytest.raises(RefusedError) as caught:
        check_reveal(again, replayed, TERMS, LEDGER_ID, arrival_seq=SEQ)
    assert caught.value.code == "reveal.mismatch"


def test_a_reveal_may_not_bid_more_than_its_tier_covers() -> None:
    within, above = bid(1, fee=83, gas=30_000), bid(1, fee=84, gas=30_000)
    assert payment_of(opened(within), TERMS) == 990
    with pytest.raises(RefusedError) as caught:
        opened(above)
    assert (caught.value.code, caught.value.details) == ("reveal.tier", {"cap": "1000", "payment": "1020"})
    assert payment_of(opened(bid(1, fee=84, gas=30_000, tier=2)), TERMS) == 1_020
    with pytest.raises(RefusedError):
        opened(bid(1, tier=9))


def test_a_payment_is_rounded_up_and_nothing_below_the_base_fee() -> None:
    assert payment_of(opened(bid(1, fee=51, gas=30_001)), TERMS) == 31
    assert payment_of(opened(bid(1, fee=50)), TERMS) == 0
    below = opened(bid(1, fee=1))
    assert payment_of(below, TERMS) == 0
    assert not below.pays_base_fee


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ledger_id": "other:" + "ab" * 32}, "entry.ledger"),
        ({"target": "eip155:5"}, "entry.chain"),
        ({"gas": 1_000_001}, "entry.gas"),
    ],
)
def test_an_entry_that_can_not_run_here_is_no_reveal(fields: dict[str, object], code: str) -> None:
    with pytest.raises(RefusedError) as caught:
        opened(bid(1, **fields))
    assert caught.value.code == code


def test_bytes_that_are_no_entry_are_no_reveal() -> None:
    made = bid(1)
    for raw in (b"\x00", b"\xa0", b"\x02\xc0", made.reveal.raw[:-1]):
        with pytest.raises(BpciError) as caught:
            opened(made, raw=raw)
        assert caught.value.code.startswith("entry.")


def unsigned(number: int, seat: int = 2) -> RevealReceipt:
    made = bid(number).commit
    return RevealReceipt(LEDGER_ID, EPOCH, WINDOW, SET_DIGEST, made.commit_id, seat, 5, None)  # type: ignore[arg-type]


def test_receipts_of_reveals_hold_for_their_notary_alone() -> None:
    receipts = issue_reveal_receipts(NODES[2], [unsigned(number) for number in range(1, 4)])
    for receipt in receipts:
        assert RevealReceipt.decode(receipt.encode()) == receipt
        verify_reveal_receipt(receipt, committee=COMMITTEE, ledger_id=LEDGER_ID)
    good = receipts[1]
    for change in (
        {"seat": 1},
        {"seat": 9},
        {"epoch": 4},
        {"received_us": 6},
        {"commit_id": bytes(32)},
        {"set_digest": bytes(32)},
        {"ledger_id": "other:" + "ab" * 32},
        {"signed": receipts[0].signed},
    ):
        with pytest.raises(ProofError) as caught:
            verify_reveal_receipt(replace(good, **change), committee=COMMITTEE, ledger_id=LEDGER_ID)
        assert caught.value.code == "reveal.receipt"
    with pytest.raises(FormatError):
        RevealReceipt.from_map(good.as_map() | {"seat": 256})


def signed_list(revealed: bytes, seat: int = 1, digest: bytes = SET_DIGEST) -> RevealList:
    return sign_list(
        NODES[seat],
        ledger_id=LEDGER_ID,
        epoch=EPOCH,
        window=WINDOW,
        set_digest=digest,
        seat=seat,
        revealed=revealed,
    )


@given(count=st.integers(0, 70), data=st.data())
def test_the_bits_of_a_list_name_positions(count: int, data: st.DataObject) -> None:
    positions = data.draw(st.sets(st.integers(0, count - 1))) if count else set()
    made = signed_list(bits_of(positions, count))
    assert made.positions() == sorted(positions)
    assert RevealList.decode(made.encode()) == made
    verify_list(made, committee=COMMITTEE, ledger_id=LEDGER_ID, set_digest=SET_DIGEST, count=count)


def test_a_list_is_of_one_set_by_one_notary() -> None:
    good = signed_list(b"\x07")
    for false, digest, count in (
        (good, bytes(32), 3),
        (good, SET_DIGEST, 2),
        (good, SET_DIGEST, 9),
        (good, SET_DIGEST, 0),
        (replace(good, revealed=b"\x03"), SET_DIGEST, 3),
        (replace(good, seat=2), SET_DIGEST, 3),
        (replace(good, seat=4), SET_DIGEST, 3),
        (replace(good, epoch=4), SET_DIGEST, 3),
    ):
        with pytest.raises(ProofError) as caught:
            verify_list(false, committee=COMMITTEE, ledger_id=LEDGER_ID, set_digest=digest, count=count)
        assert caught.value.code == "reveal.list"
    assert replace(good, revealed=b"\x03").digest() != good.digest()
    with pytest.raises(FormatError):
        RevealList.decode(encode(good.signed_value() | {"revealed": "text", "signature": bytes(64)}))


def test_what_is_forfeited_rises_with_every_offence_up_to_all() -> None:
    assert [forfeit_bps(5_000, earlier) for earlier in range(4)] == [5_000, 7_500, 10_000, 10_000]
    assert [forfeit_of(999, 5_000, earlier) for earlier in range(3)] == [499, 749, 999]
    assert forfeit_of(999, 0, 0) == 0
