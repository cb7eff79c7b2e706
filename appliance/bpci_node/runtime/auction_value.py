"""What a validator's auctions are about: value on the ledger, or play. Two types with two ledger ids, and no flag.

What is signed in play names a ledger that does not exist, so it can never be settled; a validator that plays among
others that do not gets no vote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bpci_node.auction.certificate import Certificate
from bpci_node.auction.commit import Commit
from bpci_node.auction.line_request import LineRequest
from bpci_node.auction.lines import Lines
from bpci_node.chain.committee import Committee
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.partners import partners_of
from bpci_node.chain.settlement import Settled, load_settled
from bpci_node.chain.settling import LedgerSettlement, MockSettlement, mock_ledger_id
from bpci_node.chain.shares import Rates
from bpci_node.chain.state import State
from bpci_node.primitives import codec
from bpci_node.runtime.auction_frame import LedgerLines
from bpci_node.runtime.ledger_door import LedgerDoor
from bpci_node.runtime.lookups import Lookups
from bpci_node.runtime.window_draft import Sealed

Owed = list[tuple[str, bytes]]
"""Kinds and encoded bodies of commands for the ledger."""
Mock = tuple[str, bytes] | None
"""Ledger id and record of a settlement that moves nothing."""


class AuctionValue(Protocol):
    """How bonds are reserved and windows settled."""

    mode: str
    """``mainnet`` or ``testnet``."""
    ledger_id: str
    """What everything signed about auctions names."""

    def new_lines(self) -> Lines:
        """Return an epoch's lines before anything is known of them."""
        ...

    def bring(self, known: LedgerLines, lines: Lines) -> None:
        """Open what was reserved since the last time. Not for the event loop."""
        ...

    async def reserve(self, door: LedgerDoor, account: str, request: LineRequest) -> None:
        """Reserve a bidder's bonds.

        Raises:
            BpciError: the ledger's reason for refusing.
        """
        ...

    def settled(self, state: State, target: str) -> Settled | None:
        """Return how far a target's chain of headers is settled; ``None`` where nobody knows."""
        ...

    def settle(self, sealed: Sealed, certificate: Certificate, committee: Committee) -> tuple[Owed, Mock]:
        """Return what settles a final window. Not for the event loop.

        Raises:
            BpciError: it does not hold together.
        """
        ...


class LedgerValue:
    """Auctions that reserve and move value on the ledger."""

    mode = "mainnet"

    def __init__(self, ledger_id: str) -> None:
        self.ledger_id = ledger_id
        self._settlement = LedgerSettlement(ledger_id)

    def new_lines(self) -> Lines:
        """Return lines without a slot: the ledger reserves each."""
        return Lines()

    def bring(self, known: LedgerLines, lines: Lines) -> None:
        """Open what the ledger has reserved since the last time."""
        known.bring(lines)

    async def reserve(self, door: LedgerDoor, account: str, request: LineRequest) -> None:
        """Have the ledger reserve the bonds."""
        item = {"owner": request.account, "tier": request.tier, "count": request.count}
        body = {"epoch": request.epoch, "target": request.target, "items": [item]}
        await door.submit(account, "auction.reserve", body)

    def settled(self, state: State, target: str) -> Settled | None:
        """Return how far the ledger has settled a target's chain."""
        return load_settled(state, target)

    def settle(self, sealed: Sealed, certificate: Certificate, committee: Committee) -> tuple[Owed, Mock]:  # noqa: ARG002 - play needs it
        """Return the commands that settle a window."""
        commands = self._settlement.commands(sealed.draft.header, certificate, sealed.outcomes)
        return [(kind, codec.encode(body)) for kind, body in commands], None


class FreeLines(Lines):
    """Lines of play: nobody bonds anything, so no slot is ever missing."""

    __slots__ = ()

    def require(self, commit: Commit, count: int = 1) -> None:
        """Find a slot."""

    def take(self, commit: Commit) -> None:
        """Use nothing up."""


class PlayValue:
    """Auctions that move nothing: what would have been paid is recorded in the validator's own database."""

    mode = "testnet"

    def __init__(self, ledger_id: str, lookups: Lookups) -> None:
        self.ledger_id = mock_ledger_id(ledger_id)
        self._state: Callable[[], State] = lambda: lookups.current().state
        self._settlement = MockSettlement(self.ledger_id)

    def new_lines(self) -> Lines:
        """Return lines that never end."""
        return FreeLines()

    def bring(self, known: LedgerLines, lines: Lines) -> None:
        """Open nothing: in play nothing is reserved."""

    async def reserve(self, door: LedgerDoor, account: str, request: LineRequest) -> None:
        """Reserve nothing."""

    def settled(self, state: State, target: str) -> Settled | None:  # noqa: ARG002 - as above
        """Return nothing: no ledger knows what was played."""
        return None

    def settle(self, sealed: Sealed, certificate: Certificate, committee: Committee) -> tuple[Owed, Mock]:
        """Return the record of what a window would have moved."""
        state, terms = self._state(), sealed.draft.terms
        rates = Rates(load_parameter(state, "auction_contribution_bps"), load_parameter(state, "auction_committee_bps"))
        record = self._settlement.record(
            sealed.draft.header,
            certificate,
            sealed.outcomes,
            committee=committee,
            terms=terms,
            rates=rates,
            partners=partners_of(state, terms.asset, committee.epoch)[0],
        )
        return [], (self.ledger_id, record)


def value_of(mode: str, ledger_id: str, lookups: Lookups) -> AuctionValue:
    """Return what the auctions of a mode are about."""
    return PlayValue(ledger_id, lookups) if mode == PlayValue.mode else LedgerValue(ledger_id)
