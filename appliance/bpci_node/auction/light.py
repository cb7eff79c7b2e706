"""Following a target's headers from one trusted committee on, with no other state: the light client.

What is trusted is one committee, proved by an entry of the ledger's state under a block of the registry that the
network file names (:func:`committee_of_proof`). From there each header must have the votes of the committee of its
epoch, and be the next one of its target. Headers made after the next committee is drawn name it; where none did (no
window of an epoch's last quarter became final, or an epoch had no auctions), the ledger proves the next committee as it
proved the first (:meth:`LightState.appoint`), and the chain of headers runs on through the gap.

What a client can't see: that a target has no later header than those that it was shown; whether two thirds of a
committee that it follows have sold themselves. Not handled: headers that nobody has any more; a client begins anew
behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.certificate import Certificate, verify_certificate
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.verify_auction import VerifiedAuction, verify_decoded
from bpci_node.chain.committee import Committee
from bpci_node.chain.draw import committee_entry
from bpci_node.chain.ledger_proof import StateEntryProof
from bpci_node.errors import FormatError, ProofError
from bpci_node.mempool.classes import QLOCK_MS
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.names import LEDGER_ID_FORM, TARGET_FORM

VERSION = 1
MAX_FINAL_BYTES = 128 * 1024
"""Longest header with its certificate and the next committee."""
MAX_STATE_BYTES = 512 * 1024
"""Longest state of a client."""

_CODE = "light.format"
_STATE_NAMES = ("v", "ledger_id", "target", "committee", "following", "sequence", "digest", "indices")


@dataclass(frozen=True, slots=True)
class FinalHeader:
    """A header with what makes it final: all that following a target takes."""

    header: AuctionHeader
    certificate: Certificate
    next_committee: Committee | None
    """The committee that the header names, None if it names none."""

    @classmethod
    def of(cls, bundle: AuctionBundle) -> Self:
        """Return the final header of a bundle."""
        return cls(bundle.header, bundle.certificate, bundle.next_committee)

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        following = None if self.next_committee is None else self.next_committee.as_map()
        return encode(
            {
                "v": VERSION,
                "header": self.header.as_map(),
                "certificate": self.certificate.as_map(),
                "next_committee": following,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical encoding; nothing is verified.

        Raises:
            FormatError: not a final header (``light.format``, or the code of the part that is wrong).
        """
        names = ("v", "header", "certificate", "next_committee")
        fields = Fields(decode(data, max_bytes=MAX_FINAL_BYTES), names, what="a final header", code=_CODE)
        fields.version(VERSION)
        return cls(
            AuctionHeader.from_map(fields.raw("header")),
            Certificate.from_map(fields.raw("certificate")),
            None if fields.is_null("next_committee") else Committee.from_map(fields.raw("next_committee")),
        )


