"""Forfeited bonds: what a commit that nobody revealed has cost, whom it makes a repeat offender, and how it is undone.

A forfeited part goes to the treasury. Its record stays, as that of a closed bond does: with a notary's receipt of a
timely reveal the bidder gets the amount back, at the cost of whoever passed the reveal over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.auction.reveal_receipt import RevealList, RevealReceipt, verify_list, verify_reveal_receipt
from bpci_node.auction.window import WindowId, phases_of
from bpci_node.chain.assets import credit, debit
from bpci_node.chain.committee import Committee
from bpci_node.chain.context import Context, Event
from bpci_node.chain.draw import committee_of
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.forms import DIGEST, Spec, blob_up_to, optional
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.parameters import NATIVE
from bpci_node.chain.slashing import take_from_stake
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.targets import terms_of
from bpci_node.chain.wallets import TREASURY, WALLETS
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record

MAX_MARKS = 8
"""Epochs with offences that are remembered of one account."""
MAX_RECEIPT_BYTES = 1_536
MAX_LIST_BYTES = 12_000
"""Longest list of reveals that fits into a command: of windows with up to 90,000 commits."""


@dataclass(frozen=True, slots=True)
class Refund:
    """Body of ``auction.refund``."""

    commit_id: Annotated[bytes, Spec(DIGEST, "A commit whose bond was forfeited.")]
    receipt: Annotated[bytes, Spec(blob_up_to(MAX_RECEIPT_BYTES), "A notary's receipt of its reveal.")]
    reveals: Annotated[
        bytes | None,
        Spec(
            optional(blob_up_to(MAX_LIST_BYTES)),
            "The list of reveals that the same notary signed: without the commit it is the notary's fault; with it, "
            "or with null, the coordinator's.",
        ),
    ]


@dataclass(frozen=True, slots=True)
class Forfeit:
    """A forfeited bond as the state holds it."""

    account: str
    """Whose it was."""
    asset: str
    amount: int
    """What was forfeited, smallest unit."""
    epoch: int
    window: WindowId
    set_digest: bytes
    """Digest of the window's set of commits, 32 bytes."""
    commits: int
    """Commits of the set."""
    position: int
    """Place of the commit in the set."""
    is_refunded: bool = False

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "account": self.account,
            "asset": self.asset,
            "amount": self.amount,
            "epoch": self.epoch,
            "window": self.window.as_list(),
            "set_digest": self.set_digest,
            "commits": self.commits,
            "position": self.position,
            "is_refunded": self.is_refunded,
        }


def load_forfeit(state: View, commit_id: bytes) -> Forfeit | None:
    """Return what became of a commit's bond, ``None`` if nothing of it was forfeited."""
    data = state.get(_entry(commit_id))
    if data is None:
        return None
    stored = load_record(data)
    del stored["v"]
    return Forfeit(**stored | {"window": WindowId.from_list(stored["window"])})


def forfeit(state: Overlay, commit_id: bytes, record: Forfeit, *, ledger_ms: int) -> None:
    """Give a forfeited amount, which the caller has taken from its bond, to the treasury, and remember it."""
    credit(state, WALLETS[TREASURY], record.asset, record.amount)
    state.put(_entry(commit_id), save_record(record.as_map()))
    epoch = load_epochs(state).number_at(ledger_ms)
    marks = [mark for mark in _marks(state, record.account) if mark[0] != epoch]
    count = 1 + sum(mark[1] for mark in _marks(state, record.account) if mark[0] == epoch)
    state.put(_marks_entry(record.account), save_record({"v": 1, "marks": [*marks, [epoch, count]][-MAX_MARKS:]}))


def offences_before(state: View, account: str, epoch: int) -> int:
    """Return how many forfeits of an account make its next one in ``epoch`` dearer.

    They count by the epoch of the block that settled them: those of the ``auction_forfeit_epochs`` up to the one before
    the last, which is over when the epoch is drawn, so that everybody counts the same.
    """
    first = epoch - 1 - load_parameter(state, "auction_forfeit_epochs")
    return sum(count for number, count in _marks(state, account) if first <= number <= epoch - 2)


def refund(state: Overlay, context: Context, body: Refund) -> list[Event]:
    """Give a forfeited amount back, at the cost of whoever passed over a timely reveal. Anyone may send it.

    Raises:
        RefusedError: nothing was forfeited (``auction.forfeit``), it was given back (``auction.refunded``), or the
            receipt is not of a timely reveal of this commit (``auction.receipt``), or the treasury has less than what
            a stake does not cover (``asset.balance``).
        NotFoundError: the committee is not kept any more (``auction.no_committee``).
        ProofError: the receipt, or the list, does not hold (``reveal.receipt``, ``reveal.list``).
        FormatError: it is none.
    """
    record = load_forfeit(state, body.commit_id)
    if record is None:
        raise RefusedError("nothing was forfeited of this commit's bond", code="auction.forfeit")
    if record.is_refunded:
        raise RefusedError("this was given back already", code="auction.refunded")
    receipt, committee = RevealReceipt.decode(body.receipt), committee_of(state, record.epoch)
    verify_reveal_receipt(receipt, committee=committee, ledger_id=context.ledger_id)
    phases = phases_of(record.window, terms_of(state, record.window.target, record.epoch))
    named = (receipt.window, receipt.commit_id, receipt.set_digest)
    if named != (record.window, body.commit_id, record.set_digest) or receipt.received_us >= phases.reveal_ends_us:
        raise RefusedError("the receipt is not of a timely reveal of this commit", code="auction.receipt")
    at_fault = _at_fault(context, record, committee, receipt, body.reveals)
    paid = 0
    if record.asset == NATIVE:
        paid = take_from_stake(state, at_fault, record.amount, record.account)
    if paid < record.amount:
        debit(state, WALLETS[TREASURY], record.asset, record.amount - paid)
        credit(state, record.account, record.asset, record.amount - paid)
    state.put(_entry(body.commit_id), save_record(replace(record, is_refunded=True).as_map()))
    fields: dict[str, str | int | bytes] = {
        "commit_id": body.commit_id,
        "account": record.account,
        "asset": record.asset,
        "amount": record.amount,
        "at_fault": at_fault,
        "from_stake": paid,
    }
    return [Event("auction.refunded", fields)]


def _at_fault(
    context: Context, record: Forfeit, committee: Committee, receipt: RevealReceipt, reveals: bytes | None
) -> str:
    """Return the account of the notary, if its own list lacks what it gave a receipt for, or else the coordinator's."""
    if reveals is None:
        return committee.coordinator.account
    found = RevealList.decode(reveals)
    verify_list(
        found,
        committee=committee,
        ledger_id=context.ledger_id,
        set_digest=record.set_digest,
        count=record.commits,
    )
    if found.seat != receipt.seat or found.window != record.window:
        raise RefusedError("the list is another notary's, or of another window", code="auction.receipt")
    if record.position in found.positions():
        return committee.coordinator.account
    return committee.seats[receipt.seat].account


def _marks(state: View, account: str) -> list[list[int]]:
    data = state.get(_marks_entry(account))
    return [] if data is None else list(load_record(data)["marks"])


def _marks_entry(account: str) -> bytes:
    return b"auction-offences/" + account.encode("ascii")


def _entry(commit_id: bytes) -> bytes:
    return b"auction-forfeit/" + commit_id
