"""``auction.reserve`` and ``auction.reclaim``: bonds of commits, reserved on the ledger before any commit is taken.

A line is a number of equal bonds of one owner, for one tier of one target in one epoch. The epoch's coordinator
reserves it from the owner's escrow with the governance wallet ``auction``; each commit uses one of its bonds, so every
bond is there before the receipt is, with no block per commit. A settlement gives bonds back as it settles their
commits; what no settlement has touched in time, the owner takes back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.draw import committee_of
from bpci_node.chain.emergency import GRACE_MS, halt_of, is_halted, require_running
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.escrow import add_to_escrow, take_from_escrow
from bpci_node.chain.forms import ACCOUNT, Form, Spec, integer
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.targets import TARGET, terms_of
from bpci_node.chain.wallets import AUCTION, WALLETS
from bpci_node.errors import AccessError, RefusedError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.record import load_record, save_record

SETTLE_EPOCHS = 3
"""A window is settled in its epoch or in one of so many after it."""
MAX_ITEMS = 64
"""Lines of one command, at most."""
MAX_BONDS = 1_000_000
"""Bonds of one line, at most."""

_TIER = integer(0, 255)


@dataclass(frozen=True, slots=True)
class LineItem:
    """One line that is asked for."""

    owner: str
    """Whose escrow it is taken from."""
    tier: int
    """A tier of the target's terms."""
    count: int
    """How many bonds, 1 to :data:`MAX_BONDS`."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that stands in the command."""
        return {"owner": self.owner, "tier": self.tier, "count": self.count}


def _read_items(fields: Fields, name: str) -> tuple[LineItem, ...]:
    found = []
    for item in fields.items(name, MAX_ITEMS):
        inner = Fields(item, ("owner", "tier", "count"), what="a line", code="format.body")
        found.append(
            LineItem(ACCOUNT.read(inner, "owner"), _TIER.read(inner, "tier"), inner.integer("count", 1, MAX_BONDS))
        )
    if not found:
        raise fields.wrong(f"needs a line in {name!r}")
    return tuple(found)


_ITEMS = Form(
    f"list of 1 to {MAX_ITEMS} maps `{{owner: account id, tier: int, 0 to 255, count: int, 1 to {MAX_BONDS:,}}}`",
    _read_items,
    lambda value: [item.as_map() for item in value],
)


@dataclass(frozen=True, slots=True)
class LineReservation:
    """Body of ``auction.reserve``."""

    epoch: Annotated[int, Spec(integer(1), "The epoch whose windows the bonds are for.")]
    target: Annotated[str, Spec(TARGET, "The chain that is bid for.")]
    items: Annotated[tuple[LineItem, ...], Spec(_ITEMS, "Whose bonds, of which tier, how many.")]


@dataclass(frozen=True, slots=True)
class LineName:
    """Body of ``auction.reclaim``."""

    epoch: Annotated[int, Spec(integer(1), "The epoch that it was reserved for.")]
    target: Annotated[str, Spec(TARGET, "The chain.")]
    tier: Annotated[int, Spec(_TIER, "The tier.")]


@dataclass(frozen=True, slots=True)
class LineId:
    """Which line."""

    epoch: int
    """The epoch whose windows it is for."""
    target: str
    """The chain that is bid for."""
    owner: str
    """Whose bonds they are."""
    tier: int
    """The tier of the target's terms."""

    @property
    def entry(self) -> bytes:
        """The state key at which it stands."""
        return f"auction-line/{self.epoch}/{self.target}/{self.owner}/{self.tier}".encode("ascii")


