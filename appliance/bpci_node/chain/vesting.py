"""``vesting.*``: amounts that become their receiver's with block time. What has not vested is nobody's to spend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.assets import credit, debit, find_asset
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT, AMOUNT, ASSET, ID16, Form, Spec
from bpci_node.chain.parameters import Schedule, parse_schedule
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record

SCHEDULE = Form(
    "{start_ms: int, cliff_ms: int, end_ms: int}",
    lambda fields, name: parse_schedule(fields.raw(name), code="format.body"),
    lambda value: value.as_map(),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """Body of ``vesting.grant``."""

    grant_id: Annotated[bytes, Spec(ID16, "Chosen by the sender; new to the receiver.")]
    to: Annotated[str, Spec(ACCOUNT, "Who receives it as it vests.")]
    asset: Annotated[str, Spec(ASSET, "What is granted.")]
    amount: Annotated[int, Spec(AMOUNT, "How much, smallest unit.")]
    schedule: Annotated[
        Schedule,
        Spec(SCHEDULE, "Unix milliseconds, start ≤ cliff ≤ end, start < end (`format.schedule`)."),
    ]


@dataclass(frozen=True, slots=True)
class Claim:
    """Body of ``vesting.claim``."""

    grant_id: Annotated[bytes, Spec(ID16, "A grant of the sender's.")]


@dataclass(frozen=True, slots=True)
class VestingRecord:
    """A grant as the state holds it, until all of it is claimed."""

    asset: str
    """What was granted."""
    amount: int
    """How much in all, smallest unit."""
    claimed: int
    """How much of it was claimed."""
    schedule: Schedule
    """When it vests."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "asset": self.asset,
            "amount": self.amount,
            "claimed": self.claimed,
            "schedule": self.schedule.as_map(),
        }


def load_grant(state: View, account: str, grant_id: bytes) -> VestingRecord | None:
    """Return a grant, ``None`` if there is none, or nothing of it is left."""
    data = state.get(_entry(account, grant_id))
    if data is None:
        return None
    stored = load_record(data)
    return VestingRecord(stored["asset"], stored["amount"], stored["claimed"], Schedule(**stored["schedule"]))


def store_grant(state: Overlay, account: str, grant_id: bytes, record: VestingRecord) -> None:
    """Write a grant; one that was claimed to the end goes."""
    if record.claimed == record.amount:
        state.delete(_entry(account, grant_id))
    else:
        state.put(_entry(account, grant_id), save_record(record.as_map()))


def grant(state: Overlay, context: Context, body: Grant) -> list[Event]:
    """Grant an amount of the sender's.

    Raises:
        RefusedError: ``asset.unknown``, ``asset.balance``, or the receiver has a grant of this id (``vesting.exists``).
    """
    find_asset(state, body.asset)
    if load_grant(state, body.to, body.grant_id) is not None:
        raise RefusedError("the receiver has a grant of this id", code="vesting.exists", hint="Choose another id.")
    debit(state, context.sender, body.asset, body.amount)
    store_grant(state, body.to, body.grant_id, VestingRecord(body.asset, body.amount, 0, body.schedule))
    return [
        Event(
            "vesting.granted",
            {
                "grant_id": body.grant_id,
                "from": context.sender,
                "to": body.to,
                "asset": body.asset,
                "amount": body.amount,
            },
        )
    ]


def claim(state: Overlay, context: Context, body: Claim) -> list[Event]:
    """Take what has vested.

    Raises:
        RefusedError: no such grant (``vesting.unknown``), or nothing more has vested (``vesting.nothing``).
    """
    record = load_grant(state, context.sender, body.grant_id)
    if record is None:
        raise RefusedError("this account has no such grant, or nothing of it is left", code="vesting.unknown")
    amount = record.schedule.vested(record.amount, context.time_ms) - record.claimed
    if amount == 0:
        raise RefusedError("nothing more of this grant has vested", code="vesting.nothing")
    store_grant(state, context.sender, body.grant_id, replace(record, claimed=record.claimed + amount))
    credit(state, context.sender, record.asset, amount)
    return [
        Event(
            "vesting.claimed",
            {
                "grant_id": body.grant_id,
                "account": context.sender,
                "asset": record.asset,
                "amount": amount,
            },
        )
    ]


def _entry(account: str, grant_id: bytes) -> bytes:
    return f"vesting/{account}/".encode("ascii") + grant_id
