"""The kinds of commands of validators, for the catalog."""

from __future__ import annotations

from bpci_node.chain import slashing, validators
from bpci_node.chain.forms import Empty
from bpci_node.chain.kinds import Kind
from bpci_node.chain.node_kinds import OWN_NODE

_PRESENT = (
    ("validator.unknown", "The account is a validator."),
    ("validator.exited", "It has not left."),
)
_ROOM = (
    ("validator.stake", "At least `validator_min_stake` is bonded."),
    ("validator.full", "There are fewer than 200 active validators."),
)
_PUNISHABLE = (
    ("validator.unknown", "The key serves, or served, the account of a validator, which may have left."),
    ("validator.punished", "This contradiction was not punished before."),
)
_PUNISHMENT = (
    "`slash_bps` of all that the validator has bonded and unbonding goes to the treasury; "
    "it is jailed for `jail_blocks`."
)

VALIDATOR_KINDS = (
    Kind(
        name="validator.exit",
        summary="Takes the sender's validator out of the set for good.",
        body=Empty,
        apply=validators.leave,
        rules=_PRESENT,
        effects="The validator's record. Its stake stays until `stake.withdraw`, and is liable until it is free.",
        events=("validator.left",),
    ),
    Kind(
        name="validator.jail",
        summary="Takes a validator out of the set for a time.",
        body=validators.JailOrder,
        apply=validators.jail,
        rules=(
            ("access.quorum", "The registry's account sent it, or a quorum of the guardians signed it."),
            *_PRESENT,
        ),
        effects="The validator's record: jailed for `jail_blocks`.",
        events=("validator.jailed",),
        takes_approvals=True,
    ),
    Kind(
        name="validator.report_blocks",
        summary="Brings evidence that a validator signed two blocks of one height. Anyone may.",
        body=slashing.DoubleBlock,
        apply=slashing.report_blocks,
        rules=(
            ("format.block", "Both are signed blocks."),
            ("validator.evidence", "They have one proposer, height and parent, and differ."),
            ("proof.signature", "The proposer signed both."),
            *_PUNISHABLE,
        ),
        effects=_PUNISHMENT,
        events=("validator.slashed", "validator.jailed"),
    ),
    Kind(
        name="validator.report_bundles",
        summary="Brings evidence that a validator sealed two bundles of one sequence. Anyone may.",
        body=slashing.DoubleSeal,
        apply=slashing.report_bundles,
        rules=(
            ("bundle.format", "Both are bundles."),
            ("validator.evidence", "They have one signer, ledger, target and sequence, and their headers differ."),
            ("chain.ledger", "They are of this ledger."),
            ("proof.signature", "The signer signed both."),
            *_PUNISHABLE,
        ),
        effects=_PUNISHMENT,
        events=("validator.slashed", "validator.jailed"),
    ),
    Kind(
        name="validator.set_commission",
        summary="Changes the sender's commission.",
        body=validators.Commission,
        apply=validators.set_commission,
        rules=(
            *_PRESENT,
            ("validator.commission_rate", "The last change is `commission_period` blocks ago."),
            ("validator.commission_step", "It differs by at most `commission_step_bps`."),
        ),
        effects="The validator's record.",
        events=("validator.commission_set",),
    ),
    Kind(
        name="validator.set_up",
        summary="Sets up the validator of the sender's node.",
        body=validators.SetUp,
        check=validators.check_set_up,
        apply=validators.set_up,
        rules=(
            *OWN_NODE,
            ("validator.flag", "The node is registered with the flag `validator`."),
            ("validator.duplicate", "The account is no validator, or has left."),
            ("validator.jailed", "One that has left while it was jailed comes back after that height only."),
            ("validator.key", "The BLS key served no other account."),
            *_ROOM,
            ("proof.signature", "The VRF key and the ML-DSA key signed the statement of keys."),
            ("format.bls_key", "The BLS key is a point of the subgroup, and not infinity."),
            ("proof.bls", "It signed the statement, and its possession is proved."),
        ),
        effects="The validator's record, active.",
        events=("validator.joined",),
    ),
    Kind(
        name="validator.unjail",
        summary="Brings the sender's validator back into the set.",
        body=Empty,
        apply=validators.unjail,
        rules=(
            *OWN_NODE,
            *_PRESENT,
            ("validator.not_jailed", "It is jailed."),
            ("validator.jailed", "The height up to which it is jailed has passed."),
            *_ROOM,
        ),
        effects="The validator is active again.",
        events=("validator.unjailed",),
    ),
)
"""In order of names."""
