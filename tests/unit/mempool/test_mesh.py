"""Roots of both trees against trees that are made anew, whatever was done before."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.mempool.bucket import Bucket
from bpci_node.mempool.bucket_key import mesh_leaf
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.entry_leaf import EntryLeaf
from bpci_node.mempool.header import combine_roots
from bpci_node.mempool.mesh import Mesh, Roots
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.primitives.ethereum import Transaction, decode_transaction
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.merkle import root_of

KEYS = [bytes([region, 3, high, low]) for region in (0, 9) for high in (0, 1) for low in (0, 1, 255)]


def roots_anew(buckets: Mapping[bytes, Bucket], epochs: Mapping[bytes, int]) -> Roots:
    tree, leaves = VerkleTree(), []
    for key, bucket in sorted(buckets.items()):
        tree.set(key, bucket.leaf(epochs.get(key, 0)).digest())
        leaves.append(mesh_leaf(bucket.identifier, bucket.merkle_root()))
    verkle_root, mesh_root = tree.root(), root_of(leaves)
    return Roots(verkle_root, mesh_root, combine_roots(verkle_root, mesh_root), len(buckets))


def filled_anew(pool: Pool) -> Pool:
    again = Pool(pool.target)
    for entry in sorted(pool, key=lambda entry: entry.leaf.arrival_seq):
        again.insert(entry.transaction, entry.leaf.arrival_seq, entry.leaf.ts)
    return again


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "seal", "advance", "roots"]), st.sampled_from(KEYS), st.integers(1, 6)
        ),
        max_size=40,
    )
)
def test_roots_follow_from_what_is_there_and_not_from_its_history(
    mainnet: list[Transaction], steps: list[tuple[str, bytes, int]]
) -> None:
    mesh, buckets, epochs = Mesh(), dict[bytes, Bucket](), dict[bytes, int]()
    held: dict[tuple[bytes, int], Entry] = {}
    for step, key, number in steps:
        if step == "add" and (key, number) not in held:
            leaf = EntryLeaf(bytes([number]) * 32, bytes(20), 0, number, 21_000, 0, number, 0, b"")
            entry = held[key, number] = Entry(mainnet[0], leaf, key, pays_base_fee=True)
            buckets.setdefault(key, Bucket("eip155:1", key)).add(entry)
            mesh.touch(key)
        elif step == "remove" and (key, number) in held:
            buckets[key].remove(held.pop((key, number)))
            if not len(buckets[key]):
                del buckets[key]
            mesh.touch(key)
        elif step == "seal":
            epochs[key] = number
            mesh.touch(key)
        elif step == "advance":
            behind = mesh.behind
            mesh.advance(buckets, epochs, number)
            assert mesh.behind == max(0, behind - number)
        elif step == "roots":
            assert mesh.roots(buckets, epochs) == roots_anew(buckets, epochs)
    assert mesh.roots(buckets, epochs) == roots_anew(buckets, epochs)


def test_an_empty_pool_has_roots() -> None:
    roots = Mesh().roots({}, {})
    assert (roots.merkle_mesh_root, roots.bucket_count) == (sha256(b""), 0)
    assert roots.mx_root == sha256(b"MXR|v1|" + roots.verkle_root + sha256(b""))
    assert roots == roots_anew({}, {})


def test_a_pools_roots_are_those_of_its_buckets(real_pool: Pool) -> None:
    buckets = {bucket.key: bucket for bucket in real_pool.buckets()}
    epochs = {key: real_pool.sealed_epoch(key) for key in buckets}
    assert sorted(epochs.values())[-2:] == [0, 7]
    assert real_pool.roots() == roots_anew(buckets, epochs)
    assert real_pool.roots().merkle_mesh_root == real_pool.merkle_mesh_root()


@pytest.mark.parametrize("change", ["insert", "settle", "seal", "reprice"])
def test_every_change_of_a_pool_changes_its_root(small_pool: Pool, sign_raw: Callable[..., bytes], change: str) -> None:
    pool = filled_anew(small_pool)
    before = pool.roots()
    if change == "insert":
        pool.insert(decode_transaction(sign_raw(77, max_fee=300, tip=20)), 100, 1)
    elif change == "settle":
        pool.settle(next(iter(pool)).leaf.sender, 2**32)
    elif change == "seal":
        pool.mark_sealed([pool.buckets()[0].key], 1)
    else:
        pool.reprice(60)
    after = pool.roots()
    assert after.mx_root != before.mx_root
    assert after.verkle_root != before.verkle_root
    assert (after.merkle_mesh_root == before.merkle_mesh_root) is (change == "seal")
    buckets = {bucket.key: bucket for bucket in pool.buckets()}
    assert after == roots_anew(buckets, {key: pool.sealed_epoch(key) for key in buckets})


def test_sealing_outlives_an_empty_bucket_and_not_another_base_fee(small_pool: Pool) -> None:
    pool = filled_anew(small_pool)
    entry = next(iter(pool))
    pool.mark_sealed([entry.bucket_key], 3)
    pool.settle(entry.leaf.sender, 2**32)
    assert pool.sealed_epoch(entry.bucket_key) == 3
    pool.reprice(51)
    assert pool.sealed_epoch(entry.bucket_key) == 0
