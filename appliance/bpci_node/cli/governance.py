"""``bpci governance``: propose, vote, delegate, execute, veto, show. Keys come from files, never from arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bpci_node.cli.files import read_file
from bpci_node.cli.output import emit, fields
from bpci_node.cli.sending import (
    guardian_option,
    key_option,
    load_signer,
    open_ledger,
    place_options,
    render_sent,
    send,
)
from bpci_node.cli.wallet_keys import KeySource
from bpci_node.errors import FormatError
from bpci_node.primitives.json_text import read_json

MAX_FILE_BYTES = 1 << 20
number_argument = click.argument("proposal", metavar="NUMBER", type=click.IntRange(1))
actions_option = click.option(
    "--actions",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    required=True,
    metavar="FILE",
    help='A JSON list of {"kind", "body"}; bytes are written 0x...',
)
reasons_option = click.option(
    "--reasons",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Why; the ledger keeps its SHA-256.",
)
vote_option = click.option(
    "--vote", "choice", type=click.Choice(["yes", "no", "abstain"]), required=True, help="Your vote."
)


@click.group("governance")
def command() -> None:
    """Propose, vote, delegate, and have what passed executed."""


def _send(
    place: dict[str, Any], key_file: KeySource, kind: str, body: dict[str, Any], guardians: tuple[Path, ...] = ()
) -> None:
    signer, as_json = load_signer(key_file), place.pop("as_json")
    with open_ledger(**place) as ledger:
        emit(send(ledger, signer, f"governance.{kind}", body, guardians), as_json, render_sent)


@command.command("propose")
@actions_option
@reasons_option
@key_option
@place_options
def propose(*, actions: Path, reasons: Path, key_file: KeySource, **place: Any) -> None:
    """Propose actions to a vote.

    \b
    Examples:
      bpci governance propose --actions lower-fee.json --reasons why.md --key mine.key
    """
    _send(place, key_file, "propose", proposal_body(actions, reasons))


@command.command("participate")
@number_argument
@vote_option
@key_option
@place_options
def participate(*, proposal: int, choice: str, key_file: KeySource, **place: Any) -> None:
    """Vote on a proposal, once and for good.

    \b
    Examples:
      bpci governance participate 7 --vote yes --key mine.key
    """
    _send(place, key_file, "vote", {"proposal": proposal, "choice": choice})


@command.command("delegate")
@click.option("--to", metavar="ACCOUNT", help="Who votes for you.  [default: nobody any more]")
@key_option
@place_options
def delegate(*, to: str | None, key_file: KeySource, **place: Any) -> None:
    """Let another account vote for you, in proposals that begin later.

    \b
    Examples:
      bpci governance delegate --to bpa1... --key mine.key
      bpci governance delegate --key mine.key
    """
    _send(place, key_file, "delegate", {"to": to})


@command.command("execute")
@number_argument
@key_option
@place_options
def execute(*, proposal: int, key_file: KeySource, **place: Any) -> None:
    """Have a passed proposal executed, after its veto period. Anyone may.

    \b
    Examples:
      bpci governance execute 7 --key mine.key
    """
    _send(place, key_file, "execute", {"proposal": proposal})


@command.command("veto")
@number_argument
@key_option
@guardian_option
@place_options
def veto(*, proposal: int, key_file: KeySource, guardians: tuple[Path, ...], **place: Any) -> None:
    """As the guardians, stop a proposal.

    \b
    Examples:
      bpci governance veto 7 --key g1.key --guardian g2.key
    """
    _send(place, key_file, "veto", {"proposal": proposal}, guardians)


@command.command("show")
@number_argument
@place_options
def show(*, proposal: int, **place: Any) -> None:
    """Show a proposal and how its vote stands, proved. Exit status 1 if there is none.

    \b
    Examples:
      bpci governance show 7
      bpci governance show 7 --network network.json --json
    """
    from bpci_node.chain.governance import find_proposal

    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        record = find_proposal(ledger.state, proposal)
        height = ledger.state.newest_height
    data = proposal_view(record, proposal) | {"height": height}
    emit(data, as_json, render_proposal)


def proposal_body(actions: Path, reasons: Path) -> dict[str, Any]:
    """Return what a proposal says, from the files that a person wrote.

    Raises:
        FormatError: the actions are no JSON (``format.body``).
        UsageError: a file can't be read (``usage.file``).
    """
    from bpci_node.primitives.hashing import sha256

    try:
        found = read_json(read_file(actions, MAX_FILE_BYTES), max_bytes=MAX_FILE_BYTES)
    except FormatError as error:
        raise FormatError("the actions are no JSON", code="format.body") from error
    return {"reasons": sha256(read_file(reasons, MAX_FILE_BYTES)), "actions": _values(found)}


def proposal_view(record: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a proposal as it is shown, with how its vote stands."""
    from bpci_node.chain.ballot import has_passed
    from bpci_node.network.wire import json_view

    amounts = {"total": str(record["total"]), "votes": {name: str(units) for name, units in record["votes"].items()}}
    shown: dict[str, Any] = json_view(record)
    return shown | amounts | {"proposal": number, "passes": has_passed(record)}


def _values(value: Any) -> Any:
    """Return JSON as values of a command: what is written 0x and hexadecimal digits is bytes."""
    from bpci_node.network.wire import bytes_of

    if isinstance(value, dict):
        return {name: _values(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_values(item) for item in value]
    return bytes_of(value, what="bytes") if isinstance(value, str) and value.startswith("0x") else value


def render_proposal(data: dict[str, Any]) -> str:
    """Return what a person reads of a proposal."""
    votes = data["votes"]
    return fields(
        {
            "proposal": f"{data['proposal']} by {data['proposer']}",
            "status": data["status"] + (", passes as it stands" if data["passes"] else ", does not pass as it stands"),
            "votes": f"yes {votes['yes']}, no {votes['no']}, abstain {votes['abstain']} of {data['total']}",
            "periods": f"vote to {data['vote_until']}, veto to {data['veto_until']}; now {data['height']}",
            "actions": ", ".join(action["kind"] for action in data["actions"]),
        }
    )
