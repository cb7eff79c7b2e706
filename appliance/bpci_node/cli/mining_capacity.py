"""What a miner's machine carries: taken from what was measured, or measured now, and declared on the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bpci_node.cli.output import Progress
from bpci_node.errors import BpciError

if TYPE_CHECKING:
    from bpci_node.chain.capacity import Capacity
    from bpci_node.cli.mining import Desk
    from bpci_node.host.figures import Figures

FIGURES = Path("/var/lib/bpci/hardware/figures.cbor")
REPORT = Path("/var/lib/bpci/hardware/report.cbor")
SECONDS = 0.5
"""Least length of each of the three runs when nothing was measured before."""


def declare(desk: Desk, account: str, *, figures_file: Path = FIGURES, report_file: Path = REPORT) -> bool:
    """Declare what this machine carries, unless the ledger says so already; return whether something was declared.

    What ``bpci hardware measure`` kept counts; without it the miner's work is measured now, once.

    Raises:
        BpciError: the figures can't be read, or the ledger's reason for refusing.
    """
    from bpci_node.chain.capacity import load_capacity

    state = desk.ledger().state
    declared = load_capacity(state, account)
    kept = _kept(figures_file)
    if kept is None or "miner" not in kept.parts:
        if declared is not None:
            return False
        kept = _measured()
    wanted = capacity_of(kept, _registered_report(desk, account, kept, report_file))
    if declared == wanted:
        return False
    desk.send("registry.declare_capacity", wanted.as_body())
    return True


def capacity_of(figures: Figures, report_digest: bytes | None) -> Capacity:
    """Return what figures of a miner's work and of the line come to."""
    from bpci_node.chain.capacity import Capacity

    return Capacity(
        mx_verkle_buckets=figures.get("miner", "mx_verkle_buckets") or 0,
        auction_windows_per_sec=figures.get("miner", "auction_windows_per_sec") or 0,
        download_bps=figures.get("network", "download"),
        upload_bps=figures.get("network", "upload"),
        report_digest=report_digest,
    )


def _kept(file: Path) -> Figures | None:
    """Return the figures of this machine that are kept, ``None`` without any."""
    from bpci_node.host.fingerprint import fingerprint
    from bpci_node.host.measure import read_kept

    found = read_kept(file)
    return found if found is not None and found.fingerprint == fingerprint() else None


def _measured() -> Figures:
    from dataclasses import replace

    from bpci_node.host.measure import QUICK, Plan, measure

    progress = Progress()
    try:
        found, reasons = measure(
            Plan(Path("/"), replace(QUICK, miner_seconds=SECONDS), ("miner",)),
            progress.update,
        )
    finally:
        progress.finish()
    if reasons:
        raise BpciError(f"the miner's work can't be measured: {reasons['miner']}")
    return found


def _registered_report(desk: Desk, account: str, figures: Figures, file: Path) -> bytes | None:
    """Return the digest of this machine's report if it holds these figures and the registration names it."""
    from bpci_node.chain.registration import load_node
    from bpci_node.host.report import MAX_BYTES, report_digest, verify_report

    try:
        with file.open("rb") as opened:
            signed = opened.read(MAX_BYTES + 1)
        found = verify_report(signed, node_key=desk.signer.public_key)
    except (OSError, BpciError):
        return None
    node = load_node(desk.ledger().state, account)
    digest = report_digest(signed)
    if node is None or node.report_digest != digest or found.figures is None:
        return None
    same = capacity_of(found.figures, None) == capacity_of(figures, None)
    return digest if same else None
