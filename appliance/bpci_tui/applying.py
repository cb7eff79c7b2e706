"""Carrying the answers out: what every face of the wizard does the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bpci_node.errors import BpciError, StorageError
from bpci_node.setup import journal, keystore
from bpci_node.setup.plan import Plan, plan_of
from bpci_node.setup.run import Run
from bpci_node.setup.system import System
from bpci_node.setup.turn import JOURNAL, goes_on
from bpci_tui.draft import Draft
from bpci_tui.services import Services

REACHED = {
    "yes": "yes",
    "no": "NO. Forward TCP port 8545 of your router to this machine, then 'sudo bpci registry register-node'.",
    "unknown": "nobody to ask: this ledger lives on this machine",
}


def take_up(draft: Draft, system: System) -> str:
    """Fill the draft with what an interrupted run has kept; return what that run was doing, empty if there was none."""
    try:
        kept = journal.load(system)
    except BpciError as error:
        return error.message
    if kept is None or kept.plan is None:
        return ""
    has_keys = keystore.is_there(system, keystore.NODE_KEY)
    draft.take_over(kept.plan, str(kept.results.get("did", "")) if has_keys else "")
    return str((kept.failure or {}).get("title", "")) or "it was interrupted"


def planned(services: Services, draft: Draft) -> Plan:
    """Return the plan of the answers, or the one that goes on by itself at this start."""
    kept = journal.load(services.system) if goes_on(services.system) else None
    if kept is not None and kept.plan is not None:
        return kept.plan
    return plan_of(draft.answers(), network=draft.network, disk=draft.disk.name if draft.disk else "")


def make_run(services: Services, draft: Draft, plan: Plan, say: Callable[[str], None]) -> Run:
    """Return the run that carries the plan out from where the journal says.

    A journal that can't be read is begun anew: whoever sits at the wizard has answered everything, and has no shell to
    remove it with.

    Raises:
        StorageError: ``storage.read``, ``storage.write``.
    """
    options = dict(services.run_options)
    if services.checks is not None:
        options["checks"] = services.checks
    try:
        kept = journal.begin(services.system, plan)
    except StorageError as error:
        if error.code != "storage.journal":
            raise
        services.system.remove(JOURNAL)
        kept = journal.begin(services.system, plan)
    run = Run(services.system, plan, kept, draft.phrase, draft.disk_key, **options)
    run.say = say
    return run


def result_rows(done: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what set-up ended with, as labels and values for a person."""
    rows = [("Address", url) for url in done["urls"]] or [("Address", "none yet: the network gave none")]
    if done["web"] is not None:
        rows += [("Browser", f"{url}, as {done['owner']}") for url in done["web"]["urls"][:1]]
        rows.append(("Authority", done["web"]["fingerprint"]))
    if done["ssh"]:
        rows += [("SSH", f"ssh {done['owner']}@{address}") for address in done["addresses"][:1]]
    rows += [
        ("Node", done["did"]),
        ("Account", done["account"]),
        ("Ledger", done["ledger"][:60]),
        ("Hardware", f"{done['hardware']['verdict']} (profile {done['hardware']['profile']})"),
        ("Reachable", REACHED[done["reachable"]]),
        ("Later", _later(done["hardware"]["profile"])),
    ]
    return rows


def _later(profile: str) -> str:
    """Return what tells others what this machine can carry, which takes minutes and is no part of set-up."""
    which = "" if profile == "community" else f" (with --profile {profile})"
    return f"'sudo bpci hardware measure', then 'sudo bpci hardware report --register'{which}, say what it can carry."
