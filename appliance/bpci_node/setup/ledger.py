"""The node's place on a ledger: finding the network, the hardware report over a fresh challenge, the registration."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpci_node.errors import BpciError, HostError, NotFoundError, UnreachableError
from bpci_node.host.check import Check
from bpci_node.host.checks import ALL
from bpci_node.host.context import Context
from bpci_node.host.profiles import profile_named
from bpci_node.host.registry_peer import RegistryPeer
from bpci_node.host.report import report_digest, sign_report
from bpci_node.host.result import HardwareReport, Verdict
from bpci_node.host.runner import Step as CheckStep
from bpci_node.host.runner import run_checks
from bpci_node.network.client import NodeClient, SignedChallenge
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.keys import Signer, did_of
from bpci_node.setup.system import System

READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A hardware report that answers one challenge."""

    report: HardwareReport
    signed: bytes
    """Canonical CBOR with the node's signature."""
    challenge: SignedChallenge


def reach_network(network: NetworkFile) -> NodeClient:
    """Return a client of the first node of the network that answers and belongs to it.

    Raises:
        UnreachableError: none answers (``unreachable.network``), with the reason of the last.
        ProofError: one answers, and it belongs to another ledger.
    """
    reasons = []
    for url in network.urls:
        client = NodeClient(url, network=network)
        try:
            client.status()
        except UnreachableError as error:
            reasons.append(error.message)
            client.close()
        except BpciError:
            client.close()
            raise
        else:
            return client
    raise UnreachableError(
        f"no node of {network.ledger_id[:24]} can be reached: " + (reasons[-1] if reasons else "its file names no URL"),
        code="unreachable.registry",
        hint="Check this machine's network, and ask the network's operator whether its registry is up.",
    )


def fetch_network(url: str) -> NetworkFile:
    """Return the network file that the node at ``url`` gives out, with ``url`` as its first address.

    Raises:
        BpciError: not reached, or not a node.
    """
    with NodeClient(url) as client:
        found = client.network()
    # What the node calls itself may be an address that only its own network knows; the one that worked comes first.
    urls = (url.rstrip("/"), *(other for other in found.urls if other.rstrip("/") != url.rstrip("/")))
    return NetworkFile(found.ledger_id, found.genesis_hash, found.registry_key, urls[:8])


def wait_until_ready(client: NodeClient, seconds: float = READY_SECONDS) -> None:
    """Wait until the node says that it is ready.

    Raises:
        HostError: it does not within ``seconds`` (``host.node``).
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if client.is_ready():
                return
        except UnreachableError:
            pass
        time.sleep(0.2)
    raise HostError(
        f"the node is started, but not ready after {seconds:.0f} s",
        code="host.node",
        hint="journalctl -u bpci-node says why.",
    )


def registered_record(client: NodeClient, node_key: bytes) -> dict[str, Any] | None:
    """Return the ledger's record of the node with this key, or ``None`` if it has none.

    Raises:
        BpciError: not reached, or the record's certificate does not hold.
    """
    try:
        record = client.node(did_of(node_key))["node"]
    except NotFoundError:
        return None
    return record if isinstance(record, dict) else None


def measure(
    system: System,
    client: NodeClient,
    signer: Signer,
    *,
    profile: str,
    tell: Callable[[CheckStep], None],
    checks: Sequence[Check] = ALL,
) -> Measured:
    """Run the hardware checks against the registry and sign what they find over a fresh challenge of it.

    Raises:
        HostError: the machine does not meet the profile (``host.requirements``).
        BpciError: the registry gives no challenge.
    """
    peer = RegistryPeer(client.where, signer)
    report = run_checks(Context(root=system.root, peer=peer), profile_named(profile), tell, checks)
    if report.verdict is Verdict.FAIL:
        raise HostError(
            f"this machine does not meet the profile {profile}: {failures(report)}",
            code="host.requirements",
            hint="Mend that, or choose the profile dev to try the software out.",
        )
    challenge = client.challenge(signer.public_key)
    return Measured(report, sign_report(signer, challenge.challenge, report), challenge)


def failures(report: HardwareReport) -> str:
    """Return what failed, in one line."""
    return "; ".join(
        f"{result.title} {result.text} ({result.requirement})"
        for result in report.results
        if result.verdict is Verdict.FAIL
    )


def register(socket: Path, measured: Measured) -> None:
    """Let the node register itself, or bring its registration up to date, with this hardware report.

    Args:
        socket: the owner's socket of the node.
    Raises:
        BpciError: the registry's reason for refusing, or it was not reached.
    """
    with NodeClient(socket) as owner:
        owner.register(
            {
                "report_digest": report_digest(measured.signed),
                "challenge": measured.challenge.challenge,
                "challenge_sig": measured.challenge.signature,
            }
        )
