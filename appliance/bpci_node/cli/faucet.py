"""``bpci faucet``: ask for test money, see what is left, make codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bpci_node.cli.local import dir_option, find_node, find_socket, node_option, socket_option
from bpci_node.cli.output import emit, fields, json_option, say

MAX_CODE_BYTES = 256


@click.group("faucet")
def command() -> None:
    """Test money, on testnets and devnets."""


@command.command("request")
@click.argument("account")
@click.option(
    "--as", "purpose", type=click.Choice(["wallet", "node"]), default="wallet", show_default=True, help="As what."
)
@click.option("--amount", type=click.IntRange(1), help="Smallest units.  [default: as much as may be]")
@click.option(
    "--code-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="A code of the operator's, instead of work; - reads standard input.",
)
@dir_option
@node_option
@json_option
def request(
    *,
    account: str,
    purpose: str,
    amount: int | None,
    code_file: Path | None,
    directory: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Ask a node's faucet for a grant to an account. Without a code this machine proves some seconds of work first.

    \b
    Examples:
      bpci faucet request bpa1u74fhz7s2k5qx5htad56bigilp3fjisp
      bpci faucet request bpa1u74fhz7s2k5qx5htad56bigilp3fjisp --as node --node http://192.0.2.5:8545
      bpci faucet request bpa1u74fhz7s2k5qx5htad56bigilp3fjisp --code-file code.txt --json
    """
    from bpci_node.chain.admission import find_work
    from bpci_node.network.faucet_client import FaucetClient

    means = {} if amount is None else {"amount": str(amount)}
    with FaucetClient(find_node(directory, url).url) as faucet:
        terms = faucet.terms()
        if code_file is None:
            challenge = faucet.challenge(account, purpose)
            say(f"proving work of {challenge.bits} bits")
            means["nonce"] = "0x" + find_work(challenge.statement, challenge.bits).hex()
        else:
            means["code"] = _read_code(code_file)
        found = faucet.request(account, purpose, **means)
    shown = f"{_amount(found['amount'], terms)} are {account}'s"
    emit(found, as_json, lambda data: f"{shown}, by command {data['command_id']}")


@command.command("status")
@dir_option
@node_option
@json_option
def status(*, directory: Path | None, url: str | None, as_json: bool) -> None:
    """Show what a node's faucet gives, and what is left. Exit status 1 if it has none.

    \b
    Examples:
      bpci faucet status
      bpci faucet status --node http://192.0.2.5:8545 --json
    """
    from bpci_node.network.faucet_client import FaucetClient

    with FaucetClient(find_node(directory, url).url) as faucet:
        emit(faucet.terms(), as_json, _render)


@command.command("codes")
@click.option(
    "--count", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N", help="How many, 1 to 100."
)
@dir_option
@socket_option
@json_option
def codes(*, count: int, directory: Path | None, socket: Path | None, as_json: bool) -> None:
    """As the owner, make codes that are each good for one grant without work. They are shown once.

    \b
    Examples:
      sudo bpci faucet codes --count 10
      bpci faucet codes --json
    """
    from bpci_node.network.owner_client import OwnerClient

    with OwnerClient(find_socket(directory, socket)) as owner:
        found = owner.faucet_codes(count)
    emit({"codes": found}, as_json, lambda data: "\n".join(data["codes"]))


def _read_code(file: Path) -> str:
    from bpci_node.cli.files import read_file
    from bpci_node.errors import UsageError

    text = read_file(file, MAX_CODE_BYTES).decode("ascii", "replace").strip()
    if not text or len(text) > 64:
        raise UsageError(f"{file} holds no code", code="usage.file")
    return text


def _amount(units: str, terms: dict[str, Any]) -> str:
    """Return an amount in whole assets, exactly."""
    decimals = int(terms["decimals"])
    whole, rest = divmod(int(units), 10**decimals)
    tail = f"{rest:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole:,}" + (f".{tail}" if tail else "") + f" {terms['asset']}"


def _render(data: dict[str, Any]) -> str:
    maxima = data["maxima"]
    return fields(
        {
            "network": data["network"],
            "left": _amount(data["pool"], data),
            "to a wallet, once": _amount(maxima["wallet"], data),
            "to a community node": _amount(maxima["bpi-community"], data),
            "to an enterprise node": _amount(maxima["bpci-enterprise"], data),
            "to a hybrid node": _amount(maxima["hybrid"], data),
            "to one address": f"{data['grants_per_source']} grants for work a day",
            "work": f"{data['work_bits']} bits",
        }
    )
