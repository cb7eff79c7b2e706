"""What commands that sign for an account have in common: keys, the account's nonce, the fee, one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bpci_node.cli.local import dir_option, find_node, node_option
from bpci_node.cli.output import fields, json_option
from bpci_node.cli.wallet_keys import KeySource, key_options
from bpci_node.errors import BpciError, UnreachableError

if TYPE_CHECKING:
    from bpci_node.network.client import NodeClient
    from bpci_node.network.proved_state import ProvedState
    from bpci_node.primitives.keys import LocalSigner

_Command = TypeVar("_Command", bound=Callable[..., Any])

VALID_BLOCKS = 100
"""For how many blocks a command that is sent may wait."""

key_option = key_options(required=True)
optional_key_option = key_options(required=False)
guardian_option = click.option(
    "--guardian",
    "guardians",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="A guardian's key that approves it, or wallet:NAME; may be given several times.",
)
network_option = click.option(
    "--network",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Believe the ledger of this network file alone.  [default: the one that the node names]",
)


def place_options(command: _Command) -> _Command:
    """Add the options that say which node and ledger are meant, and ``--json``."""
    return dir_option(node_option(network_option(json_option(command))))


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger that commands are sent to, and whose state is read with proofs."""

    client: NodeClient
    """The node."""
    ledger_id: str
    """The ledger's id."""
    state: ProvedState
    """Its state."""
    urls: tuple[str, ...] = ()
    """Of the network's registries, which make its blocks."""


@contextmanager
def open_ledger(directory: Path | None, url: str | None, network: Path | None) -> Iterator[Ledger]:
    """Reach the node that the options mean; what it says of the state is proved against its ledger's registry key."""
    from bpci_node.network.client import NodeClient
    from bpci_node.network.file import load
    from bpci_node.network.proved_state import ProvedState

    trusted = None if network is None else load(network)
    with NodeClient(find_node(directory, url).url, network=trusted) as client:
        file = trusted or client.network()
        yield Ledger(client, file.ledger_id, ProvedState(client, file.registry_key), file.urls)


def load_signer(source: KeySource | Path) -> LocalSigner:
    """Return the signer of a key file or a wallet.

    Raises:
        UsageError: it can't be read, or others may read it (``config.key_file``).
        BpciError: a wallet does not open (``keystore.*``).
    """
    if isinstance(source, KeySource):
        return source.signer()
    name = str(source).removeprefix("wallet:")
    is_wallet = name != str(source)
    return KeySource(None, wallet=name).signer() if is_wallet else KeySource(source).signer()


def send(
    ledger: Ledger, signer: LocalSigner, kind: str, body: dict[str, Any], guardians: Sequence[Path] = ()
) -> dict[str, Any]:
    """Sign a command, send it, and return what became of it.

    Raises:
        BpciError: the ledger's reason for refusing it.
    """
    from bpci_node.chain.account import load_account
    from bpci_node.chain.catalog import KINDS
    from bpci_node.chain.command import Command, sign_command
    from bpci_node.chain.guardians import load_parameter
    from bpci_node.network.wire import json_view

    sender = account_of(ledger, signer)
    account = load_account(ledger.state, sender)
    fee = 0 if KINDS[kind].is_free else load_parameter(ledger.state, "fee_min")
    command = Command(
        ledger_id=ledger.ledger_id,
        sender=sender,
        nonce=0 if account is None else account.nonce,
        expires_height=ledger.state.newest_height + VALID_BLOCKS,
        kind=kind,
        body=body,
        fee=fee,
    )
    signed = sign_command(signer, command, approvals=[load_signer(path) for path in guardians])
    answer = _submit(ledger, signed.encode())
    (result,) = answer["results"]
    return {
        "account": sender,
        "kind": kind,
        "command_id": json_view(command.digest),
        "height": answer["height"],
        "events": json_view(result["events"]),
    }


def _submit(ledger: Ledger, signed: bytes) -> dict[str, Any]:
    """Have a command executed by the node, or by a registry of its network if it only follows.

    What is sent is signed, so it does not matter who carries it.
    """
    from bpci_node.network.client import NodeClient

    try:
        return ledger.client.submit_command(signed)
    except BpciError as error:
        if error.code != "registry.elsewhere":
            raise
        follows = error
    for url in ledger.urls:
        with suppress(UnreachableError), NodeClient(url) as client:
            return client.submit_command(signed)
    raise follows


def account_of(ledger: Ledger, signer: LocalSigner) -> str:
    """Return the account that a key serves, or the one that it would make."""
    from bpci_node.chain.account import account_id_of, load_key_use

    use = load_key_use(ledger.state, signer.public_key)
    return account_id_of(signer.public_key) if use is None else use.account


def render_sent(data: dict[str, Any]) -> str:
    """Return what a person reads of a command that was executed."""
    happened = ", ".join(event["kind"] for event in data["events"]) or "nothing new"
    shown = {"account": data["account"], "height": str(data["height"]), "happened": happened}
    for event in data["events"]:
        # What whoever proposed needs for the next step.
        if event["kind"].endswith(".proposed"):
            told = event["fields"]
            shown |= {"proposal": str(told["proposal"]), "vote until": f"height {told['vote_until']}"}
    return fields(shown)
