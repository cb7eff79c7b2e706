import json
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.errors import ProofError
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.merkle import (
    EMPTY_ROOT,
    MerkleList,
    audit_path,
    leaf_hash,
    prove,
    root_of,
    verify,
    verify_inclusion,
)

REFERENCE = json.loads((Path(__file__).parent / "standards.json").read_text())["rfc6962"]
VECTORS = json.loads((Path(__file__).parents[3] / "docs/spec/vectors/merkle.json").read_text())
INCLUSION = json.loads((Path(__file__).parents[3] / "docs/spec/vectors/merkle-inclusion.json").read_text())


def tree(leaves):
    """RFC 6962, section 2.1, written down as it stands there."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + tree(leaves[:k]) + tree(leaves[k:]))


def path(m, leaves):
    """RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), tree(leaves[k:])]
    return [*path(m - k, leaves[k:]), tree(leaves[:k])]


leaf_lists = st.lists(st.binary(max_size=8), max_size=70)


@st.composite
def openings(draw):
    leaves = draw(st.lists(st.binary(max_size=4), min_size=1, max_size=40))
    indices = sorted(draw(st.sets(st.integers(0, len(leaves) - 1), min_size=1)))
    return [leaf_hash(leaf) for leaf in leaves], indices


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference_tree(size):
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in REFERENCE["leaves"][:size]]
    assert root_of(leaves).hex() == REFERENCE["roots"][size]


@given(leaf_lists)
def test_roots_are_those_of_the_recursive_definition(leaves):
    assert root_of([leaf_hash(leaf) for leaf in leaves]) == tree(leaves)


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65])
def test_one_opened_leaf_is_proved_by_the_hashes_of_the_audit_path(size):
    leaves = [bytes([number]) for number in range(size)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    for index in range(size):
        proof = prove(hashes, [index])
        assert sorted(proof) == sorted(path(index, leaves))
        verify([(index, hashes[index])], size, proof, tree(leaves))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(["set", "insert", "delete", "root"]), st.integers(0, 2**16)), max_size=80))
