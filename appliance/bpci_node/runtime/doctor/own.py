"""What a running node tells the doctor of itself, and the doctor's visit from within the node."""

from __future__ import annotations

import os
from typing import Any

from bpci_node.runtime.doctor.catalog import EXAMINATIONS
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.runtime.doctor.visit import as_document, examine
from bpci_node.runtime.node import Node
from bpci_node.setup.system import System


def own_status(node: Node) -> dict[str, Any]:
    """Return a node's status with what its owner may know of its sealing and its auctions."""
    auction = node.auction
    serving = (
        None
        if auction is None
        else {
            "epochs": len(auction.runs),
            "boundaries": sum(auction.jitter.counts.values()),
            "settled": auction.settled,
        }
    )
    sealed = {name: node.last_bundle(name) for name in node.pools}
    return node.status() | {"sealed": sealed, "auction": serving}


def examine_itself(node: Node) -> dict[str, Any]:
    """Carry out all examinations from within the node; not for the event loop.

    What a sandboxed service may not see is told as unknown; ``bpci doctor`` as root sees more.
    """
    problems = [problem.as_problem() for problem in node.obstacles()]
    more = {"started_ms": node.started_ms, "obstacles": problems}
    patient = Patient(System(), node.config, own_status(node) | more, os.getpid())
    return as_document(examine(patient, EXAMINATIONS))
