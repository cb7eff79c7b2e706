"""The kinds of commands of auctions, for the catalog."""

from __future__ import annotations

from bpci_node.chain import draw, emergency, lines, targets
from bpci_node.chain.kinds import Kind

_QUORUM = ("access.quorum", "A quorum of the guardians signed it, the sender among them or not.")

KINDS = (
    Kind(
        name="auction.draw",
        summary="Draws a lot for a seat of the next epoch's committee.",
        body=draw.Ticket,
        apply=draw.take_ticket,
        rules=(
            ("auction.draw_time", "`epoch` is the next one, and the third quarter of this one is not over."),
            (
                "auction.not_eligible",
                "The sender was in the set of validators, with its keys of now, when this epoch's seed was fixed.",
            ),
            ("registry.suspended", "The node is not suspended."),
            ("registry.retired", "The node has not retired."),
            ("auction.drawn", "It has not drawn for the epoch."),
            ("proof.vrf", "The proof holds for the validator's key and `[ledger_id, epoch, seed of this epoch]`."),
        ),
        effects="The ticket counts in the draw of the committee and in the seed of the next epoch.",
        events=("auction.drawn",),
        is_free=True,
    ),
    Kind(
        name="auction.halt",
        summary="Stops the auctions in an emergency, while the ledger goes on.",
        body=emergency.Cause,
        apply=emergency.stop,
        rules=(_QUORUM, ("auction.halted", "The auctions are not halted.")),
        effects="No bond is reserved, and no window that opens from now on is settled, until `auction.resume`. Windows "
        "that were open are settled; 60 s later every line can be taken back.",
        events=("auction.halted",),
        is_free=True,
        takes_approvals=True,
    ),
    Kind(
        name="auction.reclaim",
        summary="Takes back what no settlement has touched of a line of the sender's.",
        body=lines.LineName,
        apply=lines.reclaim,
        rules=(
            ("auction.line", "Something of the line is reserved."),
            ("auction.early", "Three epochs after its own have passed, or 60 s of a halt that lasts."),
        ),
        effects="Its bonds go back to the escrow.",
        events=("auction.reclaimed",),
    ),
    Kind(
        name="auction.reserve",
        summary="Reserves bonds of commits for one target and epoch, from escrows that the wallet `auction` holds.",
        body=lines.LineReservation,
        apply=lines.reserve,
        rules=(
            ("auction.halted", "The auctions are not halted."),
            ("auction.epoch", "The epoch's committee is drawn, and the epoch is not over."),
            ("auction.no_committee", "Somebody drew for it."),
            ("auction.coordinator", "The sender is its coordinator."),
            ("auction.target", "The target is auctioned in the epoch."),
            ("auction.tier", "Its terms have the tiers."),
            ("escrow.amount", "Each escrow holds `count` bonds; what was announced to leave counts."),
            ("auction.bonds", "No line has had more than 1,000,000 bonds."),
        ),
        effects="The bonds go from the escrows into the lines.",
        events=("auction.reserved",),
        is_free=True,
    ),
    Kind(
        name="auction.resume",
        summary="Lets halted auctions go on.",
        body=emergency.Cause,
        apply=emergency.go_on,
        rules=(_QUORUM, ("auction.running", "The auctions are halted.")),
        effects="Windows that open from now on count again.",
        events=("auction.resumed",),
        is_free=True,
        takes_approvals=True,
    ),
    Kind(
        name="auction.set_target",
        summary="Sets the terms on which a target chain is auctioned, or lets it go.",
        body=targets.TargetChange,
        check=targets.check_change,
        apply=targets.set_target,
        rules=(
            _QUORUM,
            ("asset.unknown", "The ledger has the asset of the terms."),
            ("auction.target", "What is let go is a target of the ledger."),
            ("auction.targets", "The ledger knows at most 64 targets."),
        ),
        effects="The terms are in force from the epoch after the next on.",
        events=("auction.target_set",),
        takes_approvals=True,
    ),
)
"""In order of names."""
