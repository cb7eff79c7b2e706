"""``bond.*``: a part of an escrow set aside for one promise, and what became of it.

A bond's id is the holder's own (the digest of a commit, say). Reserving, releasing or forfeiting it once more with the
same terms changes nothing and succeeds, so a holder that crashed can repeat itself. A closed bond stays as a record,
and its id is never used again. After its last height the owner may take back what the holder left lying.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.assets import credit
from bpci_node.chain.context import Context, Event
from bpci_node.chain.escrow import add_to_escrow, take_from_escrow
from bpci_node.chain.forms import ACCOUNT, AMOUNT, ASSET, DIGEST, PURPOSE, Spec, integer
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.wallets import TREASURY, WALLETS
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record

RESERVED, RELEASED, FORFEITED = "reserved", "released", "forfeited"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Body of ``bond.reserve``."""

    bond_id: Annotated[bytes, Spec(DIGEST, "New to the holder, who sends this.")]
    owner: Annotated[str, Spec(ACCOUNT, "Whose escrow it is taken from.")]
    asset: Annotated[str, Spec(ASSET, "What is reserved.")]
    amount: Annotated[int, Spec(AMOUNT, "How much, smallest unit.")]
    purpose: Annotated[str, Spec(PURPOSE, "What it vouches for, such as `auction.commit`.")]
    last_height: Annotated[int, Spec(integer(1), "After this height the owner may take it back.")]


@dataclass(frozen=True, slots=True)
class BondName:
    """Body of ``bond.release``."""

    bond_id: Annotated[bytes, Spec(DIGEST, "A bond that the sender holds.")]


@dataclass(frozen=True, slots=True)
class Forfeiture:
    """Body of ``bond.forfeit``."""

    bond_id: Annotated[bytes, Spec(DIGEST, "A bond that the sender holds.")]
    reason: Annotated[bytes, Spec(DIGEST, "Digest of the evidence.")]


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Body of ``bond.reclaim``."""

    holder: Annotated[str, Spec(ACCOUNT, "Who holds the bond.")]
    bond_id: Annotated[bytes, Spec(DIGEST, "A bond of the sender's that is past its last height.")]


@dataclass(frozen=True, slots=True)
class BondRecord:
    """A bond as the state holds it."""

    owner: str
    """Whose it is."""
    asset: str
    """What was reserved."""
    amount: int
    """How much, smallest unit."""
    purpose: str
    """What it vouches for."""
    last_height: int
    """After this height the owner may take it back."""
    status: str
    """``reserved``, ``released`` or ``forfeited``."""
    updated_height: int
    """Height of the block that changed it last."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "owner": self.owner,
            "asset": self.asset,
            "amount": self.amount,
            "purpose": self.purpose,
            "last_height": self.last_height,
            "status": self.status,
            "updated_height": self.updated_height,
        }


def load_bond(state: View, holder: str, bond_id: bytes) -> BondRecord | None:
    """Return a bond, ``None`` if the holder never reserved one of this id."""
    data = state.get(_entry(holder, bond_id))
    if data is None:
        return None
    stored = load_record(data)
    return BondRecord(
        owner=stored["owner"],
        asset=stored["asset"],
        amount=stored["amount"],
        purpose=stored["purpose"],
        last_height=stored["last_height"],
        status=stored["status"],
        updated_height=stored["updated_height"],
    )


def reserve(state: Overlay, context: Context, body: Reservation) -> list[Event]:
    """Reserve a bond from an escrow that the sender holds.

    Raises:
        RefusedError: the id is taken on other terms, or closed (``bond.conflict``), its last height has passed
            (``bond.expired``), or the escrow holds less (``escrow.amount``).
    """
    wanted = BondRecord(body.owner, body.asset, body.amount, body.purpose, body.last_height, RESERVED, context.height)
    earlier = load_bond(state, context.sender, body.bond_id)
    if earlier is not None:
        if earlier != replace(wanted, updated_height=earlier.updated_height):
            raise RefusedError(
                "this id names another bond, or one that is closed", code="bond.conflict", hint="Choose another id."
            )
        return []
    if body.last_height < context.height:
        raise RefusedError("the bond's last height has passed", code="bond.expired")
    take_from_escrow(state, body.owner, context.sender, body.asset, body.amount)
    state.put(_entry(context.sender, body.bond_id), save_record(wanted.as_map()))
    return [_event("bond.reserved", context.sender, body.bond_id, wanted)]


def release(state: Overlay, context: Context, body: BondName) -> list[Event]:
    """Give a bond back to the escrow that it was taken from.

    Raises:
        RefusedError: no such bond (``bond.unknown``), or it was forfeited (``bond.closed``).
    """
    return _close(state, context, context.sender, body.bond_id, RELEASED)


def forfeit(state: Overlay, context: Context, body: Forfeiture) -> list[Event]:
    """Take a bond from its owner for the treasury.

    Raises:
        RefusedError: no such bond (``bond.unknown``), or it was released (``bond.closed``).
    """
    events = _close(state, context, context.sender, body.bond_id, FORFEITED)
    return [Event(event.kind, event.fields | {"reason": body.reason}) for event in events]


def reclaim(state: Overlay, context: Context, body: Reclaim) -> list[Event]:
    """Take back a bond that its holder neither released nor forfeited in time.

    Raises:
        RefusedError: the sender has no such bond (``bond.unknown``), its last height has not passed (``bond.early``),
            or it was forfeited (``bond.closed``).
    """
    record = load_bond(state, body.holder, body.bond_id)
    if record is None or record.owner != context.sender:
        raise RefusedError("this account has no such bond", code="bond.unknown")
    if context.height <= record.last_height:
        raise RefusedError(
            f"the bond is its holder's up to height {record.last_height}",
            code="bond.early",
            last_height=record.last_height,
        )
    return _close(state, context, body.holder, body.bond_id, RELEASED)


def _close(state: Overlay, context: Context, holder: str, bond_id: bytes, status: str) -> list[Event]:
    record = load_bond(state, holder, bond_id)
    if record is None:
        raise RefusedError("this account holds no such bond", code="bond.unknown")
    if record.status == status:
        return []
    if record.status != RESERVED:
        raise RefusedError(f"the bond was {record.status}", code="bond.closed")
    closed = replace(record, status=status, updated_height=context.height)
    state.put(_entry(holder, bond_id), save_record(closed.as_map()))
    if status == RELEASED:
        add_to_escrow(state, record.owner, holder, record.asset, record.amount)
    else:
        credit(state, WALLETS[TREASURY], record.asset, record.amount)
    return [_event(f"bond.{status}", holder, bond_id, record)]


def _entry(holder: str, bond_id: bytes) -> bytes:
    return f"bond/{holder}/".encode("ascii") + bond_id


def _event(kind: str, holder: str, bond_id: bytes, record: BondRecord) -> Event:
    return Event(
        kind,
        {
            "bond_id": bond_id,
            "holder": holder,
            "owner": record.owner,
            "asset": record.asset,
            "amount": record.amount,
        },
    )
