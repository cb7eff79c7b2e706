"""Ports: whether the node can listen where its configuration says, and who is in the way.

No repair: a stranger's process is never ended.
"""

from __future__ import annotations

import errno
import os

from bpci_node.host.listeners import Holder, bind_failure, holder_of
from bpci_node.host.result import Verdict
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue
from bpci_node.runtime.doctor.patient import Patient


def judge(address: str, port: int, failure: int | None, holder: Holder | None) -> tuple[Issue, ...]:
    """Return what is wrong with one port of a node that does not run.

    Args:
        failure: error number of the attempt to listen there.
        holder: who listens there, if that can be seen.
    """
    if failure is None:
        return ()
    if failure == errno.EADDRINUSE:
        who = "a process of another user" if holder is None else f"{holder.name} (pid {holder.pid})"
        see = f"'sudo ss -ltnp sport = :{port}' shows it" if holder is None else f"'ps -fp {holder.pid}' shows it"
        return (
            Issue(
                "port.taken",
                Verdict.FAIL,
                str(port),
                f"port {port} of {address} is taken by {who}",
                "the node does not start while somebody else listens there",
                f"Stop that process ({see}), or set another port under [api].",
            ),
        )
    if failure == errno.EADDRNOTAVAIL:
        what, advice = f"{address} is no address of this machine", "Set api.listen to one, or to 0.0.0.0 for all."
    else:
        what = f"the node can't listen on port {port} of {address}: {os.strerror(failure)}"
        advice = "Set api.port above 1023, or run the node as who may use it."
    return (Issue("port.address", Verdict.FAIL, str(port), what, "the node does not start", advice),)


def _examine(patient: Patient) -> Findings:
    api = patient.require_config().api
    ports = [port for port in (api.port, api.dashboard_port, api.faucet_port) if port]
    shown = ", ".join(map(str, ports)) or "chosen by the system"
    if patient.pid is not None:
        return Findings(f"{shown}, the node's own")
    issues: list[Issue] = []
    for port in ports:
        failure = bind_failure(api.listen, port)
        issues += judge(api.listen, port, failure, holder_of(port) if failure == errno.EADDRINUSE else None)
    return Findings(shown, tuple(issues))


PORT = Examination("port", "Ports", _examine)
