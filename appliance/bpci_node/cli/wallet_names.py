"""``bpci wallet register``, ``update``, ``retire``, ``find``: names of wallets on the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from bpci_node.cli.output import emit, fields
from bpci_node.cli.receiving import network_name
from bpci_node.cli.sending import account_of, key_option, load_signer, open_ledger, place_options, render_sent, send
from bpci_node.cli.wallet_keys import KeySource
from bpci_node.errors import NotFoundError

ROLES = ("owner", "validator", "miner", "notary")

url_option = click.option(
    "--url", "wallet_url", required=True, metavar="URL", help="The name: a host, or a host with a path."
)
reached_option = click.option("--at", "reached", required=True, metavar="HOST", help="Where it is reached by httpcg.")
role_option = click.option("--role", type=click.Choice(ROLES), default="owner", show_default=True, help="Its role.")


@dataclass(frozen=True, slots=True)
class WalletTerms:
    """What is stated of a wallet."""

    url: str
    """Its name."""
    reached: str
    """Where it is reached."""
    role: str
    """What it is for."""


@click.command("register")
@url_option
@reached_option
@role_option
@key_option
@place_options
def register(*, wallet_url: str, reached: str, role: str, key_file: KeySource, **place: Any) -> None:
    """Register a name for your account on the ledger; it is yours for good.

    \b
    Examples:
      bpci wallet register --wallet savings --url asha.example --at home.asha.example
      bpci wallet register --key node.key --url node.example --at node.example --role validator
    """
    _state("register", WalletTerms(wallet_url, reached, role), key_file, place)


@click.command("update")
@url_option
@reached_option
@role_option
@key_option
@place_options
def update(*, wallet_url: str, reached: str, role: str, key_file: KeySource, **place: Any) -> None:
    """State anew where a wallet is reached, and its role.

    \b
    Examples:
      bpci wallet update --wallet savings --url asha.example --at new.asha.example
    """
    _state("update", WalletTerms(wallet_url, reached, role), key_file, place)


@click.command("retire")
@url_option
@key_option
@place_options
def retire(*, wallet_url: str, key_file: KeySource, **place: Any) -> None:
    """Retire a wallet's name. It stays yours, and can be registered again.

    \b
    Examples:
      bpci wallet retire --wallet savings --url asha.example
    """
    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        emit(send(ledger, load_signer(key_file), "wallet.retire", {"url": wallet_url}), as_json, render_sent)


@click.command("find")
@click.argument("wallet_url", metavar="URL")
@place_options
def find(*, wallet_url: str, **place: Any) -> None:
    """Look a name up, proved. Exit status 1 if nobody has registered it.

    \b
    Examples:
      bpci wallet find asha.example
    """
    from bpci_node.chain.wallet_registry import find_wallet
    from bpci_node.primitives.wallet_address import MAX_PLACE_CHARACTERS, PLACE_FORM

    as_json = place.pop("as_json")
    is_name = len(wallet_url) <= MAX_PLACE_CHARACTERS and PLACE_FORM.fullmatch(wallet_url) is not None
    with open_ledger(**place) as ledger:
        record = find_wallet(ledger.state, wallet_url) if is_name else None
    if record is None:
        raise NotFoundError("there is no wallet of this name", code="wallet.unknown")
    emit(record.as_map(), as_json, fields)


def _state(what: str, terms: WalletTerms, key_file: KeySource, place: dict[str, Any]) -> None:
    from bpci_node.primitives.wallet_address import WalletAddress

    signer, as_json = load_signer(key_file), place.pop("as_json")
    with open_ledger(**place) as ledger:
        found = WalletAddress(network_name(ledger), account_of(ledger, signer), terms.url, terms.reached)
        sent = send(ledger, signer, f"wallet.{what}", {"address": str(found), "role": terms.role})
    emit(sent | {"address": str(found)}, as_json, lambda data: f"{render_sent(data)}\naddress:  {data['address']}")