@dataclass(frozen=True, slots=True)
class Line:
    """A line as the state holds it."""

    asset: str
    """What is reserved."""
    bond: int
    """How much each bond is, smallest unit."""
    cap: int
    """Most that a commit under it may pay, smallest unit."""
    open: int
    """Bonds that are reserved still."""
    reserved: int
    """Bonds that were ever reserved."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "asset": self.asset,
            "bond": self.bond,
            "cap": self.cap,
            "open": self.open,
            "reserved": self.reserved,
        }


def load_line(state: View, name: LineId) -> Line | None:
    """Return a line, ``None`` if nothing is reserved there."""
    data = state.get(name.entry)
    if data is None:
        return None
    stored = load_record(data)
    return Line(stored["asset"], stored["bond"], stored["cap"], stored["open"], stored["reserved"])


def store_line(state: Overlay, name: LineId, line: Line) -> None:
    """Write a line; one without open bonds goes."""
    if line.open:
        state.put(name.entry, save_record(line.as_map()))
    else:
        state.delete(name.entry)


def reserve(state: Overlay, context: Context, body: LineReservation) -> list[Event]:
    """Reserve lines from their owners' escrows.

    Raises:
        RefusedError: the auctions are halted (``auction.halted``), the epoch is not drawn yet or is over
            (``auction.epoch``), no such tier (``auction.tier``), too many bonds (``auction.bonds``), or an escrow that
            holds less (``escrow.amount``).
        NotFoundError: no such target (``auction.target``), or no committee (``auction.no_committee``).
        AccessError: the sender is not the epoch's coordinator (``auction.coordinator``).
    """
    require_running(state)
    epochs = load_epochs(state)
    if not epochs.is_drawn(body.epoch, context.ledger_ms) or epochs.number_at(context.ledger_ms) > body.epoch:
        raise RefusedError("bonds are reserved for an epoch that is drawn and not over", code="auction.epoch")
    if committee_of(state, body.epoch).coordinator.account != context.sender:
        raise AccessError("only the epoch's coordinator reserves bonds for it", code="auction.coordinator")
    terms, events = terms_of(state, body.target, body.epoch), []
    for item in body.items:
        tier = terms.tier(item.tier)
        if tier is None:
            raise RefusedError(f"{body.target} has no tier {item.tier}", code="auction.tier")
        take_from_escrow(state, item.owner, WALLETS[AUCTION], terms.asset, tier.bond * item.count)
        name = LineId(body.epoch, body.target, item.owner, item.tier)
        line = load_line(state, name) or Line(terms.asset, tier.bond, tier.cap, 0, 0)
        line = replace(line, open=line.open + item.count, reserved=line.reserved + item.count)
        if line.reserved > MAX_BONDS:
            raise RefusedError(f"a line has at most {MAX_BONDS} bonds", code="auction.bonds")
        store_line(state, name, line)
        events.append(_event("auction.reserved", name, line, item.count))
    return events


def reclaim(state: Overlay, context: Context, body: LineName) -> list[Event]:
    """Take back what is left of a line of the sender's that can't be settled any more.

    Raises:
        RefusedError: nothing of it is reserved (``auction.line``), or it may still be settled (``auction.early``).
    """
    name = LineId(body.epoch, body.target, context.sender, body.tier)
    line = load_line(state, name)
    if line is None:
        raise RefusedError("nothing of this line is reserved", code="auction.line")
    if not is_over(state, body.epoch, context.ledger_ms):
        raise RefusedError(
            f"bonds of an epoch can be taken back when {SETTLE_EPOCHS} more have passed",
            code="auction.early",
            epoch=body.epoch + SETTLE_EPOCHS + 1,
        )
    state.delete(name.entry)
    add_to_escrow(state, context.sender, WALLETS[AUCTION], line.asset, line.open * line.bond)
    return [_event("auction.reclaimed", name, line, line.open)]


def is_over(state: View, epoch: int, ledger_ms: int) -> bool:
    """Say whether nothing of an epoch can be settled any more: by the passing of time, or of a halt's grace."""
    halt = halt_of(state)
    if halt is not None and is_halted(halt) and ledger_ms >= halt.from_us // 1000 + GRACE_MS:
        return True
    return load_epochs(state).number_at(ledger_ms) > epoch + SETTLE_EPOCHS


def _event(kind: str, name: LineId, line: Line, count: int) -> Event:
    return Event(
        kind,
        {
            "epoch": name.epoch,
            "target": name.target,
            "owner": name.owner,
            "tier": name.tier,
            "asset": line.asset,
            "count": count,
            "amount": count * line.bond,
        },
    )
