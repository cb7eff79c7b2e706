"""The kinds of commands of nodes and miners that version 2 adds, for the catalog."""

from __future__ import annotations

from bpci_node.chain import admission, capacity, heartbeat, miners, registry, suspension
from bpci_node.chain.forms import Empty
from bpci_node.chain.kinds import Kind

ACTIVE_NODE = (
    ("registry.unknown", "The account has a registered node."),
    ("registry.suspended", "It is not suspended."),
    ("registry.retired", "It has not retired."),
)
OWN_NODE = (*ACTIVE_NODE, ("registry.node_key", "The node's own key signs the command."))
_BY_REGISTRY = ("access.quorum", "The registry's account sent it, or a quorum of the guardians signed it.")
_MINER = ("registry.miner_unknown", "The account has an active miner.")

NODE_KINDS = (
    Kind(
        name="registry.admit_node",
        summary="Registers a community node, for a proof of work or an invitation.",
        body=admission.Admission,
        check=admission.check_admission,
        apply=admission.admit_node,
        rules=(
            ("registry.node_key", "`node_key` is the key that signs the command, which proves possession."),
            ("registry.community", "No bank sponsors it."),
            ("registry.suspended", "The account has no suspended node."),
            ("registry.duplicate", "The account has no active node."),
            ("registry.instance", "A retired node registers again with a higher instance."),
            (
                "registry.admissions",
                "Fewer than `admissions_per_window` were admitted by the same means in the window.",
            ),
            ("registry.work_height", "The work is bound to the state root of one of the last 256 blocks."),
            ("proof.work", "It has at least `admission_bits` bits."),
            ("format.invitation", "The invitation is one."),
            ("chain.ledger", "It is of this ledger."),
            ("proof.signature", "The registry signed it."),
            ("registry.invitation", "It is for this key or any, has not expired at block time, and was not used."),
        ),
        effects="The node's record, active, of type `bpi-community`; the window's count; the invitation is used up.",
        events=("registry.node_registered",),
        is_free=True,
    ),
    Kind(
        name="registry.declare_capacity",
        summary="States anew what the sender's miner carries, as it was measured.",
        body=capacity.Capacity,
        apply=capacity.declare_capacity,
        rules=(_MINER, ("registry.miner_report", "The registration of the sender's node names the report, if any.")),
        effects="The miner's capacity.",
        events=("registry.capacity_declared",),
    ),
    Kind(
        name="registry.heartbeat",
        summary="Says that the sender's node lives, and as which instance.",
        body=heartbeat.Beat,
        apply=heartbeat.beat,
        rules=(
            *OWN_NODE,
            ("registry.instance", "The instance is the registered one."),
            ("registry.heartbeat_rate", "The last heartbeat is `heartbeat_interval` blocks ago."),
        ),
        effects="The node's last heartbeat.",
        events=("registry.node_alive",),
        is_free=True,
    ),
    Kind(
        name="registry.move_node",
        summary="Says in which region the sender's node stands.",
        body=registry.Move,
        apply=registry.move_node,
        rules=OWN_NODE,
        effects="The node's record.",
        events=("registry.node_moved",),
    ),
    Kind(
        name="registry.raise_instance",
        summary="Makes a higher instance of the sender's node the one that may sign.",
        body=registry.InstanceRaise,
        apply=registry.raise_instance,
        rules=(*OWN_NODE, ("registry.instance", "It is higher than the registered one.")),
        effects="The node's record; the machine that runs a lower instance only observes from then on.",
        events=("registry.instance_raised",),
        is_free=True,
    ),
    Kind(
        name="registry.register_miner",
        summary="Registers the miner of the sender.",
        body=miners.MinerRegistration,
        check=miners.check_miner,
        apply=miners.register_miner,
        rules=(
            ("registry.miner_duplicate", "The account has no active miner."),
            ("registry.miner_key", "The key served no other account."),
            ("proof.signature", "The key's holder agreed."),
        ),
        effects="The miner's record, active.",
        events=("registry.miner_registered",),
    ),
    Kind(
        name="registry.resume_node",
        summary="Ends a suspension: the registry or the guardians at any time, the owner after its height.",
        body=suspension.Resumption,
        apply=suspension.resume_node,
        rules=(
            ("registry.not_suspended", "The node is suspended."),
            ("access.quorum", "As `registry.suspend_node`; or the node's account sent it, after `until_height`."),
        ),
        effects="The node is active again.",
        events=("registry.node_resumed",),
        takes_approvals=True,
    ),
    Kind(
        name="registry.retire_miner",
        summary="Retires the sender's miner.",
        body=Empty,
        apply=miners.retire_miner,
        rules=(_MINER,),
        effects="The record stays, with status `retired`.",
        events=("registry.miner_retired",),
    ),
    Kind(
        name="registry.suspend_node",
        summary="Suspends a node, or states cause and height of its suspension anew.",
        body=suspension.SuspensionOrder,
        apply=suspension.suspend_node,
        rules=(
            _BY_REGISTRY,
            ("registry.unknown", "There is such a node."),
            ("registry.retired", "It has not retired."),
            ("registry.until", "`until_height` lies beyond this block."),
        ),
        effects="The node's record; it has no certificate until it is resumed.",
        events=("registry.node_suspended",),
        takes_approvals=True,
    ),
    Kind(
        name="registry.update_miner",
        summary="States claim and pool of the sender's miner anew.",
        body=miners.MinerChange,
        apply=miners.update_miner,
        rules=(_MINER,),
        effects="The miner's record.",
        events=("registry.miner_updated",),
    ),
)
"""In order of names."""
