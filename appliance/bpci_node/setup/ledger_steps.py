"""The steps of set-up that need the ledger: joining it, the hardware report, the registration, being reached."""

from __future__ import annotations

import time

from bpci_node.chain.challenge import LIFETIME_MS
from bpci_node.errors import BpciError
from bpci_node.host.report import verify_report
from bpci_node.host.runner import Step as CheckStep
from bpci_node.network import file as network_file
from bpci_node.network.client import NodeClient, SignedChallenge
from bpci_node.runtime.config import DEFAULT_PORT
from bpci_node.setup import ledger, node_files
from bpci_node.setup.run import Run, Step

REPORT = "/var/lib/bpci/setup/hardware-report.cbor"
MARGIN_MS = 120_000
"""A challenge that has less than this left is not used any more."""


def _join(run: Run) -> None:
    network = run.plan.network
    if network is None:
        run.say(f"asking {run.plan.answers.join.network_url}")
        network = ledger.fetch_network(run.plan.answers.join.network_url)
    with ledger.reach_network(network) as client:
        run.say(f"reached {client.where}")
        record = ledger.registered_record(client, run.signer().public_key)
    run.system.write(node_files.NETWORK, node_files.network_text(network))
    # An identity that is registered already was restored here. It gets the next instance number, so that this machine
    # and its earlier one, should that still run, never sign under the same.
    run.journal.results["instance"] = 0 if record is None else int(record["instance"]) + 1


def _join_holds(run: Run) -> bool:
    return run.system.exists(node_files.NETWORK)


def _registry(run: Run) -> NodeClient:
    if run.plan.answers.join.mode == "devnet":
        return NodeClient(run.api)
    return ledger.reach_network(network_file.parse(run.system.read(node_files.NETWORK) or b""))


def _measure(run: Run) -> ledger.Measured:
    def tell(step: CheckStep) -> None:
        if step.result is None:
            run.say(f"{step.title} ({step.index + 1} of {step.total})")

    profile = run.plan.answers.node.hardware_profile
    with _registry(run) as client:
        measured = ledger.measure(run.system, client, run.signer(), profile=profile, tell=tell, checks=run.checks)
    run.system.write(REPORT, measured.signed)
    run.journal.results["challenge_sig"] = measured.challenge.signature.hex()
    run.journal.results["hardware"] = {"profile": profile, "verdict": measured.report.verdict.value}
    return measured


def _report(run: Run) -> None:
    _measure(run)


def _kept_report(run: Run) -> ledger.Measured | None:
    """Return the report of a moment ago, if it is this node's and of this profile, and its challenge still good."""
    try:
        signed = run.system.read(REPORT) or b""
        found = verify_report(signed, node_key=run.signer().public_key)
        signature = bytes.fromhex(str(run.journal.results["challenge_sig"]))
    except (BpciError, KeyError, ValueError):
        return None
    # Both times are this machine's own: how far its clock is from the registry's does not matter here.
    age_ms = time.time_ns() // 1_000_000 - found.report.time_ms
    if not 0 <= age_ms < LIFETIME_MS - MARGIN_MS or found.report.profile != run.plan.answers.node.hardware_profile:
        return None
    return ledger.Measured(found.report, signed, SignedChallenge(found.challenge, signature))


def _report_holds(run: Run) -> bool:
    return REGISTER.id in run.journal.done or _kept_report(run) is not None


def _register(run: Run) -> None:
    measured = _kept_report(run) or _measure(run)
    ledger.register(run.owner_socket, measured)
    with _registry(run) as client:
        record = client.node(str(run.journal.results["did"]))["node"]
    run.journal.results["account"] = record["account"]
    run.journal.results["height"] = record["updated_height"]


def _reach(run: Run) -> None:
    try:
        with _registry(run) as client:
            answer = "yes" if client.is_reachable(run.signer(), DEFAULT_PORT) else "no"
    except BpciError as error:
        # The node works without it; the last screen says what could not be told.
        run.say(error.message)
        answer = "unknown"
    run.journal.results["reachable"] = answer


def _stays(_run: Run) -> bool:
    return True


def _repeats(_run: Run) -> bool:
    return False


JOIN = Step("join", "Reach the network's registry", _join, _join_holds, "Check the network, and try again.")
HARDWARE = Step("hardware", "Measure the hardware", _report, _report_holds, "Try again.")
REGISTER = Step("register", "Register the node", _register, _stays, "Try again.")
REACH = Step("reach", "Ask whether others reach this node", _reach, _repeats, "Try again.")
