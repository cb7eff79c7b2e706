"""Which steps carry a plan out, in their order, and what came out of them."""

from __future__ import annotations

from typing import Any

from bpci_node.runtime.config import DEFAULT_PORT
from bpci_node.setup import install
from bpci_node.setup.interfaces import own_addresses
from bpci_node.setup.ledger_steps import HARDWARE, JOIN, REACH, REGISTER
from bpci_node.setup.local_steps import BIND, FINISH, KEYS, LINK, MACHINE, NODE, OWNER, SETTINGS, SSH, START
from bpci_node.setup.plan import Plan
from bpci_node.setup.restoring import RESTORE
from bpci_node.setup.run import Run, Step
from bpci_node.setup.web_step import WEB


def steps_for(plan: Plan) -> tuple[Step, ...]:
    """Return the steps of ``plan``; with a disk to install to, those that end with a restart from it."""
    if plan.disk:
        return install.steps(encrypts=plan.answers.encrypt)
    joins = plan.answers.join.mode == "network"
    chosen = {JOIN.id: joins, REACH.id: joins, SSH.id: bool(plan.answers.owner.ssh_keys)}
    chosen[RESTORE.id] = bool(plan.answers.restore.repository)
    chosen[BIND.id] = plan.answers.encrypt
    before = (BIND, KEYS, SETTINGS, MACHINE, LINK, OWNER, JOIN, RESTORE, NODE, SSH, START)
    every = (*before, HARDWARE, REGISTER, REACH, WEB, FINISH)
    return tuple(step for step in every if chosen.get(step.id, True))


def summary(run: Run) -> dict[str, Any]:
    """Return what set-up ended with: names and addresses, no secret."""
    results = run.journal.results
    if run.plan.disk:
        return {"v": 1, "restart": True, "disk": run.plan.disk, "did": results["did"], "account": results["account"]}
    addresses = own_addresses(run.system)
    hosts = [f"[{address}]" if ":" in address else address for address in addresses]
    return {
        "v": 1,
        "did": results["did"],
        "account": results["account"],
        "ledger": results["ledger"],
        "height": results["height"],
        "addresses": addresses,
        "urls": [f"http://{host}:{DEFAULT_PORT}" for host in hosts],
        "owner": run.plan.answers.owner.name,
        "ssh": bool(run.plan.answers.owner.ssh_keys),
        "hardware": results["hardware"],
        "reachable": results.get("reachable", "unknown"),
        "web": _web(results, hosts),
    }


def _web(results: dict[str, Any], hosts: list[str]) -> dict[str, Any] | None:
    """Return where a browser finds this machine, and the fingerprint of the authority that speaks for it."""
    if "web_fingerprint" not in results:
        return None
    return {"urls": [f"https://{host}/" for host in hosts], "fingerprint": results["web_fingerprint"]}
