"""From keys, digests and paths to the claims that the multiproof shows: the same walk for prover and verifier.

At each node that a key goes through, every slot that a key points to has one child, and the claim is its scalar:

- an inner node, if a prefix in the paths begins with the node's prefix and the slot. The shortest is the child, all
  others must lie below it. Keys that begin with the child's prefix go on there; the others are absent.
- else a leaf: one from the paths, or the one key of the slot that is present. All other keys of the slot are absent.
- else nothing, and all keys of the slot are absent.

A slot has one claim, so two keys can't be told different things about it. What the paths hold and no key meets is
refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from bpci_node.errors import FormatError, ProofError
from bpci_node.mempool.verkle.paths import MAX_KEYS, Paths
from bpci_node.mempool.verkle.scalars import DIGEST_BYTES, EMPTY, KEY_BYTES, leaf_scalar, node_scalar
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.transcript import Claim

_STATEMENT_TAG = b"VKS|v1|"
_ABSENT, _PRESENT = b"\x00", b"\x01"


def check_keys(keys: Collection[bytes]) -> None:
    """Check the keys of one proof.

    Raises:
        FormatError: none, more than 4096, one twice, or not of 4 bytes (``format.verkle_keys``).
    """
    if not 0 < len(keys) <= MAX_KEYS:
        raise FormatError(f"a Verkle proof is about 1 to {MAX_KEYS} keys, not {len(keys)}", code="format.verkle_keys")
    if any(len(key) != KEY_BYTES for key in keys):
        raise FormatError(f"a key has {KEY_BYTES} bytes", code="format.verkle_keys")
    if len(set(keys)) != len(keys):
        raise FormatError("a key is given twice", code="format.verkle_keys")


def check_digests(digests: Mapping[bytes, bytes | None]) -> None:
    """Check keys and what is said of them.

    Raises:
        FormatError: keys as in :func:`check_keys`, or a digest that has not 32 bytes (``format.verkle_keys``).
    """
    check_keys(digests.keys())
    if any(digest is not None and len(digest) != DIGEST_BYTES for digest in digests.values()):
        raise FormatError(f"a digest has {DIGEST_BYTES} bytes", code="format.verkle_keys")


def statement_of(root: bytes, digests: Mapping[bytes, bytes | None], paths: Paths) -> bytes:
    """Return the 32-byte hash of all that a proof is about: root, keys, digests, nodes and leaves."""
    said = (key + (_ABSENT if digest is None else _PRESENT + digest) for key, digest in sorted(digests.items()))
    return sha256(b"".join((_STATEMENT_TAG, root, len(digests).to_bytes(2, "big"), *said, paths.encode())))


def claims_of(root: bytes, digests: Mapping[bytes, bytes | None], paths: Paths) -> list[Claim]:
    """Return the claims, slot by slot in ascending order, each followed by those below it.

    Raises:
        ProofError: the paths do not fit the keys, or say two things of one slot (``proof.verkle_paths``).
    """
    # Without this, a leaf from the paths could stand for a key that is claimed to be absent.
    if any(key in digests for key, _ in paths.leaves):
        raise ProofError("a leaf of the proof is one of its keys", code="proof.verkle_paths")
    return list(_walk(b"", root, _Part(sorted(digests), list(paths.nodes), list(paths.leaves)), digests))


@dataclass(frozen=True, slots=True)
class _Part:
    """What begins with one prefix."""

    keys: list[bytes] = field(default_factory=list)
    nodes: list[tuple[bytes, bytes]] = field(default_factory=list)
    """The shortest prefix first."""
    leaves: list[tuple[bytes, bytes]] = field(default_factory=list)


def _walk(prefix: bytes, commitment: bytes, part: _Part, digests: Mapping[bytes, bytes | None]) -> Iterator[Claim]:
    """Go through one node with what begins with its prefix."""
    for slot, here in _by_slot(part, len(prefix)).items():
        if here.nodes:
            (child, child_commitment), *below = here.nodes
            if not all(name.startswith(child) for name, _ in (*below, *here.leaves)):
                raise ProofError("the proof has two children in one slot", code="proof.verkle_paths")
            onward = [key for key in here.keys if key.startswith(child)]
            if any(digests[key] is not None for key in here.keys if not key.startswith(child)):
                raise ProofError("the proof leads past a key that is present", code="proof.verkle_paths")
            yield Claim(commitment, slot, node_scalar(child, child_commitment))
            yield from _walk(child, child_commitment, _Part(onward, below, here.leaves), digests)
        else:
            found = [*here.leaves, *((key, digest) for key in here.keys if (digest := digests[key]) is not None)]
            if len(found) > 1:
                raise ProofError("the proof has two leaves in one slot", code="proof.verkle_paths")
            yield Claim(commitment, slot, leaf_scalar(*found[0]) if found else EMPTY)


def _by_slot(part: _Part, depth: int) -> dict[int, _Part]:
    """Return the parts by the byte at ``depth``, for the slots that a key points to, in ascending order.

    Raises:
        ProofError: a node or leaf is in no such slot (``proof.verkle_paths``).
    """
    slots: dict[int, _Part] = {}
    for key in part.keys:
        slots.setdefault(key[depth], _Part()).keys.append(key)
    if any(name[depth] not in slots for name, _ in (*part.nodes, *part.leaves)):
        raise ProofError("the proof holds what no key needs", code="proof.verkle_paths")
    for node in part.nodes:
        slots[node[0][depth]].nodes.append(node)
    for leaf in part.leaves:
        slots[leaf[0][depth]].leaves.append(leaf)
    return slots
