from collections.abc import Callable

import pytest

from bpci_node.errors import FormatError
from bpci_node.mempool.bucket import Bucket
from bpci_node.mempool.bucket_key import BucketKey, bucket_id
from bpci_node.mempool.classes import EntryType, GasClass
from bpci_node.mempool.entry import Entry, make_entry
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives import merkle
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.hashing import keccak256

TARGET = TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=1_000)


def entry(sign_raw: Callable[..., bytes], number: int, tip: int = 10) -> Entry:
    return make_entry(
        decode_transaction(sign_raw(number, max_fee=10_000, tip=tip)), TARGET, arrival_seq=number, arrival_ms=number
    )


def test_a_bucket_id_names_target_and_key() -> None:
    assert bucket_id("eip155:1", b"\x00\x03\x00\x04") == keccak256(b"BKT|v2|\x08eip155:1\x00\x03\x00\x04")
    assert bucket_id("eip155:1", b"\x00\x03\x00\x04") != bucket_id("eip155:10", b"\x00\x03\x00\x04")


def test_a_key_takes_apart() -> None:
    key = BucketKey.decode(b"\x07\x1e\x01\x00")
    assert key == BucketKey(7, EntryType.CONTRACT_CALL, GasClass.XL, 50, 256)


@pytest.mark.parametrize("key", [b"", b"\x00" * 3, b"\x00" * 5, b"\x00\x50\x00\x00"])
def test_what_is_no_key_is_refused(key: bytes) -> None:
    with pytest.raises(FormatError):
        BucketKey.decode(key)


def test_the_root_follows_the_order_and_every_change(sign_raw: Callable[..., bytes]) -> None:
    bucket = Bucket("eip155:1", b"\x00\x03\x00\x00")
    assert bucket.merkle_root() == merkle.EMPTY_ROOT
    slow, first, second, fast = (entry(sign_raw, n, tip) for n, tip in ((1, 5), (2, 10), (3, 10), (4, 20)))
    for item in (second, slow, fast, first):
        bucket.add(item)
    expected = [fast, first, second, slow]
    assert list(bucket) == expected
    assert bucket.merkle_root() == merkle.root_of([merkle.leaf_hash(item.leaf.encode()) for item in expected])
    assert (len(bucket), bucket.gas_sum) == (4, 84_000)
    bucket.remove(first)
    expected.remove(first)
    assert bucket.merkle_root() == merkle.root_of([merkle.leaf_hash(item.leaf.encode()) for item in expected])
    assert (len(bucket), bucket.gas_sum) == (3, 63_000)


@pytest.mark.parametrize("change", [{"qos": 256}, {"qos": -1}, {"opaque": b"\x00" * 65}, {"arrival_ms": -1}])
def test_arrivals_and_notes_out_of_range_are_refused(sign_raw: Callable[..., bytes], change: dict[str, object]) -> None:
    values: dict[str, object] = {"arrival_seq": 1, "arrival_ms": 1} | change
    with pytest.raises(FormatError) as caught:
        make_entry(decode_transaction(sign_raw()), TARGET, **values)  # type: ignore[arg-type]
    assert caught.value.code == "entry.format"
