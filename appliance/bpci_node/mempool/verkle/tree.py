"""The tree over all buckets of a target: a map from keys to digests under one commitment.

Below a node with prefix p, the slot i is empty if no key begins with p ‖ i, holds the leaf if exactly one does, and
otherwise an inner node whose prefix is the longest that all those keys share. So shape and root follow from the
content, whatever the order of operations. The root is always an inner node with the empty prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

from bpci_node.mempool.verkle.node import Node
from bpci_node.mempool.verkle.opening import Opening
from bpci_node.mempool.verkle.paths import Paths
from bpci_node.mempool.verkle.scalars import DIGEST_BYTES, KEY_BYTES
from bpci_node.mempool.verkle.walk import check_keys


class VerkleTree:
    """Keys of 4 bytes with digests of 32. Changes cost no curve work until :meth:`root` or :meth:`open`."""

    __slots__ = ("_root", "_size")

    def __init__(self) -> None:
        self._root = Node(b"")
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def get(self, key: bytes) -> bytes | None:
        """Return the digest of a key, or nothing."""
        child: Node | bytes | None = self._root if len(key) == KEY_BYTES else None
        while isinstance(child, Node):
            child = child.children.get(key[len(child.prefix)]) if key.startswith(child.prefix) else None
        return child[KEY_BYTES:] if child is not None and child.startswith(key) else None

    def set(self, key: bytes, digest: bytes) -> None:
        """Insert or update a key.

        Raises:
            ValueError: not 4 and 32 bytes.
        """
        if len(key) != KEY_BYTES or len(digest) != DIGEST_BYTES:
            raise ValueError(f"a key of {len(key)} and a digest of {len(digest)} bytes")
        before = self.get(key)
        if before == digest:
            return
        self._size += before is None
        node = self._root
        while True:
            slot = key[len(node.prefix)]
            node.touch(slot)
            child = node.children.get(slot)
            if not (isinstance(child, Node) and key.startswith(child.prefix)):
                break
            node = child
        if child is None or before is not None:
            node.children[slot] = key + digest
        else:
            node.children[slot] = _fork(child, key, digest)

    def delete(self, key: bytes) -> None:
        """Remove a key.

        Raises:
            KeyError: it is not there.
        """
        if self.get(key) is None:
            raise KeyError(key)
        self._size -= 1
        parent, node = None, self._root
        while True:
            slot = key[len(node.prefix)]
            node.touch(slot)
            child = node.children[slot]
            if not isinstance(child, Node):
                break
            parent, node = node, child
        del node.children[slot]
        if parent is not None and len(node.children) == 1:
            parent.children[key[len(parent.prefix)]] = next(iter(node.children.values()))

    def root(self) -> bytes:
        """Return the commitment of the whole tree, a compressed point; infinity when it is empty."""
        self._root.settle()
        return self._root.commitment

    def open(self, keys: Sequence[bytes]) -> Opening:
        """Collect what proving these keys, present or absent, needs: a copy that later changes don't touch.

        Raises:
            FormatError: no keys, too many, one twice, or not of 4 bytes (``format.verkle_keys``).
        """
        check_keys(keys)
        self._root.settle()
        digests: dict[bytes, bytes | None] = dict.fromkeys(sorted(keys))
        leaves: dict[bytes, bytes] = {}
        nodes: dict[bytes, bytes] = {}
        polynomials: dict[bytes, dict[int, int]] = {}
        for key in digests:
            child: Node | bytes | None = self._root
            while isinstance(child, Node):
                nodes[child.prefix] = child.commitment
                if not key.startswith(child.prefix):
                    break
                if child.commitment not in polynomials:
                    polynomials[child.commitment] = dict(child.values)
                child = child.children.get(key[len(child.prefix)])
            if isinstance(child, bytes):
                leaves[child[:KEY_BYTES]] = child[KEY_BYTES:]
        digests.update((key, leaves.pop(key)) for key in digests if key in leaves)
        del nodes[b""]
        paths = Paths(
            tuple(sorted(nodes.items(), key=lambda node: (len(node[0]), node[0]))),
            tuple(sorted(leaves.items())),
        )
        return Opening(self._root.commitment, digests, paths, polynomials)


def _fork(child: Node | bytes, key: bytes, digest: bytes) -> Node:
    """Return the node that holds ``child`` and a new leaf from where their ways part."""
    other = child.prefix if isinstance(child, Node) else child[:KEY_BYTES]
    depth = next(i for i in range(KEY_BYTES) if key[i] != other[i])
    fork = Node(key[:depth])
    fork.children = {other[depth]: child, key[depth]: key + digest}
    fork.touch(other[depth])
    fork.touch(key[depth])
    return fork
