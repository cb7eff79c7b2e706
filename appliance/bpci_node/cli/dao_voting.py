"""``bpci dao propose``, ``vote``, ``execute``: what members decide, and what they spend without a vote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.files import read_file
from bpci_node.cli.governance import (
    actions_option,
    number_argument,
    proposal_body,
    proposal_view,
    reasons_option,
    render_proposal,
    vote_option,
)
from bpci_node.cli.output import emit
from bpci_node.cli.receiving import receiver, units_of
from bpci_node.cli.sending import key_option, load_signer, open_ledger, place_options, render_sent, send
from bpci_node.cli.wallet_keys import KeySource

if TYPE_CHECKING:
    from bpci_node.cli.sending import Ledger

MAX_REASON_BYTES = 1 << 20

dao_argument = click.argument("dao", metavar="DAO")


def dao_of(ledger: Ledger, text: str) -> str:
    """Return the id of the DAO that is meant by its id or by its name.

    Raises:
        FormatError: neither (``format.name``).
    """
    from bpci_node.chain.dao import dao_id_of
    from bpci_node.chain.forms import ACCOUNT_FORM
    from bpci_node.chain.label import check_label, skeleton

    if ACCOUNT_FORM.fullmatch(text):
        return text
    check_label(text)
    return dao_id_of(ledger.ledger_id, skeleton(text))


@click.command("propose")
@dao_argument
@actions_option
@reasons_option
@key_option
@place_options
def propose(*, dao: str, actions: Path, reasons: Path, key_file: KeySource, **place: Any) -> None:
    """Propose actions to the members: asset.transfer, dao.admit, dao.expel, dao.set_rights, dao.set_rules ...

    \b
    Examples:
      bpci dao propose "River Keepers" --actions pay-the-boat.json --reasons why.md --wallet savings
    """
    decide(place, key_file, "dao.propose", dao, proposal_body(actions, reasons))


@click.command("vote")
@dao_argument
@number_argument
@vote_option
@key_option
@place_options
def vote(*, dao: str, proposal: int, choice: str, key_file: KeySource, **place: Any) -> None:
    """Vote on a proposal, once and for good.

    \b
    Examples:
      bpci dao vote "River Keepers" 3 --vote yes --wallet savings
    """
    decide(place, key_file, "dao.vote", dao, {"proposal": proposal, "choice": choice})


@click.command("execute")
@dao_argument
@number_argument
@key_option
@place_options
def execute(*, dao: str, proposal: int, key_file: KeySource, **place: Any) -> None:
    """Have a passed proposal executed, after its voting period. Anyone may.

    \b
    Examples:
      bpci dao execute "River Keepers" 3 --wallet savings
    """
    decide(place, key_file, "dao.execute", dao, {"proposal": proposal})


@click.command("delegate")
@dao_argument
@click.option("--to", metavar="ACCOUNT|ADDRESS|NAME", help="The member who votes for you.  [default: nobody any more]")
@key_option
@place_options
def delegate(*, dao: str, to: str | None, key_file: KeySource, **place: Any) -> None:
    """Let another member vote for you, in the DAO's proposals that begin later.

    \b
    Examples:
      bpci dao delegate "River Keepers" --to ravi.example --wallet savings
    """
    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        body = {"dao": dao_of(ledger, dao), "to": None if to is None else receiver(ledger, to)}
        emit(send(ledger, load_signer(key_file), "dao.delegate", body), as_json, render_sent)


@click.command("proposal")
@dao_argument
@number_argument
@place_options
def proposal(*, dao: str, proposal: int, **place: Any) -> None:
    """Show a proposal of a DAO and how its vote stands, proved. Exit status 1 if there is none.

    \b
    Examples:
      bpci dao proposal "River Keepers" 3
    """
    from bpci_node.chain.ballot import find_proposal
    from bpci_node.chain.dao import find_dao, roll_of

    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        record = find_dao(ledger.state, dao_of(ledger, dao))
        found = find_proposal(ledger.state, roll_of(record.id), proposal)
        height = ledger.state.newest_height
    emit(proposal_view(found, proposal) | {"dao": record.id, "height": height}, as_json, render_proposal)


@click.command("spend")
@dao_argument
@click.option("--to", required=True, metavar="ACCOUNT|ADDRESS|NAME", help="Who receives it.")
@click.option("--asset", default="BPI", show_default=True, help="What the treasury pays in.")
@click.option("--amount", required=True, metavar="NUMBER", help="How much, such as 12.5.")
@click.option(
    "--reason",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="What for; the ledger keeps its SHA-256.",
)
@key_option
@place_options
def spend(*, dao: str, to: str, asset: str, amount: str, reason: Path, key_file: KeySource, **place: Any) -> None:
    """Pay out of a treasury within your allowance, without a vote.

    \b
    Examples:
      bpci dao spend "River Keepers" --to shop.example --amount 12.5 --reason bill.pdf --wallet savings
    """
    from bpci_node.primitives.hashing import sha256

    digest, as_json = sha256(read_file(reason, MAX_REASON_BYTES)), place.pop("as_json")
    with open_ledger(**place) as ledger:
        body = {
            "dao": dao_of(ledger, dao),
            "asset": asset,
            "to": receiver(ledger, to),
            "amount": units_of(ledger, asset, amount),
            "reason": digest,
        }
        emit(send(ledger, load_signer(key_file), "dao.spend", body), as_json, render_sent)


@click.command("divide")
@dao_argument
@key_option
@place_options
def divide(*, dao: str, key_file: KeySource, **place: Any) -> None:
    """Have what came to a dissolved DAO's treasury divided among its last members. Anyone may.

    \b
    Examples:
      bpci dao divide "River Keepers" --wallet savings
    """
    decide(place, key_file, "dao.divide", dao, {})


def decide(place: dict[str, Any], key_file: KeySource, kind: str, dao: str, body: dict[str, Any]) -> None:
    """Send what somebody has decided about a DAO, which the ledger's node knows by its name or id, and say so."""
    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        emit(send(ledger, load_signer(key_file), kind, {"dao": dao_of(ledger, dao)} | body), as_json, render_sent)
