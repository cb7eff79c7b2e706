"""How far the bids of a file have come: JSON, a table for people, and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bpci_node.cli.output import emit, fields, table

if TYPE_CHECKING:
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.cli.bid_file import BidFile
    from bpci_node.errors import BpciError


def show(
    kept: BidFile,
    as_json: bool,  # noqa: FBT001 - as all commands
    *,
    refused: Sequence[BpciError] = (),
    stage: str | None = None,
    bundle: AuctionBundle | None = None,
) -> int:
    """Print how far bids have come; return the exit status."""
    from bpci_node.cli.bidding import row_of
    from bpci_node.primitives.hashing import keccak256

    there = set() if kept.certified is None else set(kept.certified.commit_ids)
    rows = []
    for item in kept.bids:
        found = None if bundle is None else row_of(bundle, item)
        rows.append(
            {
                "txid": "0x" + keccak256(item.raw).hex(),
                "commit_id": "0x" + item.commit.commit_id.hex(),
                "tier": item.commit.tier,
                "has_receipt": item.receipt is not None,
                "is_in_set": item.commit.commit_id in there,
                "revealed_to": len(item.reveals),
                "place": None if found is None else found[0],
            }
        )
    data = {
        "v": 1,
        "file": str(kept.path),
        "ledger_id": kept.ledger_id,
        "account": kept.bids[0].commit.account,
        "epoch": kept.epoch,
        "window": kept.window.as_list(),
        "is_certified": kept.certified is not None,
        "stage": stage,
        "header": None if bundle is None else "0x" + bundle.header.digest().hex(),
        "sequence": None if bundle is None else bundle.header.sequence,
        "bids": rows,
        "refused": [error.as_problem() for error in refused],
    }
    emit(data, as_json, _render_bids)
    is_over = bundle is not None or stage == "void"
    return 1 if refused or (is_over and any(row["place"] is None for row in rows)) else 0


def _render_bids(data: dict[str, Any]) -> str:
    target, qlock_ms, index = data["window"]
    about = {
        "window": f"{target}, {qlock_ms} ms, number {index}, epoch {data['epoch']}",
        "commits": "certified" if data["is_certified"] else "not certified yet",
    }
    if data["stage"] is not None:
        about["stage"] = data["stage"]
    if data["header"] is not None:
        about["bundle"] = f"number {data['sequence']}, verified in full, {data['header']}"
    for problem in data["refused"]:
        about["refused"] = f"{problem['detail']} ({problem['code']})"
    rows = [
        [
            row["txid"],
            str(row["tier"]),
            "yes" if row["has_receipt"] else "no",
            "yes" if row["is_in_set"] else "no",
            str(row["revealed_to"]),
            "-" if row["place"] is None else str(row["place"] + 1),
        ]
        for row in data["bids"]
    ]
    return fields(about) + "\n\n" + table(rows, ["entry", "tier", "receipt", "in the set", "revealed to", "runs as"])
