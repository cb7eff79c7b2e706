"""Messages between the validators of a committee: how their parts are read, and what signatures are guarded under."""

from __future__ import annotations

from typing import Any

from bpci_node.auction.commit import Commit, decode_commits, encode_commits
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.window import MAX_COMMITS, WindowId
from bpci_node.errors import FormatError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, sign_object, verify_object
from bpci_node.store.auction_journal import WindowKey

SLOT_CONTEXT = "bpci 2026 auction vote slot v1"
PROPOSAL_CONTEXT = "bpci 2026 auction proposal v1"


def slot_of(what: str, window: WindowId) -> bytes:
    """Return what the guard of votes calls one thing that is signed once about a window, 32 bytes."""
    return derive(SLOT_CONTEXT, codec.encode([what, *window.as_list()]))


def key_of(window: WindowId) -> WindowKey:
    """Return what the journal calls a window."""
    return window.target, window.qlock_ms, window.index


def sign_proposal(signer: Signer, header: AuctionHeader) -> bytes:
    """Return the coordinator's signature under a header that it proposes, 64 bytes."""
    return sign_object(signer, PROPOSAL_CONTEXT, {"header": header.digest()})


def verify_proposal(coordinator: bytes, header: AuctionHeader, signature: bytes) -> None:
    """Check that the coordinator (Ed25519 key, 32 bytes) proposes a header: a notary has one vote for each window.

    Raises:
        ProofError: somebody else does (``proof.signature``).
    """
    verify_object(coordinator, PROPOSAL_CONTEXT, {"header": header.digest()}, signature)


def blob_of(fields: Fields, name: str) -> bytes:
    """Return a field of bytes; whoever decodes them looks at their length.

    Raises:
        FormatError: something else (``seat.message``).
    """
    value = fields.raw(name)
    if type(value) is not bytes:
        raise FormatError(f"{name} is a byte string", code="seat.message")
    return value


def commits_of(fields: Fields) -> list[Commit]:
    """Return the commits that travel with their set, none for the set of none.

    Raises:
        FormatError, LimitError: as :func:`decode_commits`.
    """
    data = blob_of(fields, "commits")
    return [] if data == encode_commits([]) else decode_commits(data, most=MAX_COMMITS)


def positions_of(bits: Any) -> list[int]:
    """Return the positions whose bits are set, ascending.

    Raises:
        FormatError: no bits of a set (``seat.message``).
    """
    if type(bits) is not bytes or len(bits) > MAX_COMMITS // 8:
        raise FormatError("what is held is one bit for each commit", code="seat.message")
    return [at * 8 + bit for at, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1]
