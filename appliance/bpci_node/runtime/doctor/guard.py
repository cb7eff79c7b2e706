"""Registry guard: whether the node may seal and order. The repair asks the registry for a new activation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpci_node.errors import HostError
from bpci_node.host.result import Verdict
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue, Outcome, Repair
from bpci_node.runtime.doctor.patient import Patient

_MEANS = "the node takes entries in, and signs no bundle and no block"
_WHY = {
    "unconfigured": (
        "no address of a registry is configured",
        "Set ledger.network_file to a network file that names the registry's URL.",
    ),
    "configured": (
        "the registry has not activated this node",
        "Register it with 'bpci node register', then run 'bpci registry token'.",
    ),
    "expired": (
        "the registry's activation of this node has run out",
        "Check the clock and the way to the registry, then run 'bpci registry token'.",
    ),
    "deactivated": (
        "the guardians stopped the ledger",
        "Wait until they let it go on; 'bpci registry guard' shows the state.",
    ),
}


def judge(guard: Mapping[str, Any]) -> tuple[Issue, ...]:
    """Return what is wrong with the registry guard, by what the node says of it."""
    state = str(guard["state"])
    if state == "proved":
        return ()
    what, advice = _WHY.get(state, (f"the registry guard is {state}", "Run 'bpci registry guard'."))
    if guard.get("failure"):
        what += f" ({guard['failure']})"
    return (Issue(f"guard.{state}", Verdict.FAIL, "", what, _MEANS, advice),)


def _examine(patient: Patient) -> Findings:
    guard = patient.require_status()["guard"]
    return Findings(str(guard["state"]), judge(guard))


def plan_renewal(patient: Patient, issue: Issue) -> tuple[str, ...]:
    """Say what :func:`renew` would do."""
    del issue
    return () if patient.config is None or patient.status is None else ("ask the registry for a new activation token",)


def renew(patient: Patient, issue: Issue) -> Outcome:
    """Let the node ask its registry for a new activation token.

    Raises:
        HostError: it gave none (``doctor.token``).
    """
    from bpci_node.network.owner_client import OwnerClient  # noqa: PLC0415 - the console does without an HTTP client

    del issue
    before = patient.require_status()["guard"]
    with OwnerClient(patient.require_config().owner.socket) as client:
        guard = client.renew_token()["guard"]
    if guard["state"] != "proved" or guard["expires_ms"] == before["expires_ms"]:
        raise HostError(
            f"the registry gave no new activation token ({guard['failure'] or guard['state']})",
            code="doctor.token",
            hint="See 'bpci doctor registry clock'; the node must be registered.",
        )
    return Outcome(("the registry gave a new activation token",))


RENEWAL = Repair(plan_renewal, renew)
GUARD = Examination("guard", "Registry guard", _examine, {"guard.configured": RENEWAL, "guard.expired": RENEWAL})
