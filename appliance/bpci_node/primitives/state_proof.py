"""What one entry of a ledger's state is worth against its root: hashes of the state tree, and proofs for one key.

The state tree is the binary radix tree over 256-bit paths in which only nodes with two children exist. A key's path is
a tagged SHA-256 of it, so nobody chooses the shape. Every inner node names the bit at which its children part; the bits
rise from the root downwards. The tree, and so its root, depends on the entries alone, never on how they came about.

Because a look-up follows the key's bits to exactly one leaf, the same walk proves both things: the key's own leaf at
its end proves that the entry is there, another key's leaf proves that it is not. Layout: ``docs/spec/ledger.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256 as _sha256  # called directly: a large state is a million of each hash
from itertools import pairwise

from bpci_node.errors import ProofError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import sha256

KEY_TAG = "bpci 2026 state key v2"
EMPTY_ROOT = sha256(b"bpci 2026 state v2")
"""Root of the state without entries."""

MAX_STEPS = 256
"""Most inner nodes between root and leaf: one for each bit of a path."""
MAX_PROOF_BYTES = 12_288
"""Longest encoded proof: 256 steps of 35 bytes, and room for the rest."""

_FORMAT = "format.state_proof"
_KEY_PREFIX = sha256(KEY_TAG.encode()) * 2
_BIT = [bytes((3, bit)) for bit in range(256)]


def path_of(key: bytes) -> bytes:
    """Return the path of ``key`` in the tree, 32 bytes.

    Source: BIP-340, "tagged hashes": SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ key).
    """
    return _sha256(_KEY_PREFIX + key).digest()


def state_leaf(path: bytes, value_digest: bytes) -> bytes:
    """Return the hash of the leaf at ``path`` whose value has this SHA-256, 32 bytes."""
    return _sha256(b"\x02" + path + value_digest).digest()


def state_node(bit: int, left: bytes, right: bytes) -> bytes:
    """Return the hash of the inner node whose children part at ``bit``, 0 being a path's first; 32 bytes."""
    return _sha256(_BIT[bit] + left + right).digest()


def bit_of(path: int, bit: int) -> int:
    """Return one bit of a path, which is given as the integer of its bytes."""
    return (path >> (255 - bit)) & 1


@dataclass(frozen=True, slots=True)
class StateProof:
    """The walk from the root to the one leaf that a look-up of a key ends at."""

    steps: tuple[tuple[int, bytes], ...]
    """From the root down: the bit at which a node's children part, rising, and the hash of the other child."""
    other: tuple[bytes, bytes] | None
    """Path and SHA-256 of the value at the walk's end, if it is another key's; ``None`` if it is the key's own, or the
    tree is empty."""

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        other = None if self.other is None else list(self.other)
        return encode({"v": 1, "steps": [list(step) for step in self.steps], "other": other})


def decode_state_proof(data: bytes) -> StateProof:
    """Return the proof that ``data`` encodes.

    Raises:
        FormatError: not a state proof of version 1 (``format.state_proof``, or a code of the codec).
    """
    fields = Fields(
        decode(data, max_bytes=MAX_PROOF_BYTES), ("v", "steps", "other"), what="a state proof", code=_FORMAT
    )
    fields.version()
    steps = []
    for item in fields.items("steps", MAX_STEPS):
        if type(item) is not list or len(item) != 2 or type(item[0]) is not int or not 0 <= item[0] < 256:
            raise fields.wrong("needs pairs of a bit from 0 to 255 and a hash in 'steps'")
        steps.append((item[0], _hash(item[1], fields)))
    if any(earlier[0] >= later[0] for earlier, later in pairwise(steps)):
        raise fields.wrong("needs rising bits in 'steps'")
    other = None
    if not fields.is_null("other"):
        pair = fields.items("other", 2)
        if len(pair) != 2:
            raise fields.wrong("needs a path and a digest in 'other'")
        other = (_hash(pair[0], fields), _hash(pair[1], fields))
    return StateProof(tuple(steps), other)


def verify_state(root: bytes, key: bytes, value: bytes | None, proof: StateProof) -> None:
    """Check that the state with this ``root`` holds ``value`` at ``key``, or nothing if ``value`` is ``None``.

    Args:
        root: the state root of a block of version 2, 32 bytes.
    Raises:
        ProofError: it does not, or the proof is of something else (``proof.state``).
    """
    path = path_of(key)
    if any(earlier[0] >= later[0] for earlier, later in pairwise(proof.steps)):
        raise _refused("the bits of the proof do not rise")
    if value is not None:
        if proof.other is not None:
            raise _refused("the proof ends at another key")
        computed = state_leaf(path, sha256(value))
    elif proof.other is not None:
        if proof.other[0] == path:
            raise _refused("the proof ends at the very key that is said to be absent")
        computed = state_leaf(*proof.other)
    elif not proof.steps:
        computed = EMPTY_ROOT
    else:
        raise _refused("the proof names no leaf")
    wanted = int.from_bytes(path)
    at = wanted if proof.other is None else int.from_bytes(proof.other[0])
    for bit, sibling in reversed(proof.steps):
        side = bit_of(at, bit)
        # The leaf at the end says something about the key only if looking up the key leads to it.
        if side != bit_of(wanted, bit):
            raise _refused("looking up this key does not lead to the leaf of the proof")
        computed = state_node(bit, sibling, computed) if side else state_node(bit, computed, sibling)
    if computed != root:
        raise _refused("the proof leads to another root")


def _hash(value: object, fields: Fields) -> bytes:
    if type(value) is not bytes or len(value) != 32:
        raise fields.wrong("needs hashes of 32 bytes")
    return value


def _refused(message: str) -> ProofError:
    return ProofError(message, code="proof.state")