@dataclass(frozen=True, slots=True)
class LightState:
    """What a client knows of one target. Every step returns a new one."""

    ledger_id: str
    target: str
    committee: Committee
    """Of the last header that was followed."""
    following: Committee | None = None
    """Takes over with its first header: named by a header, or shown by the ledger. None while none is known."""
    sequence: int = 0
    """Of the last header that was followed; 0 before the first."""
    digest: bytes | None = None
    """Of the last header, 32 bytes; None before the first."""
    indices: tuple[tuple[int, int], ...] = ()
    """Class and index of the last window of each class, classes ascending."""

    def knows(self, epoch: int) -> bool:
        """Say whether the next header may be one of that epoch."""
        return self._committee_of(epoch) is not None

    def appoint(self, committee: Committee) -> LightState:
        """Let a committee take over that the ledger showed and no header named; the chain of headers stays.

        Raises:
            ProofError: it is not later than those that are known (``light.epoch``), or another one than a header named
                for its epoch (``light.next_committee``).
        """
        last = self.committee if self.following is None else self.following
        if committee == last:
            return self
        if committee.epoch == last.epoch and self.following is not None:
            raise ProofError("header and ledger name two committees for one epoch", code="light.next_committee")
        if committee.epoch <= last.epoch:
            raise ProofError(
                f"a committee of epoch {committee.epoch} can't follow on that of epoch {last.epoch}",
                code="light.epoch",
                hint="Show the proof of a later committee.",
            )
        return replace(self, following=committee)

    def follow(self, final: FinalHeader) -> LightState:
        """Check that a header is the next one of the target, and final, and return what is known then.

        The first header that a client follows may be any of its committee's epoch.

        Raises:
            ProofError: of another ledger (``light.ledger``) or target (``light.target``); not the next one
                (``light.sequence``, ``light.parent``); of another epoch than its committee's (``light.epoch``); of a
                window that was before (``light.window``); with another next committee than it names, or one that can't
                follow (``light.next_committee``); not final (``certificate.*``).
        """
        header = final.header
        if header.ledger_id != self.ledger_id:
            raise ProofError("the header is of another ledger", code="light.ledger")
        if header.target != self.target:
            raise ProofError("the header is of another target chain", code="light.target")
        if self.digest is not None and header.sequence != self.sequence + 1:
            raise ProofError(
                f"header {header.sequence} does not follow on {self.sequence}",
                code="light.sequence",
                hint="Show every header in its order.",
                next=self.sequence + 1,
            )
        if self.digest is not None and header.parent != self.digest:
            raise ProofError("the header names another one as the one before", code="light.parent")
        committee = self._committee_of(header.epoch)
        if committee is None:
            last = self.committee if self.following is None else self.following
            raise ProofError(
                f"the header is of epoch {header.epoch}; epoch {last.epoch} is what is followed",
                code="light.epoch",
                hint="No header named its committee: show the proof of it from the ledger's state.",
            )
        indices = dict(self.indices)
        if header.index <= indices.get(header.qlock_ms, -1):
            raise ProofError("the header's window was before", code="light.window")
        following = self._following(final)
        digest = header.digest()
        verify_certificate(committee, digest, final.certificate)
        indices[header.qlock_ms] = header.index
        return LightState(
            self.ledger_id, self.target, committee, following, header.sequence, digest, tuple(sorted(indices.items()))
        )

    def _committee_of(self, epoch: int) -> Committee | None:
        """Return the committee whose header may come next, if it is that of this epoch."""
        if self.following is not None and epoch == self.following.epoch:
            return self.following
        return self.committee if epoch == self.committee.epoch else None

    def _following(self, final: FinalHeader) -> Committee | None:
        """Return what takes over after a header of a committee that is known.

        Raises:
            ProofError: ``light.next_committee``.
        """
        header, named = final.header, final.next_committee
        known = self.following if header.epoch == self.committee.epoch else None
        if (None if named is None else named.digest()) != header.next_committee:
            raise ProofError("the next committee is not the one that the header names", code="light.next_committee")
        if named is None:
            return known
        if named.epoch <= header.epoch:
            raise ProofError("the header names a committee that is over", code="light.next_committee")
        if known is not None and known != named:
            raise ProofError("another next committee was named before", code="light.next_committee")
        return named

    def check(self, bundle: AuctionBundle, *, is_full: bool = False) -> tuple[LightState, VerifiedAuction]:
        """Follow a bundle's header and verify the bundle; a bundle of the last header is verified again.

        Raises:
            ProofError: as :meth:`follow` and :func:`~bpci_node.auction.verify_auction.verify_decoded`.
        """
        state = self if bundle.header.digest() == self.digest else self.follow(FinalHeader.of(bundle))
        return state, verify_decoded(bundle, state.committee, is_full=is_full)

    def encode(self) -> bytes:
        """Return the canonical encoding, for a client that goes on later."""
        return encode(
            {
                "v": VERSION,
                "ledger_id": self.ledger_id,
                "target": self.target,
                "committee": self.committee.as_map(),
                "following": None if self.following is None else self.following.as_map(),
                "sequence": self.sequence,
                "digest": self.digest,
                "indices": [list(item) for item in self.indices],
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical encoding of a state that the caller kept; it is trusted as it stands.

        Raises:
            FormatError: not the state of a client (``light.format``, or a code of the committee or the codec).
        """
        fields = Fields(
            decode(data, max_bytes=MAX_STATE_BYTES), _STATE_NAMES, what="the state of a light client", code=_CODE
        )
        fields.version(VERSION)
        indices = fields.items("indices", len(QLOCK_MS))
        for item in indices:
            if type(item) is not list or len(item) != 2 or any(type(number) is not int for number in item):
                raise fields.wrong("needs pairs of integers in 'indices'")
        return cls(
            ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
            target=fields.text("target", TARGET_FORM, "the id of a target chain"),
            committee=Committee.from_map(fields.raw("committee")),
            following=None if fields.is_null("following") else Committee.from_map(fields.raw("following")),
            sequence=fields.integer("sequence"),
            digest=None if fields.is_null("digest") else fields.blob("digest", 32),
            indices=tuple((qlock, index) for qlock, index in indices),
        )


def committee_of_proof(proof: StateEntryProof, registry_key: bytes) -> Committee:
    """Return the committee that an entry of the ledger's state holds, proved against the registry's key.

    Raises:
        ProofError: the entry is not proved (``proof.*``), or holds no committee (``light.committee``).
        FormatError: block or proof can't be decoded.
    """
    proof.verify(registry_key=registry_key)
    committee = None if proof.value is None else committee_of_entry(proof.value)
    if committee is None or proof.key != committee_entry(committee.epoch):
        raise ProofError("the proof is not that of an epoch's committee", code="light.committee")
    return committee


def committee_of_entry(value: bytes) -> Committee | None:
    """Return the committee that a value of the ledger's state holds, None if it holds none."""
    try:
        return Committee.from_map(decode(value))
    except FormatError:
        return None


def begin(ledger_id: str, target: str, committee: Committee) -> LightState:
    """Return the state of a client that trusts one committee and has seen no header."""
    return LightState(ledger_id, target, committee)
