"""``bpci dao``: found a DAO, invite, join, leave, look at it and at the D-PANs of its members."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.dao_voting import (
    dao_argument,
    dao_of,
    decide,
    delegate,
    divide,
    execute,
    proposal,
    propose,
    spend,
    vote,
)
from bpci_node.cli.files import read_file
from bpci_node.cli.output import emit, fields
from bpci_node.cli.receiving import receiver, shown_amount
from bpci_node.cli.sending import key_option, load_signer, open_ledger, place_options, render_sent, send
from bpci_node.cli.wallet import render_events
from bpci_node.cli.wallet_keys import KeySource
from bpci_node.errors import NotFoundError

if TYPE_CHECKING:
    from bpci_node.chain.dao import Dpan

MAX_CHARTER_BYTES = 1 << 20
TYPES = ("community", "cooperative", "development", "enterprise", "investment")


@click.group("dao")
def command() -> None:
    """Found a DAO, join one, vote in it, spend its treasury."""


for part in (delegate, divide, execute, proposal, propose, spend, vote):
    command.add_command(part)


@command.command("create")
@click.option("--type", "--dao-type", "dao_type", type=click.Choice(TYPES), required=True, help="What it is.")
@click.option("--name", required=True, metavar="NAME", help="Its name; none that looks like another's.")
@click.option(
    "--charter",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="What it is for; the ledger keeps its SHA-256.",
)
@click.option("--weighted", is_flag=True, help="Members differ in power.  [default: all equal]")
@click.option("--admission", type=click.Choice(["invitation", "vote"]), default="invitation", show_default=True)
@click.option("--quorum-bps", type=click.IntRange(1, 10_000), default=5000, show_default=True)
@click.option("--threshold-bps", type=click.IntRange(5000, 9999), default=5000, show_default=True)
@click.option("--voting-blocks", type=click.IntRange(2, 10**7), default=1000, show_default=True)
@key_option
@place_options
def create(*, dao_type: str, name: str, charter: Path, weighted: bool, key_file: KeySource, **place: Any) -> None:
    """Found a DAO; you are its first member, with every right, and this is your D-PAN in it.

    \b
    Examples:
      bpci dao create --type community --name "River Keepers" --charter charter.md --wallet savings
      bpci identity create-dpan --dao-type investment --name "Seed Circle" --charter c.md --weighted --key mine.key
    """
    from bpci_node.primitives.hashing import sha256

    rules = {rule: place.pop(rule) for rule in ("admission", "quorum_bps", "threshold_bps", "voting_blocks")}
    as_json = place.pop("as_json")
    body = {
        "type": dao_type,
        "name": name,
        "charter": sha256(read_file(charter, MAX_CHARTER_BYTES)),
        "power": "weighted" if weighted else "equal",
        "rules": rules,
    }
    with open_ledger(**place) as ledger:
        sent = send(ledger, load_signer(key_file), "dao.create", body)
        data = sent | {"dao": dao_of(ledger, name)}
    emit(data, as_json, lambda found: f"{render_sent(found)}\ndao:      {found['dao']}")


@command.command("show")
@dao_argument
@place_options
def show(*, dao: str, **place: Any) -> None:
    """Show a DAO: rules, members, treasury; proved. Exit status 1 if there is none.

    \b
    Examples:
      bpci dao show "River Keepers"
      bpci dao show bpa1... --json
    """
    from bpci_node.chain.assets import balance, find_asset
    from bpci_node.chain.dao import find_dao, load_dpan, members_of
    from bpci_node.network.wire import json_view

    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        record = find_dao(ledger.state, dao_of(ledger, dao))
        members = [load_dpan(ledger.state, record.id, account) for account in members_of(ledger.state, record.id)]
        treasury = {}
        for asset in ledger.client.ledger.assets():
            units = balance(ledger.state, record.id, str(asset["id"]))
            if units:
                decimals = find_asset(ledger.state, str(asset["id"])).decimals
                treasury[str(asset["id"])] = shown_amount(units, decimals)
        data = json_view(record.as_map()) | {
            "members": [_shown(member) for member in members if member is not None],
            "treasury": treasury,
            "height": ledger.state.newest_height,
        }
    emit(data, as_json, _render)


@command.command("dpan")
@click.argument("who", metavar="ACCOUNT|ADDRESS|NAME")
@dao_argument
@place_options
def dpan(*, who: str, dao: str, **place: Any) -> None:
    """Show an account's D-PAN in a DAO: power, rights, allowance, how it began and ended; proved.

    \b
    Examples:
      bpci dao dpan asha.example "River Keepers"
      bpci identity dpan bpa1... "River Keepers" --json
    """
    from bpci_node.chain.dao import load_dpan

    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        found = load_dpan(ledger.state, dao_of(ledger, dao), receiver(ledger, who))
    if found is None:
        raise NotFoundError("this account never was a member of the DAO", code="dao.member")
    emit(_shown(found), as_json, fields)


@command.command("invite")
@dao_argument
@click.argument("who", metavar="ACCOUNT|ADDRESS|NAME")
@click.option("--power", type=click.IntRange(1, 10_000), default=1, show_default=True, help="What its vote will weigh.")
@key_option
@place_options
def invite(*, dao: str, who: str, power: int, key_file: KeySource, **place: Any) -> None:
    """Invite an account to a DAO.

    \b
    Examples:
      bpci dao invite "River Keepers" ravi.example --wallet savings
    """
    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        body = {"dao": dao_of(ledger, dao), "account": receiver(ledger, who), "power": power}
        emit(send(ledger, load_signer(key_file), "dao.invite", body), as_json, render_sent)


@command.command("join")
@dao_argument
@key_option
@place_options
def join(*, dao: str, key_file: KeySource, **place: Any) -> None:
    """Accept an invitation, and become a member.

    \b
    Examples:
      bpci dao join "River Keepers" --wallet ravi
    """
    decide(place, key_file, "dao.accept", dao, {})


@command.command("leave")
@dao_argument
@key_option
@place_options
def leave(*, dao: str, key_file: KeySource, **place: Any) -> None:
    """Leave a DAO.

    \b
    Examples:
      bpci dao leave "River Keepers" --wallet ravi
    """
    decide(place, key_file, "dao.leave", dao, {})


@command.command("history")
@dao_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Most events.")
@click.option("--after", default="", metavar="PLACE", help="Only later ones than this height.position.number.")
@place_options
def history(*, dao: str, limit: int, after: str, **place: Any) -> None:
    """List what happened in a DAO, in the order of the ledger, as the node tells it. A member's: bpci wallet history.

    \b
    Examples:
      bpci dao history "River Keepers" --limit 20
    """
    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        dao_id = dao_of(ledger, dao)
        data = {"dao": dao_id, **ledger.client.ledger.events(dao_id, after=after, limit=limit)}
    emit(data, as_json, render_events)


def _shown(member: Dpan) -> dict[str, Any]:
    found = member.as_map()
    if member.allowance is not None:
        found["allowance"] = member.allowance.as_map() | {"amount": str(member.allowance.amount)}
    return found | {"spent": {"window": member.spent[0], "amount": str(member.spent[1])}}


def _render(data: dict[str, Any]) -> str:
    rules = data["rules"]
    members = {item["account"]: f"power {item['power']}" for item in data["members"]}
    return fields(
        {
            "dao": f"{data['name']}, {data['type']}, {data['status']}",
            "id and treasury": data["id"],
            "rules": f"admission by {rules['admission']}, quorum {rules['quorum_bps']} and threshold "
            f"{rules['threshold_bps']} basis points, {rules['voting_blocks']} blocks to vote",
            "treasury holds": ", ".join(f"{shown} {asset}" for asset, shown in data["treasury"].items()) or "nothing",
            **members,
        }
    )
