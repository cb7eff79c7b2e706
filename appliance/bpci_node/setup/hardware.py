"""Hardware checks whose measurements are kept, so that the same machine can be held against several profiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bpci_node.host.check import Check
from bpci_node.host.checks import ALL
from bpci_node.host.context import Context
from bpci_node.host.profiles import profile_named
from bpci_node.host.result import HardwareReport, Measured
from bpci_node.host.runner import Step, run_checks
from bpci_node.setup import disks
from bpci_node.setup.system import System


def local_checks(checks: Sequence[Check] = ALL) -> list[Check]:
    """Return the checks that need no registry, each of which measures once and remembers."""
    return [remembering(check) for check in checks if not check.id.startswith("bandwidth_")]


def remembering(check: Check) -> Check:
    """Return ``check`` so that it measures at its first use only."""
    seen: list[Measured | Exception] = []

    def measure(context: Context) -> Measured:
        if not seen:
            try:
                seen.append(check.measure(context))
            except Exception as error:  # noqa: BLE001 - what the runner would have met is kept for it
                seen.append(error)
        if isinstance(seen[0], Exception):
            raise seen[0]
        return seen[0]

    return replace(check, measure=measure)


def hold_against(
    system: System,
    checks: Sequence[Check],
    profile: str,
    progress: Callable[[Step], None] | None = None,
    *,
    offers_disk: bool = False,
) -> HardwareReport:
    """Return what ``checks`` say of this machine under a profile.

    Args:
        offers_disk: the node may come to lie on an internal disk; then the largest one is judged, not the medium.
    """
    offered = disks.candidates(system) if offers_disk else []
    context = Context(root=system.root, disk=offered[0].name if offered else None)
    return run_checks(context, profile_named(profile), progress, checks)
