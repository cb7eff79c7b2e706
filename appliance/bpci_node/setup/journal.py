"""How far set-up has come, on the disk, so that an interrupted run goes on where it stopped.

Invariants: the file is replaced whole after each step; it holds no recovery phrase and no password (a hash of it, until
set-up is complete); only root may read it. A step is marked done after its effect is on the disk, so a power cut
repeats a step and never skips one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bpci_node.errors import BpciError, StorageError
from bpci_node.setup.plan import Plan, plan_from_object
from bpci_node.setup.system import System
from bpci_node.setup.turn import JOURNAL

MODE = 0o600


@dataclass(slots=True)
class Journal:
    """The state of one run of set-up."""

    system: System
    plan: Plan | None
    """What is being done; ``None`` once it is complete."""
    done: list[str] = field(default_factory=list)
    """Ids of the steps that are done, in their order."""
    results: dict[str, Any] = field(default_factory=dict)
    """What steps have found out: JSON types, no secret."""
    failure: dict[str, Any] | None = None
    """The last failure as a problem object, with the step's id; ``None`` while all goes well."""
    goes_on: str = ""
    """How the run goes on by itself at the next boot, from the disk that it was installed to: ``wizard`` (on the
    screen) or ``unattended`` (line by line); empty: it does not."""

    def save(self) -> None:
        """Write the journal.

        Raises:
            StorageError: ``storage.write``.
        """
        value = {
            "v": 1,
            "plan": None if self.plan is None else self.plan.as_object(),
            "done": self.done,
            "results": self.results,
            "failure": self.failure,
            "goes_on": self.goes_on,
        }
        self.system.write(JOURNAL, json.dumps(value, indent=1) + "\n", MODE)

    def mark(self, step: str) -> None:
        """Note that ``step`` is done.

        Raises:
            StorageError: ``storage.write``.
        """
        if step not in self.done:
            self.done.append(step)
        self.failure = None
        self.save()

    def fail(self, step: str, error: BpciError) -> None:
        """Note that ``step`` failed.

        Raises:
            StorageError: ``storage.write``.
        """
        self.failure = {**error.as_problem(), "step": step}
        self.save()


def load(system: System) -> Journal | None:
    """Return the journal of this machine, or ``None`` if set-up has not begun to write.

    Raises:
        StorageError: it can't be read, or is not one (``storage.journal``).
    """
    data = system.read(JOURNAL)
    if data is None:
        return None
    try:
        value = json.loads(data)
        plan = None if value["plan"] is None else plan_from_object(value["plan"])
        return Journal(
            system, plan, list(value["done"]), dict(value["results"]), value["failure"], str(value["goes_on"])
        )
    except (ValueError, KeyError, TypeError, BpciError) as error:
        raise StorageError(
            f"the journal of set-up can't be read ({type(error).__name__})",
            code="storage.journal",
            hint=f"Remove {JOURNAL} and start set-up again; what is done already is only repeated.",
        ) from error


def begin(system: System, plan: Plan) -> Journal:
    """Return the journal for ``plan``: the one on the disk if it is of the same plan, else a new one.

    What earlier steps have found out (the identity's name) outlives a change of plan; that they are done does not.

    Raises:
        StorageError: as :func:`load`.
    """
    earlier = load(system)
    if earlier is None:
        return Journal(system, plan)
    if earlier.plan is not None and earlier.plan.as_object() == plan.as_object():
        return earlier
    return Journal(system, plan, results=earlier.results)
