"""What commands that verify have in common: whom the caller trusts."""

from __future__ import annotations

from pathlib import Path

import click

from bpci_node.errors import BpciError, UsageError

signer_option = click.option("--signer", metavar="DID", help="Trust the node of this name (did:key:z6Mk...).")
network_option = click.option(
    "--network", type=click.Path(path_type=Path, dir_okay=False), help="Trust the network that this file names."
)


def check_signer(did: str | None) -> bytes | None:
    """Return the key of a trusted signer: a wrong name is a wrong call, and says nothing about what is verified.

    Raises:
        UsageError: not the name of a key (``usage.signer``).
    """
    from bpci_node.primitives.keys import public_key_of

    try:
        return None if did is None else public_key_of(did)
    except BpciError as error:
        raise UsageError(f"--signer: {error.message}", code="usage.signer", hint=error.hint) from error


def load_network(path: Path | None) -> tuple[str, bytes] | None:
    """Return ledger id and registry key of a trusted network: a wrong file is a wrong call, as above.

    Raises:
        UsageError: not a network file (``usage.network``).
    """
    from bpci_node.network.file import load

    if path is None:
        return None
    try:
        network = load(path)
    except BpciError as error:
        raise UsageError(f"--network {path}: {error.message}", code="usage.network", hint=error.hint) from error
    return network.ledger_id, network.registry_key
