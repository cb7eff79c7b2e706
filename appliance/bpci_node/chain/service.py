"""Service levels: which windows of an enterprise were answered by a header, and ``auction.report_miss`` for the others.

A header that came late says so itself, and its settlement credits the owner. A window that ended void has no header. So
for targets with a service level the ledger marks each window whose header it has settled, one bit each. When nothing of
an epoch can be settled any more, a window that the committee had certified commits of and that has no mark was missed:
its coordinator pays what the terms promise, once, out of its stake. The mark that it gets then keeps it at that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bpci_node.auction.certificate import Certificate, verify_certificate
from bpci_node.auction.commit_set import MAX_BYTES, CommitSet, verify_set_signature
from bpci_node.auction.window import WindowId
from bpci_node.chain.context import Context, Event
from bpci_node.chain.draw import committee_of
from bpci_node.chain.emergency import halt_of
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.forms import Form, Spec, blob_up_to
from bpci_node.chain.lines import SETTLE_EPOCHS
from bpci_node.chain.parameters import NATIVE
from bpci_node.chain.slashing import take_from_stake
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.targets import terms_of
from bpci_node.errors import FormatError, RefusedError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.record import load_record, save_record

KEPT_EPOCHS = 16
"""Marks of so many epochs are kept, in a ring."""
REPORT_EPOCHS = 8
"""A miss is reported in one of so many epochs, from the first in which its window can't be settled any more."""
_BITS = 256
"""Windows of one class that share an entry of the state."""


def _read_certificate(fields: Fields, name: str) -> Certificate:
    try:
        return Certificate.from_map(fields.raw(name))
    except FormatError as error:
        raise FormatError(error.message, code="format.body") from error


CERTIFICATE = Form("map `{v, algorithm, seats, signature}` (`bundle.md`)", _read_certificate, Certificate.as_map)


@dataclass(frozen=True, slots=True)
class Miss:
    """Body of ``auction.report_miss``."""

    commit_set: Annotated[bytes, Spec(blob_up_to(MAX_BYTES), "The window's set of commits, signed and encoded.")]
    certificate: Annotated[Certificate, Spec(CERTIFICATE, "The committee's votes for it.")]


def mark_answered(state: Overlay, window: WindowId, epoch: int) -> None:
    """Note that a window needs no answer any more: its header is settled, or its miss is paid."""
    key, bit = _place(state, window, epoch)
    marks = _marks(state, key, epoch) | 1 << bit
    state.put(key, save_record({"v": 1, "epoch": epoch, "marks": marks.to_bytes(_BITS // 8, "little")}))


def is_answered(state: View, window: WindowId, epoch: int) -> bool:
    """Say whether a window of a target with a service level was settled, or credited, in so far as it is kept."""
    key, bit = _place(state, window, epoch)
    return bool(_marks(state, key, epoch) >> bit & 1)


def report_miss(state: Overlay, context: Context, body: Miss) -> list[Event]:
    """Credit an enterprise for a window that had certified commits and no header that was settled. Anyone may send it.

    Raises:
        FormatError: no set (``commit.set``).
        NotFoundError: the committee, the terms or the epoch are not kept any more (``auction.no_committee``,
            ``auction.target``, ``auction.epoch_gone``).
        RefusedError: the window opened in another epoch than its set says (``auction.epoch``), may still be settled
            (``auction.early``), was over too long ago (``auction.late``), or the auctions were halted meanwhile
            (``auction.halted``); the terms promise nothing that a stake pays (``auction.level``); the window is settled
            or credited (``auction.answered``), or nothing is at stake any more (``auction.no_stake``).
        ProofError: the set or its certificate does not hold (``commit.set``, ``proof.signature``, ``certificate.*``).
    """
    found = CommitSet.decode(body.commit_set)
    committee = committee_of(state, found.epoch)
    _require_due(state, found, context.ledger_ms)
    terms, coordinator = terms_of(state, found.window.target, found.epoch), committee.coordinator
    if terms.sla is None or terms.owner in (None, coordinator.account) or terms.asset != NATIVE or found.count == 0:
        raise RefusedError("nobody is owed a credit out of a stake for this window", code="auction.level")
    verify_set_signature(found, coordinator=coordinator.node_key, ledger_id=context.ledger_id)
    verify_certificate(committee, found.digest(), body.certificate)
    if is_answered(state, found.window, found.epoch):
        raise RefusedError("this window is settled, or its miss is credited", code="auction.answered")
    mark_answered(state, found.window, found.epoch)
    owner = str(terms.owner)
    paid = take_from_stake(state, coordinator.account, terms.sla.credit, owner)
    if paid == 0:
        raise RefusedError("the coordinator has nothing at stake any more", code="auction.no_stake")
    fields: dict[str, str | int | bytes] = {
        "target": terms.target,
        "qlock_ms": found.window.qlock_ms,
        "index": found.window.index,
        "owner": owner,
        "asset": terms.asset,
        "amount": paid,
        "coordinator": coordinator.account,
    }
    return [Event("auction.missed_void", fields)]


def _require_due(state: View, found: CommitSet, ledger_ms: int) -> None:
    """Check that the ledger knows by now whether a window was settled, and that nothing but its committee kept it."""
    epochs, halt, last = load_epochs(state), halt_of(state), found.epoch + SETTLE_EPOCHS
    if epochs.number_at(found.window.opens_ms) != found.epoch:
        raise RefusedError("the window opened in another epoch", code="auction.epoch")
    now = epochs.number_at(ledger_ms)
    if now <= last:
        raise RefusedError("the window may still be settled", code="auction.early", epoch=last + 1)
    if now > last + REPORT_EPOCHS:
        raise RefusedError("a miss is reported sooner", code="auction.late")
    until_us = epochs.begins_ms(last + 1) * 1000
    if halt is None or halt.from_us >= until_us:
        return
    if halt.until_us is None or halt.until_us > found.window.opens_us:
        raise RefusedError("the auctions were halted meanwhile", code="auction.halted")


def _marks(state: View, key: bytes, epoch: int) -> int:
    data = state.get(key)
    stored = None if data is None else load_record(data)
    return 0 if stored is None or stored["epoch"] != epoch else int.from_bytes(stored["marks"], "little")


def _place(state: View, window: WindowId, epoch: int) -> tuple[bytes, int]:
    """Return the entry that has a window's mark, and which bit it is: entries are counted from the epoch's begin."""
    first = load_epochs(state).begins_ms(epoch) // (window.qlock_ms * _BITS)
    group, bit = divmod(window.index, _BITS)
    place = bytes([epoch % KEPT_EPOCHS, window.qlock_ms]) + (group - first).to_bytes(8)
    return b"auction-answered/" + window.target.encode("ascii") + b"/" + place, bit
