"""What ``bpci light`` and ``bpci bundle`` trust: a network file, a committee that its ledger proves, a kept state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bpci_node.cli.trust import read_file
from bpci_node.errors import BpciError, UnreachableError, UsageError

if TYPE_CHECKING:
    from bpci_node.auction.light import LightState
    from bpci_node.chain.committee import Committee
    from bpci_node.network.file import NetworkFile

trust_option = click.option(
    "--network",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The network file: whom to trust.",
)
committee_option = click.option(
    "--committee",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Proof of the first committee, from the ledger's state.  [default: asked of the network's nodes, and checked]",
)
state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Go on from what this file remembers, and remember in it how far all was followed.",
)


def read_proof(path: Path, network: NetworkFile) -> Committee:
    """Return the committee that a proof file shows, checked against the network's registry key.

    Raises:
        UsageError: the file can't be read, or is no such proof (``usage.file``, ``usage.committee``).
        ProofError: it does not hold.
    """
    from bpci_node.auction.light import committee_of_proof
    from bpci_node.chain.ledger_proof import MAX_FILE_BYTES, StateEntryProof, decode_ledger_proof

    try:
        proof = decode_ledger_proof(read_file(path, MAX_FILE_BYTES))
    except UsageError:
        raise
    except BpciError as error:
        raise UsageError(f"--committee {path}: {error.message}", code="usage.committee") from error
    if not isinstance(proof, StateEntryProof):
        raise UsageError(f"--committee {path} proves a command, not an entry of the state", code="usage.committee")
    return committee_of_proof(proof, network.registry_key)


def load_trust(path: Path) -> NetworkFile:
    """Return the network file that the caller trusts.

    Raises:
        UsageError: not a network file (``usage.network``).
    """
    from bpci_node.network.file import load

    try:
        return load(path)
    except BpciError as error:
        raise UsageError(f"--network {path}: {error.message}", code="usage.network", hint=error.hint) from error


def ask_committee(network: NetworkFile, epoch: int, others: Sequence[str] = ()) -> Committee:
    """Ask nodes for the committee of an epoch; what they answer is proved against the registry's key.

    Args:
        others: nodes to ask besides those that the network file names.

    Raises:
        UnreachableError: no node showed it (``light.committee``).
    """
    from bpci_node.auction.light import committee_of_entry
    from bpci_node.chain.draw import committee_entry
    from bpci_node.network.client import NodeClient
    from bpci_node.network.proved_state import ProvedState

    for url in (*network.urls, *others):
        try:
            with NodeClient(url, network=network) as client:
                value = ProvedState(client, network.registry_key).get(committee_entry(epoch))
        except BpciError:
            continue
        committee = None if value is None else committee_of_entry(value)
        if committee is not None and committee.epoch == epoch:
            return committee
    raise UnreachableError(
        f"no node of the network showed the committee of epoch {epoch}",
        code="light.committee",
        hint="Give --committee FILE, the proof of that entry of the ledger's state.",
    )


def load_state(path: Path | None, network: NetworkFile) -> LightState | None:
    """Return what a file remembers of a network, None where there is no file yet.

    Raises:
        UsageError: it is not the state of a client, or that of another network (``usage.state``).
    """
    from bpci_node.auction.light import MAX_STATE_BYTES, LightState

    if path is None or not path.exists():
        return None
    try:
        kept = LightState.decode(read_file(path, MAX_STATE_BYTES))
    except UsageError:
        raise
    except BpciError as error:
        raise UsageError(f"--state {path}: {error.message}", code="usage.state") from error
    if kept.ledger_id != network.ledger_id:
        raise UsageError(f"--state {path} is of another network", code="usage.state")
    return kept


def keep_state(path: Path | None, client: LightState) -> None:
    """Write the state down, whole or not at all."""
    if path is None:
        return
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(client.encode())
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", code="usage.file") from error
