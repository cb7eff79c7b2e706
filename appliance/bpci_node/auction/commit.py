"""Commits: a hidden bid. The wire says whose it is, of which tier and for which window, and nothing about the bid.

The digest binds the account that commits, so that a copied digest can be opened by nobody else; it binds the window, so
that an old one opens nothing; and 32 bytes of salt keep it from being guessed. The signature also covers the ledger,
which is not on the wire: a commit for one network is none for another. Byte layout: ``docs/spec/auction.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from cbor2 import dumps

from bpci_node.auction.window import WindowId
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.errors import FormatError, LimitError, ProofError, RefusedError
from bpci_node.mempool.bucket_key import KEY_BYTES
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive, keccak256
from bpci_node.primitives.keys import Signer, verify_signature

SIGNATURE_CONTEXT = "bpci 2026 auction commit v1"
ID_CONTEXT = "bpci 2026 auction commit id v1"
COMMITMENT_TAG = "bpci 2026 auction commitment v1"
VERSION = 1
SALT_BYTES = 32
MAX_TIER = 255
"""Greatest number of a tier."""
MAX_BATCH = 1_024
"""Commits of one batch, at most."""
MAX_COMMIT_BYTES = 320
"""Longest encoding of one commit."""

_NAMES = ("v", "window", "digest", "account", "tier", "signature")


@dataclass(frozen=True, slots=True)
class Commit:
    """A hidden bid, as it is sent."""

    window: WindowId
    """The window in which it bids."""
    digest: bytes
    """What :func:`commitment` returned, 32 bytes."""
    account: str
    """Whose bond it uses."""
    tier: int
    """Which bond: a tier of the target's terms, 0 to ``MAX_TIER``. It caps what the reveal may bid."""
    signature: bytes
    """By a current Ed25519 key of the account, 64 bytes."""

    commit_id: bytes = field(init=False, repr=False, compare=False)
    """Its name, 32 bytes: of everything but the signature."""
    _unsigned: bytes = field(init=False, repr=False, compare=False)
    """The entries of the canonical map but for the signature."""

    def __post_init__(self) -> None:
        """Reckon the name."""
        # The canonical map is put together by hand, and once: an encoder that looks at each value first takes several
        # times as long. A test holds it to the codec.
        unsigned = b"".join(
            (
                b"\x61v\x01\x64tier",
                dumps(self.tier),
                b"\x66digest\x58\x20",
                self.digest,
                b"\x66window",
                self.window.encoded,
                b"\x67account",
                dumps(self.account),
            )
        )
        object.__setattr__(self, "_unsigned", unsigned)
        object.__setattr__(self, "commit_id", derive(ID_CONTEXT, b"\xa5" + unsigned))

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {
            "v": VERSION,
            "window": self.window.as_list(),
            "digest": self.digest,
            "account": self.account,
            "tier": self.tier,
            "signature": self.signature,
        }

    def message(self, ledger_id: str) -> bytes:
        """Return what is signed, 32 bytes."""
        return derive(SIGNATURE_CONTEXT, b"\xa6" + self._unsigned + b"\x69ledger_id" + dumps(ledger_id))

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        return b"\xa6" + self._unsigned + b"\x69signature\x58\x40" + self.signature

    @classmethod
    def from_map(cls, value: Any) -> Self:
        """Check a decoded map and return the commit; the signature is not verified.

        Raises:
            FormatError: not a commit (``commit.format``), or of no window (``window.format``).
        """
        fields = Fields(value, _NAMES, what="a commit", code="commit.format")
        fields.version(VERSION)
        return cls(
            window=WindowId.from_list(fields.raw("window")),
            digest=fields.blob("digest", 32),
            account=fields.text("account", ACCOUNT_FORM, "an account id"),
            tier=fields.integer("tier", 0, MAX_TIER),
            signature=fields.blob("signature", 64),
        )


def commitment(
    window: WindowId, account: str, *, bucket_key: bytes, sender: bytes, nonce: int, raw_hash: bytes, salt: bytes
) -> bytes:
    """Return the digest of a commit, 32 bytes.

    Args:
        account: who commits.
        bucket_key: of the entry on the terms of the target, 4 bytes; it holds class and fee bin.
        sender: of the entry, 20 bytes.
        nonce: of the entry.
        raw_hash: SHA-256 of the signed transaction, 32 bytes.
        salt: ``SALT_BYTES`` from a good source of randomness, used once.
    Raises:
        FormatError: a length is not as required (``commit.format``).
    Source: docs/spec/auction.md, "Commits".
    """
    if (len(bucket_key), len(sender), len(raw_hash), len(salt)) != (KEY_BYTES, 20, 32, SALT_BYTES):
        raise FormatError("a part of a commitment has the wrong length", code="commit.format")
    parts = [COMMITMENT_TAG, *window.as_list(), account, bucket_key, sender, nonce, raw_hash, salt]
    return keccak256(codec.encode(parts))


def sign_commit(signer: Signer, *, ledger_id: str, window: WindowId, digest: bytes, account: str, tier: int) -> Commit:
    """Return a signed commit; arguments are those of :class:`Commit`.

    Raises:
        FormatError: a value is out of range (``commit.format``).
    """
    unsigned = Commit(window, digest, account, tier, bytes(64))
    signature = signer.sign(Commit.from_map(unsigned.as_map()).message(ledger_id))
    return Commit(window, digest, account, tier, signature)


def verify_commit(commit: Commit, *, ledger_id: str, keys: Iterable[bytes]) -> None:
    """Check that one of ``keys``, the account's current Ed25519 keys, signed the commit for this ledger.

    Raises:
        RefusedError: none did (``commit.signature``).
    """
    message = commit.message(ledger_id)
    for key in keys:
        try:
            verify_signature(key, message, commit.signature)
        except ProofError:
            continue
        return
    raise RefusedError(
        "the commit is not signed by a current key of its account",
        code="commit.signature",
        hint="Sign for this ledger, with a key that the account has now.",
    )


def encode_commits(commits: Sequence[Commit]) -> bytes:
    """Return a batch: the canonical CBOR list of the commits."""
    return codec.encode([commit.as_map() for commit in commits])


def decode_commits(data: bytes, *, most: int = MAX_BATCH) -> list[Commit]:
    """Read a batch of 1 to ``most`` commits; no signature is verified.

    Raises:
        FormatError: not such a list (``commit.format``, ``window.format``), or not canonical CBOR (``format.cbor``).
        LimitError: more than ``most`` (``commit.batch``, with the limit).
    """
    if len(data) > MAX_COMMIT_BYTES * most + 16:
        raise _too_many(most)
    value = codec.decode(data, max_bytes=len(data))
    if type(value) is not list or not value:
        raise FormatError("a batch is a list of commits, at least one", code="commit.format")
    if len(value) > most:
        raise _too_many(most)
    return [Commit.from_map(item) for item in value]


def _too_many(most: int) -> LimitError:
    return LimitError(f"a batch has at most {most} commits", code="commit.batch", limit=most)
