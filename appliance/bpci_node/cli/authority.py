"""``bpci authority``: become an authority, vouch for one, look one up. Keys come from files, never from arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

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

account_argument = click.argument("account", metavar="ACCOUNT")
Place = dict[str, Any]


@click.group("authority")
def command() -> None:
    """Become an authority, vouch for one, look one up."""


def _send(place: Place, key_file: KeySource, kind: str, body: dict[str, Any], guardians: tuple[Path, ...] = ()) -> None:
    signer = load_signer(key_file)
    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        emit(send(ledger, signer, kind, body, guardians), as_json, render_sent)


@command.command("request-bank")
@key_option
@click.option("--name", required=True, help="Its public name.")
@click.option(
    "--regulatory-approval", "approvals", required=True, metavar="NAMES", help="Approvals, with commas between."
)
@place_options
def request_bank(*, key_file: KeySource, name: str, approvals: str, **place: Any) -> None:
    """Ask to be a bank authority; the guardians grant it.

    \b
    Examples:
      bpci authority request-bank --key bank.key --name "First Bank" --regulatory-approval sec,cftc
    """
    body = {"type": "bank", "name": name, "approvals": approvals.split(","), "sponsor": None}
    _send(place, key_file, "authority.request", body)


@command.command("join-community")
@key_option
@click.option("--name", required=True, help="Its public name.")
@click.option("--vouchers", type=click.IntRange(5, 32), default=5, show_default=True, help="How many you will gather.")
@place_options
def join_community(*, key_file: KeySource, name: str, vouchers: int, **place: Any) -> None:
    """Ask to be a community authority; vouchers of standing make it one.

    \b
    Examples:
      bpci authority join-community --key town.key --name "Old Town" --vouchers 5
    """
    from bpci_node.cli.output import say

    body: dict[str, Any] = {"type": "community", "name": name, "approvals": [], "sponsor": None}
    _send(place, key_file, "authority.request", body)
    say(f"Now let {vouchers} accounts of standing run 'bpci authority vouch', then grant it.")


@command.command("vouch")
@account_argument
@key_option
@place_options
def vouch(*, account: str, key_file: KeySource, **place: Any) -> None:
    """Vouch for a candidate. Your reputation falls if it is revoked for cause.

    \b
    Examples:
      bpci authority vouch bpa1... --key mine.key
    """
    _send(place, key_file, "authority.vouch", {"account": account})


@command.command("grant")
@account_argument
@key_option
@guardian_option
@place_options
def grant(*, account: str, key_file: KeySource, guardians: tuple[Path, ...], **place: Any) -> None:
    """Grant what a candidate asked for: a community by its vouchers, a bank by the guardians.

    \b
    Examples:
      bpci authority grant bpa1... --key town.key
      bpci authority grant bpa1... --key guardian1.key --guardian guardian2.key
    """
    _send(place, key_file, "authority.grant", {"account": account}, guardians)


@command.command("upgrade-hybrid")
@click.option("--bank-sponsor", metavar="ACCOUNT", help="Ask this bank to sponsor the key's authority.")
@click.option("--of", "account", metavar="ACCOUNT", help="As the sponsor: upgrade this authority.")
@click.option("--name", help="With --bank-sponsor: its public name.")
@click.option("--regulatory-approval", "approvals", metavar="NAMES", help="With --bank-sponsor: approvals.")
@key_option
@guardian_option
@place_options
def upgrade_hybrid(
    *,
    bank_sponsor: str | None,
    account: str | None,
    name: str | None,
    approvals: str | None,
    key_file: KeySource,
    guardians: tuple[Path, ...],
    **place: Any,
) -> None:
    """Ask a bank to sponsor the upgrade to a hybrid, or, as that bank, do it.

    \b
    Examples:
      bpci authority upgrade-hybrid --bank-sponsor bpa1... --name "Old Town" --regulatory-approval sec --key town.key
      bpci authority upgrade-hybrid --of bpa1... --key bank.key --guardian g1.key --guardian g2.key
    """
    if (bank_sponsor is None) == (account is None):
        raise click.UsageError("give either --bank-sponsor or --of")
    if account is not None:
        _send(place, key_file, "authority.upgrade", {"account": account}, guardians)
        return
    if name is None or approvals is None:
        raise click.UsageError("--bank-sponsor needs --name and --regulatory-approval")
    body = {"type": "hybrid", "name": name, "approvals": approvals.split(","), "sponsor": bank_sponsor}
    _send(place, key_file, "authority.request", body)


@command.command("revoke")
@account_argument
@click.option("--at", "height", type=click.IntRange(1), help="First height at which it is none.  [default: soon]")
@click.option("--void-from", type=click.IntRange(1), help="For cause: void what it issued from this height on.")
@click.option(
    "--reasons",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The reasons; only their salted digest is sent, and the salt is printed.",
)
@key_option
@guardian_option
@place_options
def revoke(
    *,
    account: str,
    height: int | None,
    void_from: int | None,
    reasons: Path,
    key_file: KeySource,
    guardians: tuple[Path, ...],
    **place: Any,
) -> None:
    """Revoke an authority, or resign as one.

    \b
    Examples:
      bpci authority revoke bpa1... --reasons resignation.txt --key mine.key
      bpci authority revoke bpa1... --void-from 1200 --reasons case.pdf --key g1.key --guardian g2.key
    """
    import os

    from bpci_node.cli.files import read_file
    from bpci_node.primitives.hashing import sha256

    salt = os.urandom(32)
    cause = sha256(salt + sha256(read_file(reasons, 1 << 26)))
    signer, as_json = load_signer(key_file), place.pop("as_json")
    with open_ledger(**place) as ledger:
        ledger.state.get(b"guardians")  # so that the height is known
        effective = height or ledger.state.newest_height + 1
        body = {"account": account, "effective_height": effective, "void_height": void_from, "cause": cause}
        sent = send(ledger, signer, "authority.revoke", body, guardians)
    emit(sent | {"salt": "0x" + salt.hex()}, as_json, lambda data: render_sent(data) + f"\nsalt: {data['salt']}")


@command.command("show")
@account_argument
@place_options
def show(*, account: str, **place: Any) -> None:
    """Show an authority, its request and its reputation, each proved. Exit status 1 if there is neither.

    \b
    Examples:
      bpci authority show bpa1... --network network.json --json
    """
    from bpci_node.chain.authority import load_authority
    from bpci_node.chain.reputation import load_reputation
    from bpci_node.chain.voucher import load_pending
    from bpci_node.errors import NotFoundError
    from bpci_node.network.wire import json_view

    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        found, pending = load_authority(ledger.state, account), load_pending(ledger.state, account)
        score = load_reputation(ledger.state, account).score
        height = ledger.state.newest_height
    if found is None and pending is None:
        raise NotFoundError("this account is no authority, and asked for nothing", code="authority.unknown")
    term = None if found is None else found.term_at(height)
    data = {
        "account": account,
        "type": None if term is None else term.type,
        "authority": None if found is None else json_view(found.as_map()),
        "request": None if pending is None else json_view(pending.as_map()),
        "reputation": score,
        "height": height,
    }
    emit(data, as_json, _render)


def _render(data: dict[str, Any]) -> str:
    found, pending = data["authority"], data["request"]
    asked = "nothing" if pending is None else f"{pending['type']}, {len(pending['vouchers'])} vouchers"
    return fields(
        {
            "account": data["account"],
            "name": (found or pending)["name"],
            "type": data["type"] or "none at this height",
            "asks for": asked,
            "reputation": str(data["reputation"]),
        }
    )
