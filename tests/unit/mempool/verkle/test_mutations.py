"""Every altered bit of a proof, key, digest or root is refused. All bits take minutes; the short run takes a sample."""

import random

import pytest

from bpci_node.errors import BpciError
from bpci_node.mempool.verkle.proof import VerkleProof
from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.mempool.verkle.verify import verify_opening

CODES = {"format.verkle", "format.verkle_point", "proof.verkle", "proof.verkle_paths"}


@pytest.fixture(scope="module")
def case():
    """Present keys, and absent ones by an empty slot, another leaf and a diverging prefix, in a tree of 400."""
    rng = random.Random(11)  # noqa: S311 - content to be proved
    tree = VerkleTree()
    keys = [rng.randbytes(4) for _ in range(380)]
    keys += [bytes([7, 7, 7, last]) for last in range(0, 200, 10)]
    for key in keys:
        tree.set(key, rng.randbytes(32))
    lonely = next(key for key in keys if sum(other[:1] == key[:1] for other in keys) == 1)
    free = next(first for first in range(256) if all(key[0] != first for key in keys))
    absent = [bytes([free, 0, 0, 0]), lonely[:3] + bytes([lonely[3] ^ 1]), bytes([7, 7, 7, 5]), bytes([7, 7, 6, 0])]
    opening = tree.open([*rng.sample(keys[:380], 5), *keys[380:384], lonely[:1] + b"\x00\x00\x01", *absent])
    proof = opening.prove().encode()
    verify_opening(opening.root, opening.digests, VerkleProof.decode(proof))
    return opening.root, dict(opening.digests), proof


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def mutants(case):
    """All of them: what was altered, and root, digests and proof as altered."""
    root, digests, proof = case
    for bit in range(len(proof) * 8):
        yield "proof", root, digests, flipped(proof, bit)
    for bit in range(len(root) * 8):
        yield "root", flipped(root, bit), digests, proof
    for key, digest in digests.items():
        for bit in range(32):
            yield (
                "key",
                root,
                {flipped(key, bit) if other == key else other: digests[other] for other in digests},
                proof,
            )
        for bit in range(256 if digest else 0):
            yield "digest", root, digests | {key: flipped(digest, bit)}, proof
        yield "presence", root, digests | {key: None if digest else bytes(32)}, proof
        yield "fewer", root, {other: digests[other] for other in digests if other != key}, proof
    for length in range(len(proof)):
        yield "cut", root, digests, proof[:length]
    for bit in range(256):
        yield "longer", root, digests, proof + bytes([bit])


def is_refused(root, digests, proof):
    try:
        verify_opening(root, digests, VerkleProof.decode(proof))
    except BpciError as error:
        return error.code in CODES
    return False


def test_thousands_of_altered_bits_are_refused(case):
    """What is refused while it is read costs little and is tried in full: the rest by every fifth."""
    tried = 0
    for number, (part, *mutant) in enumerate(mutants(case)):
        if part in {"proof", "root", "cut", "longer", "presence"} or number % 5 == 0:
            assert is_refused(*mutant), (part, number)
            tried += 1
    assert tried > 5000


@pytest.mark.long
def test_every_altered_bit_is_refused(case):
    for number, (part, *mutant) in enumerate(mutants(case)):
        assert is_refused(*mutant), (part, number)


def test_a_flipped_key_can_only_pass_when_it_says_the_truth(case):
    """An absent key with another last byte is often absent by the same slot; still the proof is of its keys alone."""
    root, digests, proof = case
    for key, digest in digests.items():
        if digest is None:
            moved = {flipped(key, 24) if other == key else other: digests[other] for other in digests}
            assert is_refused(root, moved, proof)
