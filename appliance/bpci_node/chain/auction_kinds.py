"""The kinds of commands of auctions, for the catalog."""

from __future__ import annotations

from bpci_node.chain import auction_evidence, draw, emergency, forfeits, lines, partners, settlement, targets
from bpci_node.chain.kinds import Kind

_QUORUM = ("access.quorum", "A quorum of the guardians signed it, the sender among them or not.")

_COMMITTEE = ("auction.no_committee", "The state still has the epoch's committee.")
_PUNISHABLE = ("validator.punished", "It was not punished before for this window.")
_PUNISHMENT = "As of `validator.report_blocks`, once for each seat and window."

KINDS = (
    Kind(
        name="auction.claim",
        summary="Takes what partner chains of the sender's have earned of an asset.",
        body=partners.Claim,
        apply=partners.claim,
        rules=(("auction.nothing", "Something of it is due."),),
        effects="All that is due goes to the sender's balance.",
        events=("auction.claimed",),
    ),
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
        name="auction.refund",
        summary="Gives a forfeited part of a bond back, on the strength of a notary's receipt of a timely reveal.",
        body=forfeits.Refund,
        apply=forfeits.refund,
        rules=(
            ("auction.forfeit", "Something of the commit's bond was forfeited."),
            ("auction.refunded", "It was not given back."),
            _COMMITTEE,
            ("reveal.receipt", "A notary of the epoch's committee signed the receipt."),
            ("auction.receipt", "It is of this commit, window and set, and of before the reveal phase's end."),
            ("reveal.list", "The list, if there is one, is signed by its notary, and over the same set."),
        ),
        effects="Of BPI, the amount comes from the stake of the seat at fault, as far as that goes, and from the "
        "treasury, to which the forfeit went; of another asset, from the treasury. It goes to the bidder's balance.",
        events=("auction.refunded",),
    ),
    Kind(
        name="auction.report_headers",
        summary="Brings evidence that seats of a committee voted for two headers of one window. Anyone may.",
        body=auction_evidence.DoubleVote,
        apply=auction_evidence.report_headers,
        rules=(
            ("header.format", "Both are headers."),
            ("auction.evidence", "They are of one window, differ, and a seat voted for both."),
            ("chain.ledger", "They are of this ledger."),
            _COMMITTEE,
            ("certificate.signature", "The votes hold."),
            _PUNISHABLE,
        ),
        effects=_PUNISHMENT,
        events=("validator.slashed", "validator.jailed"),
    ),
    Kind(
        name="auction.report_sets",
        summary="Brings evidence that a coordinator signed two sets of commits for one window. Anyone may.",
        body=auction_evidence.DoubleSet,
        apply=auction_evidence.report_sets,
        rules=(
            ("commit.set", "Both are sets, of this ledger and the epoch's coordinator."),
            ("auction.evidence", "They are of one window, and differ."),
            _COMMITTEE,
            ("proof.signature", "The coordinator signed both."),
            _PUNISHABLE,
        ),
        effects=_PUNISHMENT,
        events=("validator.slashed", "validator.jailed"),
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
    Kind(
        name="auction.settle",
        summary="Settles a window whose header is final, or the next part of one.",
        body=settlement.Part,
        apply=settlement.settle,
        rules=(
            ("header.format", "`header` is a header."),
            ("chain.ledger", "It is of this ledger."),
            ("auction.settle_late", "At most three epochs have passed since its own, and no grace of a halt."),
            ("auction.target", "The target is auctioned in its epoch."),
            ("auction.epoch", "Its window opened in its epoch."),
            ("auction.halted", "And not in a halt."),
            ("auction.terms", "It names the ledger's terms, and a class of them."),
            ("auction.settled", "It is not settled, nor one behind it in the target's chain."),
            (
                "auction.order",
                "It follows the last settled header, all of which is settled; in the last epoch gaps are let be.",
            ),
            ("auction.part", "The part is the next one; the first brings the certificate."),
            _COMMITTEE,
            ("certificate.weight", "More than two thirds of the committee's weight voted for the header."),
            ("certificate.signature", "The votes hold."),
            ("outcome.format", "`outcomes` are outcomes."),
            ("proof.merkle", "They are the header's, at these places."),
            ("auction.line", "A bond is reserved for each commit."),
            ("auction.amount", "What is paid stays within the tier's cap, what is forfeited within the bond."),
        ),
        effects="Each outcome but a carried one uses up a bond of its line: what is paid is divided, what is forfeited "
        "is the treasury's, the rest goes back to the escrow (`shares.md`). A missed service level is credited.",
        events=("auction.settled", "auction.shared", "auction.missed"),
        is_free=True,
    ),
)
"""In order of names."""
