from collections.abc import Callable
from hashlib import sha256

import cbor2

from bpci_node.mempool.bucket import Bucket
from bpci_node.mempool.bucket_key import bucket_id
from bpci_node.mempool.bucket_leaf import TOP_K, BucketLeaf, topk_digest
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.entry_leaf import EntryLeaf
from bpci_node.mempool.pool import Pool
from bpci_node.primitives import merkle
from bpci_node.primitives.ethereum import Transaction

KEY = b"\x00\x03\x00\x00"


def test_a_leaf_is_the_tagged_hash_of_its_list() -> None:
    leaf = BucketLeaf(b"\x01" * 32, 3, 63_000, 5, 70, b"\x02" * 32, b"\x03" * 32, 9)
    encoded = cbor2.dumps([1, b"\x01" * 32, 3, 63_000, 5, 70, b"\x02" * 32, b"\x03" * 32, 9])
    assert leaf.encode() == encoded
    assert leaf.digest() == sha256(b"BKL|v1|" + encoded).digest()


def test_a_buckets_leaf_says_what_is_in_it(real_pool: Pool) -> None:
    for bucket in real_pool.buckets():
        entries = list(bucket)
        hashes = [merkle.leaf_hash(entry.leaf.encode()) for entry in entries]
        leaf = bucket.leaf(4)
        assert leaf.bucket_id == bucket_id("eip155:1", bucket.key)
        assert (leaf.count, leaf.gas_sum) == (len(entries), sum(entry.leaf.gas for entry in entries))
        fees = [entry.leaf.fee_per_w for entry in entries]
        assert (leaf.min_fee, leaf.max_fee, leaf.sealed_epoch) == (min(fees), max(fees), 4)
        assert leaf.topk_digest == sha256(b"BKK|v1|" + b"".join(hashes[:16])).digest()
        assert leaf.merkle_root == merkle.root_of(hashes)


def test_the_top_digest_covers_the_first_entries_alone() -> None:
    hashes = [bytes([number]) * 32 for number in range(40)]
    assert topk_digest(hashes) == topk_digest(hashes[:TOP_K]) != topk_digest(hashes[: TOP_K - 1])


def test_gas_beyond_every_field_saturates(mainnet: list[Transaction]) -> None:
    bucket = Bucket("eip155:1", KEY)
    for number in range(3):
        leaf = EntryLeaf(bytes([number]) * 32, bytes(20), 0, 1, 2**62, 0, number, 0, b"")
        bucket.add(Entry(mainnet[0], leaf, KEY, pays_base_fee=True))
    assert bucket.leaf(0).gas_sum == 2**63 - 1


def test_a_leaf_follows_every_change(real_pool: Pool, sign_raw: Callable[..., bytes]) -> None:
    before = max(real_pool.buckets(), key=len)
    bucket = Bucket("eip155:1", before.key)
    entries = list(before)
    digests = set()
    for entry in entries:
        bucket.add(entry)
        digests.add(bucket.leaf(0).digest())
    assert bucket.leaf(0) == before.leaf(0)
    for entry in entries[:-1]:
        bucket.remove(entry)
        digests.add(bucket.leaf(0).digest())
    assert len(digests) == 2 * len(entries) - 1
