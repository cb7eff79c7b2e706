"""``registry.deactivate`` and ``registry.reactivate``: the guardians stop a ledger in an emergency, and let it go on.

While a ledger is deactivated the machine itself refuses every other command, on every node alike: only what leads back
passes. A deactivation lasts at most as long as the guardians' quorum counts (``guardians_last_height``), so that it
never outlives those who could end it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import DIGEST, Spec
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.guardians import load_guardians, load_parameter, require_quorum
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record

REACTIVATE = "registry.reactivate"
GUARDIANS_OWN = frozenset({"account.rotate_key", "account.strengthen_key"})
"""Kinds that a guardian may still send: a guardian whose key was stolen must be able to replace it."""

_ENTRY = b"deactivation"


@dataclass(frozen=True, slots=True)
class Reason:
    """Body of ``registry.deactivate`` and ``registry.reactivate``."""

    reason: Annotated[bytes, Spec(DIGEST, "Digest of the statement that says why.")]


@dataclass(frozen=True, slots=True)
class Deactivation:
    """That a ledger is deactivated, as the state holds it."""

    reason: bytes
    """Digest of the statement that says why, 32 bytes."""
    height: int
    """Height of the block that deactivated it."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {"v": 1, "reason": self.reason, "height": self.height}


def deactivate(state: Overlay, context: Context, body: Reason) -> list[Event]:
    """Deactivate the ledger. That it is active, the machine has checked before.

    Raises:
        AccessError: too few guardians signed (``access.quorum``).
    """
    require_quorum(state, context)
    state.put(_ENTRY, save_record(Deactivation(body.reason, context.height).as_map()))
    return [Event("registry.deactivated", {"reason": body.reason})]


def reactivate(state: Overlay, context: Context, body: Reason) -> list[Event]:
    """Let the ledger go on.

    Raises:
        AccessError: too few guardians signed (``access.quorum``).
        RefusedError: it is active (``registry.active``).
    """
    require_quorum(state, context)
    if state.get(_ENTRY) is None:
        raise RefusedError("the ledger is not deactivated", code="registry.active")
    state.delete(_ENTRY)
    return [Event("registry.reactivated", {"reason": body.reason})]


def find_deactivation(state: View, height: int) -> Deactivation | None:
    """Return the deactivation that holds in the block of ``height``, ``None`` if the ledger is active in it."""
    data = state.get(_ENTRY)
    if data is None or height > load_parameter(state, "guardians_last_height"):
        return None
    stored = load_record(data)
    return Deactivation(stored["reason"], stored["height"])


def require_permitted(state: View, genesis: Genesis, *, height: int, kind: str, sender: str) -> None:
    """Check that a command of ``kind`` may be executed in the block of ``height``.

    Raises:
        RefusedError: the ledger is deactivated (``registry.deactivated``).
    """
    found = find_deactivation(state, height)
    if found is None or kind == REACTIVATE:
        return
    if kind in GUARDIANS_OWN and sender in load_guardians(state, genesis)[0]:
        return
    raise deactivated_error(found)


def deactivated_error(found: Deactivation) -> RefusedError:
    """Return the error that says since when the ledger is deactivated."""
    return RefusedError(
        f"the guardians deactivated this ledger at height {found.height}",
        code="registry.deactivated",
        hint="Wait until they reactivate it; look at 'bpci registry guard'.",
        height=found.height,
    )
