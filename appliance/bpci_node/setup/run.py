"""One run of set-up: what the steps share, and the loop that carries them out.

A step looks at the machine before it changes it, so that repeating it is harmless. The loop writes the journal after
each step; when one fails, the error names it and says what to do, and the next run goes on there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bpci_node.errors import BpciError, HostError
from bpci_node.host.check import Check
from bpci_node.host.checks import ALL
from bpci_node.primitives.derivation import derive_keys
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.config import DEFAULT_OWNER_SOCKET
from bpci_node.setup import keystore
from bpci_node.setup.journal import Journal
from bpci_node.setup.plan import Plan
from bpci_node.setup.system import System

API = "http://127.0.0.1:8545"
"""Where this machine's own node answers."""


@dataclass(slots=True)
class Run:
    """What the steps of one run share."""

    system: System
    plan: Plan
    journal: Journal
    phrase: str = field(default="", repr=False)
    """The recovery phrase, in memory only; empty when the keys are at rest already."""
    disk_key: str = field(default="", repr=False)
    """The recovery key of the disk, in memory only; empty when there is nothing to bind to the TPM."""
    say: Callable[[str], None] = lambda _text: None
    """Told what a long step is doing, a few words at a time; never a secret."""
    checks: Sequence[Check] = ALL
    """Hardware checks."""
    api: str = API
    """Base URL of this machine's own node."""
    owner_socket: Path = DEFAULT_OWNER_SOCKET
    """Its owner's socket."""
    way: str = "wizard"
    """``wizard`` or ``unattended``: how a run that ends with a restart goes on after it."""
    address_seconds: float = 30.0
    """How long to wait for the network to give an address."""

    def signer(self) -> LocalSigner:
        """Return the node's signing key.

        Raises:
            BpciError: it is not at rest here, or does not open.
        """
        if self.phrase:
            return LocalSigner(derive_keys(self.phrase).node)
        return LocalSigner(keystore.open_key(self.system, keystore.NODE_KEY))


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that set-up does."""

    id: str
    """Stable name, for the journal."""
    title: str
    """For people, at most 40 characters."""
    do: Callable[[Run], None]
    """Does it; may be repeated."""
    holds: Callable[[Run], bool]
    """Tells whether its effect is still there, once the journal says that it was done."""
    remedy: str
    """What to do when it fails and the error itself does not say."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a watcher of the run is told."""

    step: Step
    position: int
    """From 1."""
    total: int
    state: str
    """``begins``, ``done``, ``skipped`` (was done before), ``failed``."""
    error: BpciError | None = None


Watcher = Callable[[Event], None]


def carry_out(run: Run, steps: Sequence[Step], watch: Watcher) -> None:
    """Carry out ``steps`` one after the other, from where the journal says that the last run stopped.

    Raises:
        BpciError: a step failed; it is journalled, and running again goes on with it.
    """
    run.journal.save()
    for position, step in enumerate(steps, start=1):
        if step.id in run.journal.done and step.holds(run):
            watch(Event(step, position, len(steps), "skipped"))
            continue
        watch(Event(step, position, len(steps), "begins"))
        try:
            step.do(run)
            run.journal.mark(step.id)
        except (BpciError, OSError) as failure:
            error = failure if isinstance(failure, BpciError) else HostError(f"{failure.strerror}", code="host.system")
            error.hint = error.hint or step.remedy
            run.journal.fail(step.id, error)
            watch(Event(step, position, len(steps), "failed", error))
            raise error from failure
        watch(Event(step, position, len(steps), "done"))
