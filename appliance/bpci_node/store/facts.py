"""What decoding an Ethereum transaction found, kept beside its raw bytes so that a start need not decode it again.

Only a shortcut: an entry without facts, or with those of another version, is decoded from its raw bytes, signature and
all. Why it is sound to take the sender from the journal: ``docs/adr/0043-journal.md``.
"""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter

import cbor2

from bpci_node.mempool.entry import Signed
from bpci_node.primitives.ethereum import Transaction

VERSION = 1
"""Raised whenever :class:`Transaction` gets other fields, or one of them another meaning."""
NONE = b""
"""No facts."""

FIELDS = tuple(item.name for item in fields(Transaction) if item.name not in {"raw", "txid", "sender"})
"""In the order in which they are kept."""
_values_of = attrgetter(*FIELDS)


def pack(entry: Signed) -> bytes:
    """Return the facts of an entry; a native entry has none."""
    if type(entry) is not Transaction:
        return NONE
    # Not the canonical subset: fees and values exceed 64 bits, and nobody but this module reads it.
    return cbor2.dumps((VERSION, *_values_of(entry)))


def unpack(facts: bytes, *, raw: bytes, txid: bytes, sender: bytes) -> Transaction | None:
    """Return the transaction, or None when it must be decoded from ``raw``.

    Args:
        facts: checked to be what :func:`pack` returned.
        raw: see :class:`Transaction`; so are ``txid`` and ``sender``.
    """
    if facts == NONE:
        return None
    version, *values = cbor2.loads(facts)
    if version != VERSION:
        return None
    return Transaction(raw=raw, txid=txid, sender=sender, **dict(zip(FIELDS, values, strict=True)))
