"""The ledger's state: a map from keys to bytes with one root, and overlays that apply whole or not at all.

The root is that of the state tree (:mod:`bpci_node.primitives.state_proof`), and proves for any key what stands at it,
or that nothing does. Blocks of version 1 carry another root, :func:`root_v1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from bpci_node.chain.key_index import KeyIndex
from bpci_node.chain.tree import Tree
from bpci_node.primitives.codec import encode
from bpci_node.primitives.merkle import leaf_hash, root_of
from bpci_node.primitives.state_proof import StateProof, path_of

STATE_TAG_V1 = "bpci 2026 state v1"
"""First item of every leaf of :func:`root_v1`, so that it is never taken for a leaf of another tree."""


class View(Protocol):
    """Something that entries can be read from."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, ``None`` if there is none."""
        ...


class State:
    """All entries after a block. Never changes: :meth:`with_writes` returns another state, and shares with it."""

    __slots__ = ("_keys", "_tree")

    def __init__(self, tree: Tree, keys: KeyIndex) -> None:
        self._tree, self._keys = tree, keys

    @classmethod
    def of(cls, entries: Iterable[tuple[bytes, bytes]] = ()) -> State:
        """Return the state with these entries, whose keys differ and which may come in any order."""
        found = [(path_of(key), key, value) for key, value in entries]
        return cls(Tree.of(found), KeyIndex.of([key for _, key, _ in found]))

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, ``None`` if there is none."""
        return self._tree.get(key)

    def entries(self, prefix: bytes = b"", after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries whose keys begin with ``prefix`` and are greater than ``after``, in order of keys."""
        for key in self._keys.after(max(prefix, after)):
            if not key.startswith(prefix):
                return
            value = self._tree.get(key)
            if value is not None and key != after:
                yield key, value

    @property
    def root(self) -> bytes:
        """The root of the state tree, 32 bytes."""
        return self._tree.root

    def prove(self, key: bytes) -> StateProof:
        """Return the proof of what stands at ``key``, or that nothing does, against :attr:`root`."""
        return self._tree.prove(key)

    def with_writes(self, writes: Mapping[bytes, bytes | None]) -> State:
        """Return the state after ``writes``, where ``None`` deletes a key. This state stays as it is."""
        changes, added, removed = [], [], []
        for key, value in writes.items():
            earlier = self._tree.get(key)
            if earlier == value:
                continue
            changes.append((path_of(key), key, value))
            if earlier is None:
                added.append(key)
            elif value is None:
                removed.append(key)
        keys = self._keys.update(added, removed) if added or removed else self._keys
        return State(self._tree.update(changes), keys)


def root_v1(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the state root of blocks of version 1, 32 bytes.

    It is the RFC 6962 root over one leaf per entry, in ascending order of keys; a leaf encodes ``[tag, key, value]``.
    """
    return root_of([leaf_hash(encode([STATE_TAG_V1, key, value])) for key, value in sorted(entries)])


class Overlay:
    """Writes on top of a view, which see each other at once and reach the view only through :meth:`flush_into`."""

    __slots__ = ("_base", "writes")

    def __init__(self, base: View) -> None:
        self._base = base
        self.writes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, ``None`` if there is none."""
        if key in self.writes:
            return self.writes[key]
        return self._base.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of ``key``."""
        self.writes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove ``key``; nothing happens if it is not there."""
        self.writes[key] = None

    def flush_into(self, other: Overlay) -> None:
        """Apply every write to ``other``."""
        other.writes.update(self.writes)
