"""What anyone may know of the auctions of this moment."""

from __future__ import annotations

from typing import Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.chain.emergency import halt_of
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.registration import load_node
from bpci_node.chain.state import State
from bpci_node.errors import NotFoundError
from bpci_node.runtime.auction_duties import AuctionDuties
from bpci_node.runtime.auction_frame import frame_of


def overview_of(auction: AuctionDuties, state: State) -> dict[str, Any]:
    """Return ledger time, epoch, committee and targets, as anyone may know them."""
    now_us = auction.clock.now_us()
    epochs = load_epochs(state)
    number = epochs.number_at(now_us // 1000)
    try:
        epoch: AuctionEpoch | None = frame_of(state, auction.value.ledger_id, number)
    except NotFoundError:
        epoch = None
    run, halt = auction.runs.get(number), halt_of(state)
    return {
        "v": 1,
        "ledger_id": auction.value.ledger_id,
        "mode": auction.value.mode,
        "time_us": now_us,
        "halt": None if halt is None else {"from_us": halt.from_us, "until_us": halt.until_us},
        "epoch": number,
        "begins_us": epochs.begins_ms(number) * 1000,
        "ends_us": epochs.begins_ms(number + 1) * 1000,
        "seat": None if run is None else run.seat,
        "committee": [] if epoch is None else [_seat_map(state, seat.account) for seat in epoch.committee.seats],
        "targets": [] if epoch is None else [epoch.terms[name].as_map() for name in sorted(epoch.terms)],
        "chains": {
            name: {"sequence": chain.sequence, "digest": chain.digest} for name, chain in auction.chains.items()
        },
        "last_event": auction.stream.last,
    }


def _seat_map(state: State, account: str) -> dict[str, Any]:
    record = load_node(state, account)
    return {"account": account, "endpoints": [] if record is None else list(record.endpoints)}
