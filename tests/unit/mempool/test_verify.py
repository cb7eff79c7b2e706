"""What a mempool proof shows, and every way in which a proof, or the node that signs it, can be wrong."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.errors import FormatError, LimitError, NotFoundError, ProofError, UnreachableError
from bpci_node.mempool.bucket import Bucket
from bpci_node.mempool.bucket_key import mesh_leaf
from bpci_node.mempool.bucket_leaf import topk_digest
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry_leaf import EntryLeaf
from bpci_node.mempool.header import combine_roots, sign_header
from bpci_node.mempool.native import sign_native
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.proof import MempoolProof
from bpci_node.mempool.target import TargetConfig
from bpci_node.mempool.trust import certified_signer
from bpci_node.mempool.verify import Trust, require_shown, verify_mempool_proof
from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.primitives import codec, merkle
from bpci_node.primitives.keys import LocalSigner

EMPTY = b"\x00\x03\xff\xff"
Prove = Callable[..., MempoolProof]


@pytest.fixture(scope="module")
def trust(node: LocalSigner) -> Trust:
    return Trust(signer=node.public_key)


@pytest.fixture(scope="module")
def proof(real_pool: Pool, prove_pool: Prove) -> MempoolProof:
    """Entries of one large and two other buckets, a bucket without entries, and an empty one."""
    buckets = sorted(real_pool.buckets(), key=len)
    largest = list(buckets[-1])
    txids = [entry.leaf.txid for entry in (*largest[:20], largest[40], *buckets[-2], next(iter(buckets[-3])))]
    return prove_pool(real_pool, txids, [EMPTY, buckets[0].key])


def refused(data: bytes, trust: Trust) -> str:
    with pytest.raises(ProofError) as caught:
        verify_mempool_proof(data, trust)
    return caught.value.code


def test_what_waits_is_shown_and_what_is_empty_too(proof: MempoolProof, trust: Trust, real_pool: Pool) -> None:
    found = verify_mempool_proof(proof.encode(), trust)
    assert found == proof
    assert found.absent == (EMPTY,)
    assert len(found.buckets) == 4
    for opened in found.buckets:
        bucket = list(real_pool.bucket(opened.key) or ())
        assert opened.entries == tuple(bucket[position].leaf for position in opened.positions)
        assert opened.leaf.count == len(bucket)


def test_a_proof_has_one_encoding(proof: MempoolProof) -> None:
    assert MempoolProof.decode(proof.encode()).encode() == proof.encode()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_entries_and_buckets_of_a_pool_are_proved(
    real_pool: Pool, prove_pool: Prove, node: LocalSigner, data: st.DataObject
) -> None:
    txids = [entry.leaf.txid for bucket in real_pool.buckets() for entry in bucket]
    keys = [bucket.key for bucket in real_pool.buckets()]
    absent = st.binary(min_size=4, max_size=4).filter(lambda key: key not in keys)
    wanted = data.draw(st.lists(st.sampled_from(txids), max_size=30))
    shown = data.draw(st.lists(st.sampled_from(keys) | absent, min_size=1, max_size=10))
    made = prove_pool(real_pool, wanted, shown)
    found = verify_mempool_proof(made.encode(), Trust(signer=node.public_key, mx_root=real_pool.roots().mx_root))
    assert {entry.txid for bucket in found.buckets for entry in bucket.entries} == set(wanted)
    assert set(found.absent) == set(shown) - set(keys)


def test_an_empty_pool_shows_that_it_is_empty(prove_pool: Prove, trust: Trust) -> None:
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=1))
    found = verify_mempool_proof(prove_pool(pool, keys=[EMPTY, bytes(4)]).encode(), trust)
    assert (found.absent, found.header.entries) == ((bytes(4), EMPTY), 0)


def test_what_does_not_wait_or_is_too_much_is_not_proved(real_pool: Pool, prove_pool: Prove) -> None:
    with pytest.raises(NotFoundError) as missing:
        prove_pool(real_pool, [b"\x11" * 32])
    assert (missing.value.code, missing.value.details["txids"]) == ("entry.not_waiting", ["0x" + "11" * 32])
    keys = [number.to_bytes(4, "big") for number in range(501)]
    for txids, wanted in (([], []), ([], keys), ([entry.leaf.txid for entry in real_pool][:501], [])):
        with pytest.raises(LimitError) as caught:
            prove_pool(real_pool, txids, wanted)
        assert caught.value.code == "proof.size"
    prove_pool(real_pool, [], keys[:500])


def test_nobody_named_means_nothing_said(proof: MempoolProof) -> None:
    for trust in (Trust(), Trust(ledger_id=proof.header.ledger_id)):
        with pytest.raises(UnreachableError) as caught:
            verify_mempool_proof(proof.encode(), trust)
        assert (caught.value.code, caught.value.status) == ("proof.no_trust", 3)


def test_all_that_is_trusted_must_hold(proof: MempoolProof, trust: Trust) -> None:
    data, root = proof.encode(), proof.header.mx_root
    verify_mempool_proof(data, Trust(mx_root=root))
    verify_mempool_proof(data, replace(trust, mx_root=root, ledger_id=proof.header.ledger_id))
    assert refused(data, Trust(signer=b"\x09" * 32, mx_root=root)) == "proof.untrusted"
    assert refused(data, replace(trust, mx_root=bytes(32))) == "proof.untrusted"
    assert refused(data, replace(trust, ledger_id="other:" + "ab" * 32)) == "proof.ledger"


def test_trust_in_a_network_leads_to_the_signer(
    proof: MempoolProof, real_pool: Pool, registry: LocalSigner, prove_pool: Prove, certify: Any
) -> None:
    ledger, node = proof.header.ledger_id, LocalSigner(b"\x01" * 32)
    found = certified_signer(proof.encode(), ledger_id=ledger, registry_key=registry.public_key)
    assert found.node_key == node.public_key
    bare = prove_pool(real_pool, keys=[EMPTY], certificate=None)
    other = prove_pool(real_pool, keys=[EMPTY], certificate=certify(registry, ledger, LocalSigner(b"\x08" * 32)))
    for made, ledger_id, key in (
        (bare, ledger, registry.public_key),
        (other, ledger, registry.public_key),
        (proof, ledger, node.public_key),
        (proof, "other:" + "ab" * 32, registry.public_key),
    ):
        with pytest.raises(ProofError) as caught:
            certified_signer(made.encode(), ledger_id=ledger_id, registry_key=key)
        assert caught.value.code == "proof.untrusted"
    with pytest.raises(ProofError) as caught:
        certified_signer(b"", ledger_id=ledger, registry_key=registry.public_key)
    assert caught.value.code == "proof.format"


def test_a_proof_is_held_to_what_was_asked(proof: MempoolProof, real_pool: Pool) -> None:
    shown = next(entry.txid for bucket in proof.buckets for entry in bucket.entries)
    require_shown(proof, [shown], [EMPTY])
    for txids, absent in (([shown, bytes(32)], []), ([], [proof.buckets[0].key]), ([], [b"\x09" * 4])):
        with pytest.raises(ProofError) as caught:
            require_shown(proof, txids, absent)
        assert caught.value.code == "proof.not_shown"


# What somebody without the node's key can do to a proof


def test_a_proof_from_pieces_is_refused(proof: MempoolProof, trust: Trust) -> None:
    buckets, absent = proof.buckets, proof.absent
    first, other = buckets[0], next(bucket for bucket in buckets[1:] if bucket.entries)
    single = next(bucket for bucket in buckets if not bucket.entries)
    many = next(bucket for bucket in buckets if len(bucket.entries) > 2)
    at = buckets.index(many)

    def with_bucket(**changes: Any) -> MempoolProof:
        return replace(proof, buckets=(*buckets[:at], replace(many, **changes), *buckets[at + 1 :]))

    altered = {
        "a bucket left out": replace(proof, buckets=buckets[1:]),
        "a bucket twice": replace(proof, buckets=(first, *buckets)),
        "buckets in another order": replace(proof, buckets=buckets[::-1]),
        "an absent key left out": replace(proof, absent=()),
        "another absent key": replace(proof, absent=(b"\x00\x03\xff\xfe",)),
        "one absent key more": replace(proof, absent=(*absent, b"\xff" * 4)),
        "absent keys twice": replace(proof, absent=absent * 2),
        "a present bucket as absent": replace(
            proof, buckets=tuple(b for b in buckets if b is not single), absent=tuple(sorted((*absent, single.key)))
        ),
        "an absent bucket as present": replace(proof, buckets=(*buckets, replace(single, key=EMPTY)), absent=()),
        "nothing": replace(proof, buckets=(), absent=()),
        "no entries": with_bucket(entries=()),
        "no entries, places nor path": with_bucket(entries=(), positions=()),
        "one entry less": with_bucket(entries=many.entries[1:], positions=many.positions[1:]),
        "entries swapped": with_bucket(entries=(many.entries[1], many.entries[0], *many.entries[2:])),
        "an entry twice": with_bucket(entries=(many.entries[0], *many.entries[:-1])),
        "places swapped": with_bucket(positions=(many.positions[1], many.positions[0], *many.positions[2:])),
        "a place twice": with_bucket(positions=(many.positions[0], *many.positions[:-1])),
        "places moved": with_bucket(positions=(*(place + 1 for place in many.positions[:-1]), many.leaf.count - 1)),
        "a shorter path": with_bucket(path=many.path[:-1]),
        "a longer path": with_bucket(path=(*many.path, bytes(32))),
        "a path backwards": with_bucket(path=many.path[::-1]),
        "another bucket's path": with_bucket(path=other.path if other is not many else (bytes(32),)),
        "a path where nothing is opened": replace(
            proof, buckets=tuple(replace(b, path=(bytes(32),)) if b is single else b for b in buckets)
        ),
        "another bucket's statistics": with_bucket(leaf=replace(many.leaf, count=many.leaf.count + 1)),
        "another epoch": with_bucket(leaf=replace(many.leaf, sealed_epoch=many.leaf.sealed_epoch + 1)),
        "another digest": with_bucket(leaf=replace(many.leaf, topk_digest=bytes(32))),
    }
    for what, spoilt in altered.items():
        assert refused(spoilt.encode(), trust) != "proof.signature", what


def test_another_proofs_parts_do_not_fit(proof: MempoolProof, trust: Trust, real_pool: Pool, prove_pool: Prove) -> None:
    keys = [bucket.key for bucket in proof.buckets]
    other = prove_pool(real_pool, keys=[*keys, b"\x00\x03\xff\xfe"])
    assert refused(replace(proof, verkle=other.verkle).encode(), trust).startswith("proof.verkle")
    later = prove_pool(real_pool, keys=keys, time_ms=1)
    assert refused(replace(proof, header=replace(proof.header, signature=later.header.signature)).encode(), trust) == (
        "proof.signature"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value | {"v": 2},
        lambda value: value | {"more": 1},
        lambda value: value | {"absent": [b"\x00"]},
        lambda value: value | {"absent": [bytes(4)] * 501},
        lambda value: value | {"verkle": None},
        lambda value: value | {"verkle": b"\x00" * 40},
        lambda value: value | {"header": b""},
        lambda value: value | {"buckets": None},
        lambda value: value | {"buckets": [1]},
        lambda value: value | {"buckets": [value["buckets"][0] | {"count": 0}]},
        lambda value: value | {"buckets": [value["buckets"][0] | {"key": b"\x00\x50\x00\x00"}]},
        lambda value: value | {"buckets": [value["buckets"][0] | {"path": bytes(33)}]},
        lambda value: value | {"buckets": [value["buckets"][0] | {"path": None}]},
        lambda value: value | {"buckets": [value["buckets"][0] | {"positions": [1 << 40]}]},
        lambda value: value | {"buckets": [value["buckets"][0] | {"positions": [-1]}]},
        lambda value: value | {"buckets": [value["buckets"][0] | {"entries": [[1]]}]},
        lambda value: value | {"buckets": [value["buckets"][0] | {"entries": [[1, *[b""] * 9]]}]},
        lambda value: {name: item for name, item in value.items() if name != "absent"},
    ],
)
def test_what_is_no_proof_is_refused(proof: MempoolProof, trust: Trust, change: Callable[[Any], Any]) -> None:
    value = codec.decode(proof.encode())
    data = codec.encode(change(value))
    assert refused(data, trust) == "proof.format"
    with pytest.raises(FormatError):
        MempoolProof.decode(data)


def test_bytes_that_are_no_proof_are_refused(proof: MempoolProof, trust: Trust) -> None:
    data = proof.encode()
    for wrong in (b"", b"\xa0", data[:-1], data + b"\x00", b"\xff" * 100, bytes(1 << 21)):
        assert refused(wrong, trust) == "proof.format"


def test_a_leaf_with_numbers_out_of_range_is_no_leaf(proof: MempoolProof) -> None:
    leaf = next(entry for bucket in proof.buckets for entry in bucket.entries)
    assert EntryLeaf.from_list(leaf.as_list()) == leaf
    for place, wrong in (
        (0, 2),
        (1, b""),
        (2, bytes(21)),
        (3, 2**64 - 1),
        (4, -1),
        (5, True),
        (8, 256),
        (9, bytes(65)),
    ):
        items = leaf.as_list()
        items[place] = wrong
        with pytest.raises(FormatError) as caught:
            EntryLeaf.from_list(items)
        assert caught.value.code == "entry.format"


# What a node can lie about under its own signature, and is caught at by the proof alone


def lie(
    proof: MempoolProof,
    node: LocalSigner,
    leaf: Mapping[str, Any] | None = None,
    change: Callable[[list[EntryLeaf]], list[EntryLeaf]] = lambda entries: entries,
    **header: Any,
) -> bytes:
    """Return a proof of one bucket of five entries, true to its root in every hash, of a pool that is not in order."""
    bucket = next(bucket for bucket in proof.buckets if len(bucket.entries) > 5)
    leaves = change(list(bucket.entries[:5]))
    hashes = [merkle.leaf_hash(entry.encode()) for entry in leaves]
    stated = replace(
        bucket.leaf,
        count=5,
        gas_sum=sum(entry.gas for entry in leaves),
        min_fee=leaves[-1].fee_per_w,
        max_fee=leaves[0].fee_per_w,
        topk_digest=topk_digest(hashes),
        merkle_root=merkle.root_of(hashes),
    )
    stated = replace(stated, **(leaf or {}))
    tree = VerkleTree()
    tree.set(bucket.key, stated.digest())
    verkle_root, mesh_root = tree.root(), mesh_leaf(stated.bucket_id, stated.merkle_root)
    changed = replace(
        proof.header,
        verkle_root=verkle_root,
        merkle_mesh_root=mesh_root,
        mx_root=combine_roots(verkle_root, mesh_root),
        entries=5,
        buckets=1,
    )
    return MempoolProof(
        header=sign_header(node, replace(changed, **header)),
        buckets=(replace(bucket, leaf=stated, positions=(0, 1, 2, 3, 4), entries=tuple(leaves), path=()),),
        absent=(),
        verkle=tree.open([bucket.key]).prove(),
    ).encode()


def test_a_pool_of_five_holds_when_nothing_is_a_lie(proof: MempoolProof, node: LocalSigner, trust: Trust) -> None:
    verify_mempool_proof(lie(proof, node), trust)


@pytest.mark.parametrize(
    ("code", "lies"),
    [
        ("proof.entries", {"leaf": {"gas_sum": 1}}),
        ("proof.entries", {"leaf": {"min_fee": 1}}),
        ("proof.entries", {"leaf": {"max_fee": 2**62}}),
        ("proof.entries", {"leaf": {"min_fee": 2**62}}),
        ("proof.entries", {"leaf": {"topk_digest": bytes(32)}}),
        ("proof.merkle", {"leaf": {"merkle_root": bytes(32)}}),
        ("proof.entries", {"change": lambda entries: entries[::-1]}),
        ("proof.entries", {"change": lambda entries: [*entries[:4], entries[0]]}),
        ("proof.entries", {"change": lambda entries: [replace(entries[0], gas=2_000_000), *entries[1:]]}),
        ("proof.entries", {"change": lambda entries: [replace(entries[0], fee_per_w=2**60), *entries[1:]]}),
        ("proof.entries", {"change": lambda entries: [*entries[:4], replace(entries[4], arrival_seq=2**40)]}),
        ("proof.entries", {"fee_bin_wei": 10_000_000_000}),
        ("proof.entries", {"arrival_seq": 1}),
        ("proof.count", {"entries": 6}),
        ("proof.count", {"buckets": 2}),
        ("proof.count", {"buckets": 0}),
        ("proof.mx_root", {"merkle_mesh_root": bytes(32)}),
    ],
)
def test_a_node_that_lies_is_caught(
    proof: MempoolProof, node: LocalSigner, trust: Trust, code: str, lies: dict[str, Any]
) -> None:
    assert refused(lie(proof, node, **lies), trust) == code


def test_a_node_that_signs_another_outer_root_is_caught(proof: MempoolProof, node: LocalSigner, trust: Trust) -> None:
    other = b"\xc0" + bytes(47)
    mesh_root = MempoolProof.decode(lie(proof, node)).header.merkle_mesh_root
    data = lie(proof, node, verkle_root=other, mx_root=combine_roots(other, mesh_root))
    assert refused(data, trust) == "proof.verkle"


def test_a_large_buckets_entry_is_shown_by_a_short_path(real_pool: Pool, prove_pool: Prove, trust: Trust) -> None:
    bucket: Bucket = max(real_pool.buckets(), key=len)
    entry = list(bucket)[len(bucket) // 2]
    found = verify_mempool_proof(prove_pool(real_pool, [entry.leaf.txid]).encode(), trust)
    (opened,) = found.buckets
    assert opened.positions == (len(bucket) // 2,)
    assert len(opened.path) <= len(bucket).bit_length()


def test_a_native_entry_is_proved_like_any_other(prove_pool: Prove, trust: Trust, node: LocalSigner) -> None:
    ledger_id = "devnet:" + "ab" * 32
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=1, fee_bin_wei=1_000), ledger_id=ledger_id)
    entry = sign_native(
        node,
        ledger_id=ledger_id,
        target="eip155:1",
        kind=EntryType.POF_UPDATE,
        nonce=0,
        fee=5_000,
        gas=400_000,
        body=b"\xa0",
    )
    pool.insert(entry, 1, 1)
    (bucket,) = verify_mempool_proof(prove_pool(pool, [entry.txid], arrival_seq=1).encode(), trust).buckets
    assert (bucket.entries[0].sender, bucket.leaf.gas_sum) == (entry.sender, 400_000)
