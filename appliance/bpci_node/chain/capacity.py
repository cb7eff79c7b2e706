"""``registry.declare_capacity``: what a miner's machine carries, as it was measured.

The figures are the miner's word. Where they stand in a hardware report, the declaration names it, and only the report
that the registration of the sender's node names: then anybody who is shown that report can compare.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import DIGEST, Spec, body_map, integer, optional
from bpci_node.chain.miners import load_miner
from bpci_node.chain.registration import ACTIVE, load_node
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record

_RATE = integer(0, 10**9)
_LINE = optional(integer(0, 10**15))


@dataclass(frozen=True, slots=True)
class Capacity:
    """Body of ``registry.declare_capacity``, and what the state keeps of it."""

    mx_verkle_buckets: Annotated[int, Spec(_RATE, "Changed buckets that go into a root in one second.")]
    auction_windows_per_sec: Annotated[int, Spec(_RATE, "Whole windows sealed in one second.")]
    download_bps: Annotated[int | None, Spec(_LINE, "Bits per second to the machine; null: not measured.")]
    upload_bps: Annotated[int | None, Spec(_LINE, "Bits per second from the machine; null: not measured.")]
    report_digest: Annotated[
        bytes | None, Spec(optional(DIGEST), "Digest of the hardware report that holds these figures; null: none.")
    ]

    def as_body(self) -> dict[str, Any]:
        """Return the body of the command."""
        return body_map(self)


def declare_capacity(state: Overlay, context: Context, body: Capacity) -> list[Event]:
    """State anew what the sender's miner carries.

    Raises:
        RefusedError: the account has no active miner (``registry.miner_unknown``), or names another report than the
            registration of its node (``registry.miner_report``).
    """
    miner = load_miner(state, context.sender)
    if miner is None or miner.status != ACTIVE:
        raise RefusedError("this account has no active miner", code="registry.miner_unknown")
    if body.report_digest is not None:
        node = load_node(state, context.sender)
        if node is None or node.status != ACTIVE or node.report_digest != body.report_digest:
            raise RefusedError(
                "the node's registration names another hardware report",
                code="registry.miner_report",
                hint="Register the report first: 'bpci hardware report --register'.",
            )
    state.put(_entry(context.sender), save_record({"v": 1, **asdict(body), "height": context.height}))
    return [Event("registry.capacity_declared", {"account": context.sender})]


def load_capacity(state: View, account: str) -> Capacity | None:
    """Return what the miner of ``account`` declared last, ``None`` if it never did."""
    data = state.get(_entry(account))
    if data is None:
        return None
    stored = load_record(data)
    del stored["v"], stored["height"]
    return Capacity(**stored)


def _entry(account: str) -> bytes:
    return b"miner-capacity/" + account.encode("ascii")
