"""The file of a bid: what opens its commits, and every signed answer to them. Whoever has it can reveal, and prove.

It is written before a commit leaves, for its owner alone, and again after each step, whole or not at all; so whoever is
interrupted goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from bpci_node.auction.certificate import Certificate
from bpci_node.auction.commit import MAX_BATCH, SALT_BYTES, Commit
from bpci_node.auction.commit_set import CommitSet
from bpci_node.auction.reveal import Reveal
from bpci_node.auction.window import WindowId
from bpci_node.cli.files import read_file, writing
from bpci_node.errors import BpciError, FormatError, UsageError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.ethereum import MAX_BYTES as MAX_RAW_BYTES
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.names import LEDGER_ID_FORM
from bpci_node.store.durable_file import replace_file

MAX_FILE_BYTES = 64 << 20
MAX_RECEIPT_BYTES = 8_192
MAX_NOTARIES = 64

_CODE = "usage.bid"
_NAMES = ("v", "ledger_id", "epoch", "window", "bids", "certified")
_BID_NAMES = ("commit", "raw", "salt", "receipt", "reveals")
_SET_NAMES = ("commit_set", "certificate", "commit_ids")


@dataclass(slots=True)
class Certified:
    """A window's set of commits, with what makes it the only one."""

    commit_set: CommitSet
    certificate: Certificate
    commit_ids: tuple[bytes, ...]
    """In the order of the set."""

    @classmethod
    def from_map(cls, value: Any) -> Self:
        """Read what a validator answers; nothing is verified.

        Raises:
            FormatError: it is something else.
        """
        known = (
            {name: value[name] for name in _SET_NAMES} if isinstance(value, dict) and {*_SET_NAMES} <= {*value} else {}
        )
        fields = Fields(known, _SET_NAMES, what="a certified set", code="commit.set")
        ids = fields.items("commit_ids", 1 << 20)
        if any(type(item) is not bytes or len(item) != 32 for item in ids):
            raise fields.wrong("needs 32 bytes for each commit")
        commit_set = CommitSet.decode(fields.blob_up_to("commit_set", 4_096))
        return cls(commit_set, Certificate.from_map(fields.raw("certificate")), tuple(ids))


@dataclass(slots=True)
class KeptBid:
    """One commit, what opens it, and what was answered."""

    commit: Commit
    raw: bytes
    """The signed transaction, or native entry."""
    salt: bytes
    """32 bytes."""
    receipt: bytes | None = None
    """The coordinator's, encoded."""
    reveals: list[bytes] = field(default_factory=list)
    """Receipts of notaries, encoded."""

    def reveal(self) -> Reveal:
        """Return what opens the commit."""
        return Reveal(self.commit.window, self.commit.commit_id, self.raw, self.salt)


@dataclass(slots=True)
class BidFile:
    """Bids of one account in one window."""

    path: Path
    ledger_id: str
    epoch: int
    window: WindowId
    bids: list[KeptBid]
    certified: Certified | None = None

    def save(self) -> None:
        """Write it and wait until the disk has it; nobody else may read it.

        Raises:
            UsageError: it can't be written (``usage.file``).
        """
        certified = self.certified
        value = {
            "v": 1,
            "ledger_id": self.ledger_id,
            "epoch": self.epoch,
            "window": self.window.as_list(),
            "bids": [
                {
                    "commit": bid.commit.as_map(),
                    "raw": bid.raw,
                    "salt": bid.salt,
                    "receipt": bid.receipt,
                    "reveals": bid.reveals,
                }
                for bid in self.bids
            ],
            "certified": None
            if certified is None
            else {
                "commit_set": certified.commit_set.encode(),
                "certificate": certified.certificate.as_map(),
                "commit_ids": list(certified.commit_ids),
            },
        }
        with writing(self.path):
            replace_file(self.path, encode(value))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            UsageError: it can't be read (``usage.file``), or is none (``usage.bid``).
        """
        data = read_file(path, MAX_FILE_BYTES)
        try:
            fields = Fields(decode(data, max_bytes=MAX_FILE_BYTES), _NAMES, what="a bid's file", code=_CODE)
            fields.version(1)
            window = WindowId.from_list(fields.raw("window"))
            bids = [_bid(item) for item in fields.items("bids", MAX_BATCH)]
            if not bids or any(bid.commit.window != window for bid in bids):
                raise fields.wrong("has no bids, or some of another window")
            return cls(
                path=path,
                ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
                epoch=fields.integer("epoch"),
                window=window,
                bids=bids,
                certified=None if fields.is_null("certified") else Certified.from_map(fields.raw("certified")),
            )
        except BpciError as error:
            raise UsageError(f"{path} is no bid's file: {error.message}", code=_CODE) from error


def _bid(value: Any) -> KeptBid:
    fields = Fields(value, _BID_NAMES, what="a kept bid", code=_CODE)
    reveals = fields.items("reveals", MAX_NOTARIES)
    if any(type(item) is not bytes or len(item) > MAX_RECEIPT_BYTES for item in reveals):
        raise FormatError("a kept bid needs bytes as receipts", code=_CODE)
    return KeptBid(
        commit=Commit.from_map(fields.raw("commit")),
        raw=fields.blob_up_to("raw", MAX_RAW_BYTES),
        salt=fields.blob("salt", SALT_BYTES),
        receipt=None if fields.is_null("receipt") else fields.blob_up_to("receipt", MAX_RECEIPT_BYTES),
        reveals=list(reveals),
    )
