"""What ``bpci light`` and ``bpci bundle`` trust: a network file, committees that its ledger proves, a kept state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bpci_node.cli.files import read_file, write_file
from bpci_node.cli.output import say
from bpci_node.errors import BpciError, UnreachableError, UsageError

if TYPE_CHECKING:
    from bpci_node.auction.header import AuctionHeader
    from bpci_node.auction.light import LightState
    from bpci_node.chain.committee import Committee
    from bpci_node.network.file import NetworkFile

_Command = TypeVar("_Command", bound=Callable[..., Any])

trust_option = click.option(
    "--network",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The network file: whom to trust.",
)
played_option = click.option("--played", "is_played", is_flag=True, help="Of auctions that move no value.")
_CLIENT_OPTIONS = (
    trust_option,
    click.option(
        "--committee",
        "committees",
        type=click.Path(path_type=Path, dir_okay=False),
        multiple=True,
        metavar="FILE",
        help="Proof from the ledger's state of the first committee, or of one that no header names; may be given again."
        "  [default: asked of the network's nodes, and checked]",
    ),
    click.option(
        "--no-ledger",
        is_flag=True,
        help="Ask nobody for a committee: take those of --committee and --state, and what headers name.",
    ),
    click.option(
        "--state",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Go on from what this file remembers, and remember in it how far all was followed.",
    ),
    played_option,
)


def client_options(command: _Command) -> _Command:
    """Add what every command of a light client takes; the function receives what :func:`open_client` wants."""
    for option in reversed(_CLIENT_OPTIONS):
        command = option(command)
    return command


@dataclass
class Client:
    """A light client with what it may ask for a committee."""

    network: NetworkFile
    ledger_id: str
    """What headers must name: the ledger's own id, or that under which its auctions are played."""
    proved: dict[int, Committee]
    """By epoch: from proofs that the caller gave."""
    is_asking: bool
    """Whether nodes may be asked for others."""
    kept_in: Path | None
    state: LightState | None
    """None before anything was seen."""
    urls: Sequence[str] = ()
    """Nodes to ask besides those that the network file names."""
    from_ledger: list[int] = field(default_factory=list)
    """Epochs whose committees the ledger showed, not a header."""

    def expect(self, header: AuctionHeader) -> LightState:
        """Return the state in which a header's committee is known; where no header named it, the ledger proves it.

        Raises:
            ProofError: as :meth:`LightState.appoint`.
            UnreachableError: it could not be had (``light.committee``).
        """
        from bpci_node.auction.light import begin

        state = self.state
        if state is not None and (state.knows(header.epoch) or header.epoch < state.committee.epoch):
            return state
        committee = self.proved.get(header.epoch) or self._ask(header.epoch)
        if state is not None:
            state = state.appoint(committee)
            say(f"no header named the committee of epoch {header.epoch}: it is taken from the ledger, which proves it")
        self.from_ledger.append(header.epoch)
        return state or begin(self.ledger_id, header.target, committee)

    def keep(self) -> None:
        """Write the state down, whole or not at all.

        Raises:
            UsageError: it can't be written (``usage.file``).
        """
        if self.kept_in is None or self.state is None:
            return
        write_file(self.kept_in, self.state.encode())

    def view(self) -> dict[str, Any]:
        """Return what every command says of the client in the end."""
        epoch = None if self.state is None else self.state.committee.epoch
        return {"committee_epoch": epoch, "committees_from_ledger": self.from_ledger}

    def _ask(self, epoch: int) -> Committee:
        if not self.is_asking:
            raise UnreachableError(
                f"no header named the committee of epoch {epoch}, and the ledger may not be asked",
                code="light.committee",
                hint="Leave --no-ledger out, or give --committee FILE, the proof of that entry of the ledger's state.",
            )
        return ask_committee(self.network, epoch, self.urls)


def open_client(
    network: Path,
    committees: Sequence[Path],
    state: Path | None,
    *,
    no_ledger: bool,
    is_played: bool,
    urls: Sequence[str] = (),
) -> Client:
    """Return the client that a command's options describe.

    Raises:
        UsageError: a file is not what it should be (``usage.network``, ``usage.committee``, ``usage.state``).
        ProofError: a committee is not proved.
    """
    trusted = load_trust(network)
    ledger_id = ledger_of(trusted, is_played=is_played)
    proved = {found.epoch: found for found in (read_proof(path, trusted) for path in committees)}
    return Client(trusted, ledger_id, proved, not no_ledger, state, load_state(state, ledger_id), urls)


def ledger_of(network: NetworkFile, *, is_played: bool) -> str:
    """Return the ledger id that headers of a network name."""
    from bpci_node.chain.settling import mock_ledger_id

    return mock_ledger_id(network.ledger_id) if is_played else network.ledger_id


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


def load_state(path: Path | None, ledger_id: str) -> LightState | None:
    """Return what a file remembers of a ledger, None where there is no file yet.

    Raises:
        UsageError: it is not the state of a client, or that of another ledger (``usage.state``).
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
    if kept.ledger_id != ledger_id:
        raise UsageError(f"--state {path} is of another network", code="usage.state")
    return kept