def test_a_kept_tree_has_the_root_of_its_leaves_whatever_was_done(steps):
    kept, model = MerkleList(), []
    for number, (step, place) in enumerate(steps):
        leaf = leaf_hash(number.to_bytes(2, "big"))
        if step == "insert":
            kept.insert(place % (len(model) + 1), leaf)
            model.insert(place % (len(model) + 1), leaf)
        elif step == "root":
            assert kept.root() == root_of(model)
        elif model:
            at = place % len(model)
            if step == "set":
                kept[at] = model[at] = leaf
            else:
                del kept[at], model[at]
    assert kept.root() == kept.root() == root_of(model)
    assert [kept[place] for place in range(len(kept))] == model


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65])
def test_audit_paths_are_those_of_the_recursive_definition(size):
    leaves = [bytes([number]) for number in range(size)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    for index in range(size):
        found = audit_path(hashes, index)
        assert found == path(index, leaves)
        verify_inclusion(hashes[index], index, size, found, tree(leaves))


@given(st.integers(1, 300), st.data())
def test_an_audit_path_proves_no_other_place_or_size(size, data):
    hashes = [leaf_hash(number.to_bytes(2, "big")) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    found, root = audit_path(hashes, index), root_of(hashes)
    other = data.draw(st.integers(-1, size + 1).filter(lambda number: number != index))
    for place, many in ((other, size), (index, size * 2), (index, size * 4)):
        with pytest.raises(ProofError) as caught:
            verify_inclusion(hashes[index], place, many, found, root)
        assert caught.value.code == "proof.merkle"


@pytest.mark.parametrize("case", INCLUSION["inclusion"], ids=lambda case: f"{case['leafIdx']}-{case['desc']}")
def test_published_inclusion_proofs_hold_or_do_not(case):
    wanted = [b64decode(item) for item in case["proof"] or []]
    values = b64decode(case["leafHash"]), case["leafIdx"], case["treeSize"], wanted, b64decode(case["root"])
    if case["wantErr"]:
        with pytest.raises(ProofError):
            verify_inclusion(*values)
    else:
        verify_inclusion(*values)


def test_published_roots_are_those_of_the_reference_tree():
    assert [b64decode(root).hex() for root in INCLUSION["roots"]] == REFERENCE["roots"]
    assert [leaf.removeprefix("0x") for leaf in INCLUSION["leaves"]] == REFERENCE["leaves"]


@given(openings())
def test_what_is_proved_is_verified(opening):
    hashes, indices = opening
    proof = prove(hashes, indices)
    verify([(index, hashes[index]) for index in indices], len(hashes), proof, root_of(hashes))


def test_opening_every_leaf_needs_no_hash_beside():
    hashes = [leaf_hash(bytes([number])) for number in range(13)]
    assert prove(hashes, range(13)) == []
    verify(list(enumerate(hashes)), 13, [], root_of(hashes))


@settings(max_examples=300)
@given(openings(), st.data())
def test_a_changed_proof_leaf_or_root_is_refused(opening, data):
    hashes, indices = opening
    proof, root = prove(hashes, indices), root_of(hashes)
    opened = [(index, hashes[index]) for index in indices]
    parts = [*proof, *(leaf for _, leaf in opened), root]
    number = data.draw(st.integers(0, len(parts) - 1))
    changed = bytearray(parts[number])
    changed[data.draw(st.integers(0, 31))] ^= data.draw(st.integers(1, 255))
    parts[number] = bytes(changed)
    leaves = parts[len(proof) : -1]
    with pytest.raises(ProofError) as caught:
        verify(list(zip(indices, leaves, strict=True)), len(hashes), parts[: len(proof)], parts[-1])
    assert caught.value.code == "proof.merkle"


@given(openings(), st.data())
def test_a_longer_shorter_or_reordered_proof_is_refused(opening, data):
    hashes, indices = opening
    proof, root = prove(hashes, indices), root_of(hashes)
    opened = [(index, hashes[index]) for index in indices]
    place = data.draw(st.integers(0, len(proof)))
    spoilt = [[*proof[:place], bytes(32), *proof[place:]]]
    if proof:
        spoilt.append(proof[:-1])
        spoilt.append([*proof[:-1], proof[-1][:31]])
    if len(set(proof)) > 1:
        spoilt.append(proof[1:] + proof[:1])
    for wrong in spoilt:
        if wrong != proof:
            with pytest.raises(ProofError):
                verify(opened, len(hashes), wrong, root)


@given(openings())
def test_a_leaf_at_another_position_is_refused(opening):
    hashes, indices = opening
    hashes = [leaf_hash(bytes([number])) for number in range(len(hashes))]
    proof, root = prove(hashes, indices), root_of(hashes)
    moved = [(index + 1, hashes[index]) for index in indices]
    with pytest.raises(ProofError):
        verify(moved, len(hashes), proof, root)


@pytest.mark.parametrize("indices", [[], [-1], [3], [1, 1], [2, 1], [0, 3]])
def test_positions_ascend_and_lie_inside(indices):
    hashes = [leaf_hash(bytes([number])) for number in range(3)]
    with pytest.raises(ProofError):
        prove(hashes, indices)
    with pytest.raises(ProofError):
        verify([(index, bytes(32)) for index in indices], 3, [], root_of(hashes))


@pytest.mark.parametrize("size", [0, -1, 1 << 40, 1 << 200])
def test_a_tree_of_an_impossible_size_is_refused(size):
    with pytest.raises(ProofError):
        verify([(0, bytes(32))], size, [], EMPTY_ROOT)


def test_a_proof_for_a_huge_claimed_tree_ends_at_once():
    with pytest.raises(ProofError):
        verify([(0, bytes(32))], (1 << 40) - 1, [bytes(32)] * 3, bytes(32))


@pytest.mark.parametrize("case", VECTORS["multiproofs"])
def test_published_multiproofs_hold(case):
    hashes = [leaf_hash(bytes.fromhex(leaf.removeprefix("0x"))) for leaf in VECTORS["leaves"][: case["size"]]]
    proof = [bytes.fromhex(item.removeprefix("0x")) for item in case["proof"]]
    root = bytes.fromhex(case["root"].removeprefix("0x"))
    assert prove(hashes, case["indices"]) == proof
    verify([(index, hashes[index]) for index in case["indices"]], case["size"], proof, root)
