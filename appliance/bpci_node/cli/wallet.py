"""``bpci wallet``: keys under a passphrase, addresses, balances, transfers, and the ledger's names of wallets.

Words and keys come from files or a terminal, and go to files of mode 0600 or a terminal; never into arguments or logs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.files import read_file
from bpci_node.cli.output import emit, fields, is_interactive, json_option, say, table
from bpci_node.cli.receiving import network_name, receiver, shown_amount, units_of
from bpci_node.cli.sending import key_option, load_signer, open_ledger, place_options, render_sent, send
from bpci_node.cli.wallet_keys import (
    KeySource,
    directory_of,
    open_named,
    passphrase_option,
    read_passphrase,
    wallets_option,
)
from bpci_node.cli.wallet_names import find, register, retire, update
from bpci_node.errors import StorageError, UsageError

if TYPE_CHECKING:
    from bpci_node.cli.sending import Ledger
    from bpci_node.host.wallet_file import OpenWallet

MAX_EVENTS = 1000

name_argument = click.argument("name", metavar="NAME")
who_argument = click.argument("who", metavar="ACCOUNT|ADDRESS|NAME")


@click.group("wallet")
def command() -> None:
    """Keep keys under a passphrase; addresses, balances, transfers, names of wallets."""


for part in (find, register, retire, update):
    command.add_command(part)


@command.command("new")
@name_argument
@click.option("--single-key", is_flag=True, help="One key without words; back its file up.")
@passphrase_option
@wallets_option
@json_option
def new(*, name: str, single_key: bool, passphrase_file: Path | None, wallets: Path | None, as_json: bool) -> None:
    """Make a wallet. On a terminal its 24 words are shown once; write them down.

    \b
    Examples:
      bpci wallet new savings
      bpci wallet new robot --single-key --passphrase-file /dev/fd/3 --json 3< passphrase
    """
    from bpci_node.host.wallet_file import KEY, PHRASE, OpenWallet

    wallet = OpenWallet(KEY if single_key else PHRASE, os.urandom(32))
    _keep(name, wallet, wallets, passphrase_file, as_json=as_json)
    if not single_key and is_interactive():
        say("\nWrite these 24 words on paper. Whoever has them has the wallet; they are not shown again.\n")
        words = wallet.phrase.split()
        for row in range(6):
            say("  ".join(f"{row * 4 + at + 1:2}. {words[row * 4 + at]:<9}" for at in range(4)))
    elif not single_key:
        say(f"the words were not shown: there is no terminal. 'bpci wallet export {name} --out FILE' writes them")


@command.command("import")
@name_argument
@click.option(
    "--phrase-file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), help="24 words; - is input."
)
@click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), help="A key: 32 bytes, mode 0600.")
@passphrase_option
@wallets_option
@json_option
def import_wallet(
    *,
    name: str,
    phrase_file: Path | None,
    key_file: Path | None,
    passphrase_file: Path | None,
    wallets: Path | None,
    as_json: bool,
) -> None:
    """Make a wallet of 24 words, or of a key.

    \b
    Examples:
      bpci wallet import savings --phrase-file words.txt
      bpci wallet import developer --key-file developer.key --passphrase-file /dev/fd/3
    """
    from bpci_node.host.wallet_file import KEY, OpenWallet, wallet_of_phrase
    from bpci_node.runtime.key_files import read_key

    if (phrase_file is None) == (key_file is None):
        raise click.UsageError("give --phrase-file or --key-file")
    if key_file is not None:
        wallet = OpenWallet(KEY, read_key(f"file:{key_file}", key="--key-file"))
    elif phrase_file is not None:
        wallet = wallet_of_phrase(read_file(phrase_file, 4096).decode("utf-8", errors="replace"))
    _keep(name, wallet, wallets, passphrase_file, as_json=as_json)


@command.command("list")
@wallets_option
@json_option
def list_wallets(*, wallets: Path | None, as_json: bool) -> None:
    """List the wallets of this machine; no passphrase is needed.

    \b
    Examples:
      bpci wallet list
    """
    directory = directory_of(wallets)
    found = [{"name": name, **_header(directory.header(name))} for name in directory.names()]

    def render(items: list[dict[str, str]]) -> str:
        rows = [[item["name"], item["kind"], item["account"]] for item in items]
        return (
            table(rows, ["name", "kind", "account"]) if rows else "there is no wallet; make one: bpci wallet new NAME"
        )

    emit(found, as_json, render)


@command.command("export")
@name_argument
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A new file, mode 0600.")
@click.option("--as-key", is_flag=True, help="The key as 32 bytes, in place of the words.")
@passphrase_option
@wallets_option
def export(*, name: str, out: Path, as_key: bool, passphrase_file: Path | None, wallets: Path | None) -> None:
    """Write a wallet's words, or its key, without protection into a file that you alone may read.

    \b
    Examples:
      bpci wallet export savings --out /media/usb/words.txt
      bpci wallet export robot --as-key --out robot.key
    """
    from bpci_node.host.wallet_file import PHRASE
    from bpci_node.primitives.keys import derive_keys

    wallet = open_named(name, wallets, passphrase_file)
    if as_key:
        data = derive_keys(wallet.phrase).owner if wallet.kind == PHRASE else wallet.secret
    else:
        data = wallet.phrase.encode("ascii") + b"\n"
    try:
        with open(out, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(data)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}", code="keystore.write") from error
    say(f"whoever reads {out} has the wallet: keep it off this machine")


@command.command("passphrase")
@name_argument
@passphrase_option
@click.option(
    "--new-passphrase-file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="FILE",
    help="Its first line is the new passphrase.  [default: ask]",
)  # fmt: skip
@wallets_option
def change(*, name: str, passphrase_file: Path | None, new_passphrase_file: Path | None, wallets: Path | None) -> None:
    """Put a wallet under another passphrase. Copies of its file keep the old one.

    \b
    Examples:
      bpci wallet passphrase savings
    """
    from bpci_node.host.wallet_file import seal_wallet

    wallet = open_named(name, wallets, passphrase_file)
    passphrase, _ = read_passphrase(new_passphrase_file, "New passphrase", is_new=True)
    directory_of(wallets).write(name, seal_wallet(wallet, passphrase, random=os.urandom), replace=True)


@command.command("show")
@who_argument
@place_options
def show(*, who: str, **place: Any) -> None:
    """Show the account that is meant, with its balances and the names of its wallets, all proved.

    \b
    Examples:
      bpci wallet show bpa1...
      bpci wallet show asha.example --json
    """
    from bpci_node.chain.wallet_registry import find_wallet, wallet_names

    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        account = receiver(ledger, who)
        records = [find_wallet(ledger.state, url) for url in wallet_names(ledger.state, account)]
        data = {
            "account": account,
            "network": network_name(ledger),
            "balances": _balances(ledger, account),
            "wallets": [record.as_map() for record in records if record is not None],
            "height": ledger.state.newest_height,
        }

    def render(found: dict[str, Any]) -> str:
        balances = {item["asset"]: item["shown"] for item in found["balances"]}
        names = {item["url"]: f"{item['address']} {item['role']}, {item['status']}" for item in found["wallets"]}
        return fields({"account": found["account"], "network": found["network"], **balances, **names})

    emit(data, as_json, render)


@command.command("balance")
@who_argument
@place_options
def balance(*, who: str, **place: Any) -> None:
    """Show what an account may spend, each amount proved.

    \b
    Examples:
      bpci wallet balance bpa1...
      bpci wallet balance asha.example --json
    """
    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        account = receiver(ledger, who)
        data = {"account": account, "balances": _balances(ledger, account)}
    emit(
        data,
        as_json,
        lambda found: fields({item["asset"]: item["shown"] for item in found["balances"]} or {"BPI": "0"}),
    )


@command.command("address")
@click.argument("text", metavar="[ADDRESS|-]", required=False)
@click.option("--of", "account", metavar="ACCOUNT", help="Write the address of this account.")
@click.option("--wallet", metavar="NAME", help="Write the address of this wallet; no passphrase is needed.")
@click.option("--url", metavar="URL", help="With --of or --wallet: the name.")
@click.option("--at", "reached", metavar="HOST", help="With --of or --wallet: where it is reached.")
@click.option(
    "--network-name",
    "of_network",
    type=click.Choice(["mainnet", "testnet", "devnet"]),
    help="With --of or --wallet: the network.",
)
@wallets_option
@json_option
def address(
    *,
    text: str | None,
    account: str | None,
    wallet: str | None,
    url: str | None,
    reached: str | None,
    of_network: str | None,
    wallets: Path | None,
    as_json: bool,
) -> None:
    """Check an address and show its parts, or write one. '-' reads it, or a token, from standard input.

    A token's password is read over: it is neither kept nor printed. Nothing is sent.

    \b
    Examples:
      bpci wallet address 'BPI(asha.example)<bpt1...>(httpcg//home.asha.example)'
      bpci wallet address --wallet savings --url asha.example --at home.asha.example --network-name testnet
    """
    from bpci_node.primitives.wallet_address import WalletAddress, parse_address, parse_token

    if text is not None:
        given = sys.stdin.readline(4096).removesuffix("\n") if text == "-" else text
        if ")//" in given:
            if text != "-":
                raise UsageError(
                    "this ends with a password, which is now in your shell's history",
                    code="usage.token",
                    hint="Change it, and give tokens on standard input: bpci wallet address -",
                )
            found = parse_token(given).address
        else:
            found = parse_address(given)
    else:
        if (account is None) == (wallet is None) or url is None or reached is None or of_network is None:
            raise click.UsageError("give an address; or --of or --wallet, with --url, --at and --network-name")
        owner = account or directory_of(wallets).header(str(wallet)).account
        found = WalletAddress(of_network, owner, url, reached)
    data = {"address": str(found), "network": found.network, "account": found.account}
    if isinstance(found, WalletAddress):
        data |= {"url": found.url, "at": found.place}
    else:
        data |= {"stamp": found.stamp_type, "jurisdiction": found.jurisdiction, "domain": found.domain}
    emit(data, as_json, fields)


@command.command("transfer")
@click.option("--to", required=True, metavar="ACCOUNT|ADDRESS|NAME", help="Who receives it.")
@click.option("--asset", default="BPI", show_default=True, help="What is transferred.")
@click.option("--amount", required=True, metavar="NUMBER", help="How much, such as 12.5.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@key_option
@place_options
def transfer(*, to: str, asset: str, amount: str, yes: bool, key_file: KeySource, **place: Any) -> None:
    """Send an amount. An address of another network is refused.

    \b
    Examples:
      bpci wallet transfer --wallet savings --to asha.example --amount 12.5
      bpci wallet transfer --key mine.key --to bpa1... --asset GEN --amount 3 --yes --json
    """
    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        account, units = receiver(ledger, to), units_of(ledger, asset, amount)
        if not yes:
            click.confirm(f"Send {amount} {asset} to {account}?", abort=True, err=True)
        body = {"asset": asset, "to": account, "amount": units}
        emit(send(ledger, load_signer(key_file), "asset.transfer", body), as_json, render_sent)


@command.command("history")
@who_argument
@click.option("--limit", type=click.IntRange(1, MAX_EVENTS), default=100, show_default=True, help="Most events.")
@click.option("--after", default="", metavar="PLACE", help="Only later ones than this height.position.number.")
@place_options
def history(*, who: str, limit: int, after: str, **place: Any) -> None:
    """List the events that name an account, in the order of the ledger, as the node tells them.

    \b
    Examples:
      bpci wallet history bpa1...
      bpci wallet history asha.example --limit 10 --json
    """
    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        account = receiver(ledger, who)
        data = {"account": account, **ledger.client.ledger.events(account, after=after, limit=limit)}
    emit(data, as_json, render_events)


def render_events(data: dict[str, Any]) -> str:
    """Return what a person reads of a page of events."""
    rows = [
        [str(item["height"]), item["kind"], " ".join(f"{name}={value}" for name, value in item["fields"].items())]
        for item in data["events"]
    ]
    return table(rows, ["height", "event", "what"]) if rows else "nothing happened"


def _keep(name: str, wallet: OpenWallet, wallets: Path | None, passphrase_file: Path | None, *, as_json: bool) -> None:
    from bpci_node.host.wallet_file import read_header, seal_wallet

    passphrase, _ = read_passphrase(passphrase_file, f"Passphrase for {name}", is_new=True)
    data = seal_wallet(wallet, passphrase, random=os.urandom)
    path = directory_of(wallets).write(name, data)
    emit({"name": name, **_header(read_header(data)), "file": str(path)}, as_json, fields)


def _header(header: Any) -> dict[str, str]:
    from bpci_node.primitives.keys import did_of

    return {"kind": header.kind, "account": header.account, "key": did_of(header.public_key)}


def _balances(ledger: Ledger, account: str) -> list[dict[str, str]]:
    from bpci_node.chain.assets import balance as balance_of
    from bpci_node.chain.assets import find_asset

    found = []
    for asset in ledger.client.ledger.assets():
        units = balance_of(ledger.state, account, str(asset["id"]))
        if units:
            decimals = find_asset(ledger.state, str(asset["id"])).decimals
            found.append({"asset": str(asset["id"]), "units": str(units), "shown": shown_amount(units, decimals)})
    return found
