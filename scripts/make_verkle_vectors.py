"""Write the vectors of docs/spec/mx-verkle.md: ``PYTHONPATH=appliance python scripts/make_verkle_vectors.py``.

A test compares the file with what the code computes; another one recomputes it from the text of the specification.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.mempool.verkle.walk import claims_of, statement_of
from bpci_node.primitives.kzg import INFINITY, basis
from bpci_node.primitives.transcript import Transcript

FILE = Path(__file__).resolve().parents[1] / "docs/spec/vectors/verkle.json"

CONTENTS = {
    "empty": "",
    "one key": "0a0b0c0d",
    # Inner nodes 00, 0000, 000000, 0a0b, 0a0b0c, 223344, 80, and leaves at every depth.
    "small": "00000000 00000001 000000ff 00000100 00100000 0a0b0c0d 0a0b0c0e 0a0b1000 22334400 22334455 40000000 "
    "80010000 80020000 ff000000",
}
KEYS = {
    "the empty tree": ("empty", "00000000 ffffffff"),
    "one key, present": ("one key", "0a0b0c0d"),
    "one key, another leaf": ("one key", "0a0b0c0e"),
    "one key, empty slot": ("one key", "0b000000"),
    "a leaf below the root": ("small", "40000000"),
    "leaves at depth 2 and 4": ("small", "80010000 00000001"),
    "neighbours": ("small", "00000000 00000001 000000ff"),
    "empty slot of the root": ("small", "01000000"),
    "empty slot of an inner node": ("small", "80030000"),
    "another leaf below the root": ("small", "40000001"),
    "another leaf below an inner node": ("small", "0a0b1001"),
    "diverging from a prefix of 2 bytes": ("small", "0aff0000"),
    "diverging from a prefix of 3 bytes": ("small", "22334500 22440000"),
    "two keys, one slot, both absent by one leaf": ("small", "40000001 40ffffff"),
    "present and absent in one slot": ("small", "ff000000 ff000001"),
    "diverging beside keys that go on": ("small", "0a0b0c0d 0a0b0c0f 0a0c0000"),
    "all kinds": (
        "small",
        "00000000 00000002 0a0b0c0e 0a0b1001 0aff0000 22334455 22334500 40000000 80030000 c0000000 ff000001",
    ),
}
"""Names, trees and keys of the proofs; which key is present follows from the tree."""


def digest_of(key: bytes) -> bytes:
    """Return what the trees of the vectors hold for a key."""
    return sha256(b"digest of " + key).digest()


def keys_of(text: str) -> list[bytes]:
    """Return keys from their hex forms."""
    return [bytes.fromhex(word) for word in text.split()]


def tree_of(text: str) -> VerkleTree:
    """Return the tree with these keys."""
    tree = VerkleTree()
    for key in keys_of(text):
        tree.set(key, digest_of(key))
    return tree


def shown(digests: Mapping[bytes, bytes | None]) -> dict[str, str | None]:
    """Return keys with digests as JSON shows them."""
    return {hexed(key): None if digest is None else hexed(digest) for key, digest in digests.items()}


def hexed(data: bytes) -> str:
    """Return bytes as 0x and lower-case hex."""
    return "0x" + data.hex()


def number(scalar: int) -> str:
    """Return a scalar as 0x and 64 digits."""
    return hexed(scalar.to_bytes(32, "big"))


def trees() -> list[dict[str, Any]]:
    """Return contents, roots and inner nodes."""
    result = []
    for name, text in CONTENTS.items():
        tree = tree_of(text)
        nodes = dict(tree.open(keys_of(text)).paths.nodes) if text else {}
        result.append(
            {
                "name": name,
                "content": shown({key: digest_of(key) for key in keys_of(text)}),
                "root": hexed(tree.root()),
                "nodes": {hexed(prefix): hexed(commitment) for prefix, commitment in nodes.items()},
            }
        )
    return result


def proofs() -> list[dict[str, Any]]:
    """Return proofs with everything that is hashed on the way."""
    result = []
    for name, (tree, keys) in KEYS.items():
        opening = tree_of(CONTENTS[tree]).open(keys_of(keys))
        proof = opening.prove()
        claims = claims_of(opening.root, opening.digests, opening.paths)
        statement = statement_of(opening.root, opening.digests, opening.paths)
        transcript = Transcript(statement, claims)
        result.append(
            {
                "name": name,
                "tree": tree,
                "root": hexed(opening.root),
                "digests": shown(opening.digests),
                "statement": hexed(statement),
                "claims": [[hexed(claim.commitment), claim.slot, number(claim.value)] for claim in claims],
                "r": number(transcript.weight()),
                "t": number(transcript.point(proof.opening.quotient)),
                "proof": hexed(proof.encode()),
            }
        )
    return result


def refused() -> list[dict[str, Any]]:
    """Return what must not pass, each with the code of its refusal."""
    small = tree_of(CONTENTS["small"])
    keys = keys_of("00000000 40000001 80010000")
    opening = small.open(keys)
    digests, root = dict(opening.digests), opening.root
    proof = opening.prove().encode()
    head, nodes, leaf, points = proof[:9], proof[9:-132], proof[-132:-96], proof[-96:]
    one, two, three = nodes[:98], nodes[98:148], nodes[148:]
    absent, present = keys_of("40000001 80010000")
    other_leaf = keys_of("41000000")[0] + digest_of(b"")
    off_curve = b"\x80" + bytes(46) + b"\x01"
    not_in_subgroup = b"\x80" + bytes(46) + b"\x04"
    sloppy_infinity = INFINITY[:-1] + b"\x01"

    def counts(*numbers: int) -> bytes:
        return b"\x01" + b"".join(n.to_bytes(2, "big") for n in numbers)

    cases: list[tuple[str, str, bytes, Mapping[bytes, bytes | None], bytes]] = [
        ("another digest", "proof.verkle", root, digests | {present: digest_of(absent)}, proof),
        ("a present key called absent", "proof.verkle", root, digests | {present: None}, proof),
        ("an absent key called present", "proof.verkle_paths", root, digests | {absent: digest_of(absent)}, proof),
        ("the root of another tree", "proof.verkle", tree_of("0a0b0c0d").root(), digests, proof),
        ("the empty tree", "proof.verkle", INFINITY, digests, proof),
        ("a key less", "proof.verkle_paths", root, {key: digests[key] for key in keys[1:]}, proof),
        ("a key more", "proof.verkle", root, digests | {keys_of("c0000000")[0]: None}, proof),
        ("no key", "format.verkle_keys", root, {}, counts(0, 0, 0, 0) + points),
        ("a key of three bytes", "format.verkle_keys", root, digests | {b"abc": None}, proof),
        ("a digest of 31 bytes", "format.verkle_keys", root, digests | {present: bytes(31)}, proof),
        ("a byte after the end", "format.verkle", root, digests, proof + b"\x00"),
        ("a byte less", "format.verkle", root, digests, proof[:-1]),
        ("version 2", "format.verkle", root, digests, b"\x02" + proof[1:]),
        ("a count that is too great", "format.verkle", root, digests, counts(2, 1, 1, 2) + proof[9:]),
        (
            "nodes in another order",
            "format.verkle",
            root,
            digests,
            head + one[49:] + one[:49] + two + three + leaf + points,
        ),
        (
            "a node twice",
            "format.verkle",
            root,
            digests,
            counts(3, 1, 1, 1) + one[:49] + one + two + three + leaf + points,
        ),
        ("an empty node", "format.verkle", root, digests, head + one + two + three[:3] + INFINITY + leaf + points),
        (
            "a node without use",
            "proof.verkle_paths",
            root,
            digests,
            counts(3, 1, 1, 1) + one + b"\xee" + one[1:49] + two + three + leaf + points,
        ),
        (
            "a leaf without use",
            "proof.verkle_paths",
            root,
            digests,
            counts(2, 1, 1, 2) + nodes + leaf + other_leaf + points,
        ),
        ("a leaf of another slot", "proof.verkle_paths", root, digests, head + nodes + other_leaf + points),
        ("no leaf", "proof.verkle", root, digests, counts(2, 1, 1, 0) + nodes + points),
        (
            "a leaf that is one of the keys",
            "proof.verkle_paths",
            root,
            digests | {present: None},
            counts(2, 1, 1, 2) + nodes + leaf + present + digest_of(present) + points,
        ),
        (
            "a prefix of another length",
            "proof.verkle",
            root,
            digests,
            counts(1, 2, 1, 1) + one[:49] + two + b"\x80\x01" + one[50:] + three + leaf + points,
        ),
        (
            "a prefix that is not on the way",
            "proof.verkle_paths",
            root,
            digests,
            head + one + two + b"\x01" + three[1:] + leaf + points,
        ),
        ("the opening's points swapped", "proof.verkle", root, digests, proof[:-96] + points[48:] + points[:48]),
        ("an opening of nothing", "proof.verkle", root, digests, proof[:-96] + INFINITY * 2),
        ("a point off the curve", "format.verkle_point", root, digests, proof[:-48] + off_curve),
        ("a point outside the subgroup", "format.verkle_point", root, digests, proof[:-48] + not_in_subgroup),
        ("infinity with other bits", "format.verkle_point", root, digests, proof[:-48] + sloppy_infinity),
        ("a root that is no point", "format.verkle_point", off_curve, digests, proof),
    ]
    return [
        {"name": name, "code": code, "root": hexed(case_root), "digests": shown(said), "proof": hexed(data)}
        for name, code, case_root, said, data in cases
    ]


def points() -> dict[str, Any]:
    """Return the Lagrange basis and [τ]G2, compressed."""
    lagrange, tau_g2 = basis()
    return {
        "lagrange": [hexed(point.to_compressed_bytes()) for point in lagrange],
        "tau_g2": hexed(tau_g2.to_compressed_bytes()),
    }


def vectors() -> dict[str, Any]:
    """Return the whole file."""
    return {"basis": points(), "trees": trees(), "proofs": proofs(), "refused": refused()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(FILE.name)
