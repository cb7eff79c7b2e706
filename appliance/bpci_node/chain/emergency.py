"""``auction.halt`` and ``auction.resume``: the guardians stop the auctions while the ledger goes on.

While they are halted, nothing new is accepted: no bond is reserved, and a window that opens then is never settled. What
was open before is sealed and settled as always; and a while after the halt every owner may take back what is reserved
still, so nobody's bond waits for the auctions to go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import DIGEST, Spec
from bpci_node.chain.guardians import require_quorum
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record

GRACE_MS = 60_000
"""How long after a halt the windows that were open may be settled before their bonds can be taken back."""

_ENTRY = b"auction-halt"


@dataclass(frozen=True, slots=True)
class Cause:
    """Body of ``auction.halt`` and ``auction.resume``."""

    reasons: Annotated[bytes, Spec(DIGEST, "Digest of the text that says why.")]


@dataclass(frozen=True, slots=True)
class Halt:
    """The last halt."""

    from_us: int
    """Since when, ledger time, microseconds."""
    until_us: int | None
    """When it ended; ``None``: it lasts."""

    def covers(self, time_us: int) -> bool:
        """Say whether a window that opens then opens in the halt."""
        return self.from_us <= time_us and (self.until_us is None or time_us < self.until_us)


def halt_of(state: View) -> Halt | None:
    """Return the last halt, ``None`` if there never was one."""
    data = state.get(_ENTRY)
    if data is None:
        return None
    stored = load_record(data)
    return Halt(stored["from_us"], stored["until_us"])


def require_running(state: View) -> None:
    """Check that the auctions are not halted.

    Raises:
        RefusedError: they are (``auction.halted``).
    """
    if is_halted(halt_of(state)):
        raise RefusedError(
            "the auctions are halted", code="auction.halted", hint="Reserved bonds can be taken back meanwhile."
        )


def is_halted(halt: Halt | None) -> bool:
    """Say whether a halt lasts."""
    return halt is not None and halt.until_us is None


def stop(state: Overlay, context: Context, body: Cause) -> list[Event]:
    """Halt the auctions from this block on.

    Raises:
        AccessError: without the guardians' quorum (``access.quorum``).
        RefusedError: they are halted (``auction.halted``).
    """
    require_quorum(state, context)
    require_running(state)
    _store(state, Halt(context.ledger_ms * 1000, None))
    return [Event("auction.halted", {"by": context.sender, "reasons": body.reasons})]


def go_on(state: Overlay, context: Context, body: Cause) -> list[Event]:
    """Let the auctions go on from this block on.

    Raises:
        AccessError: without the guardians' quorum (``access.quorum``).
        RefusedError: they are not halted (``auction.running``).
    """
    require_quorum(state, context)
    halt = halt_of(state)
    if halt is None or halt.until_us is not None:
        raise RefusedError("the auctions are not halted", code="auction.running")
    _store(state, Halt(halt.from_us, context.ledger_ms * 1000))
    return [Event("auction.resumed", {"by": context.sender, "reasons": body.reasons})]


def _store(state: Overlay, halt: Halt) -> None:
    state.put(_ENTRY, save_record({"v": 1, "from_us": halt.from_us, "until_us": halt.until_us}))
