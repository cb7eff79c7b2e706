"""``bpci validator``: set a validator up, look at it, let it leave, and report one that contradicted itself."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.local import dir_option, find_node, node_option
from bpci_node.cli.output import emit, fields, json_option, table
from bpci_node.cli.sending import account_of, key_option, load_signer, open_ledger, place_options, render_sent, send
from bpci_node.cli.wallet_keys import KeySource


@click.group("validator")
def command() -> None:
    """Set a validator up, look at it, let it leave."""


@command.command("setup")
@key_option
@click.option(
    "--phrase-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    required=True,
    metavar="FILE",
    help="The owner's 24 words, of which the keys are made; '-' reads them from standard input.",
)
@click.option("--instance", type=click.IntRange(0), default=0, show_default=True, help="Instance of the identity.")
@click.option("--stake", type=click.IntRange(0), default=0, help="Put this at stake first, smallest units of BPI.")
@click.option("--commission-bps", type=click.IntRange(0, 10_000), default=500, show_default=True, help="Basis points.")
@place_options
def setup(
    *,
    key_file: KeySource,
    phrase_file: Path,
    instance: int,
    stake: int,
    commission_bps: int,
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> None:
    """Set up the validator of a registered node: its BLS, VRF and ML-DSA keys, each with proof of possession.

    \b
    Examples:
      bpci validator setup --key node.key --phrase-file - --stake 100000000000
      bpci validator setup --key node.key --phrase-file words.txt --commission-bps 250 --json
    """
    from bpci_node.chain.validators import prove_keys
    from bpci_node.primitives.bls import BlsSigner
    from bpci_node.primitives.derivation import derive_keys
    from bpci_node.primitives.keys import LocalSigner
    from bpci_node.primitives.mldsa import MlDsaSigner

    signer = load_signer(key_file)
    with click.open_file(str(phrase_file)) as file:
        keys = derive_keys(file.read(4096), instance)
    with open_ledger(directory, url, network) as ledger:
        if stake:
            send(ledger, signer, "stake.deposit", {"amount": stake})
        body = prove_keys(
            BlsSigner(keys.bls),
            LocalSigner(keys.vrf_seed),
            MlDsaSigner(keys.ml_dsa_seed),
            ledger_id=ledger.ledger_id,
            account=account_of(ledger, signer),
            commission_bps=commission_bps,
        )
    with open_ledger(directory, url, network) as ledger:
        emit(send(ledger, signer, "validator.set_up", body.as_body()), as_json, render_sent)


@command.command("show")
@click.argument("account", required=False)
@click.option("--height", type=click.IntRange(0), help="Without an account: the set after this block.")
@dir_option
@node_option
@json_option
def show(*, account: str | None, height: int | None, directory: Path | None, url: str | None, as_json: bool) -> None:
    """Show one validator, or the set of validators. Exit status 1 if there is no such validator.

    \b
    Examples:
      bpci validator show
      bpci validator show bpa1u74fhz7s2k5qx5htad56bigilp3fjisp --json
      bpci validator show --height 100
    """
    from bpci_node.network.registry_client import RegistryClient

    with closing(RegistryClient(find_node(directory, url).url)) as registry:
        if account is None:
            emit(registry.validators(height), as_json, _render_set)
        else:
            emit(registry.validator(account), as_json, _render_one)


@command.command("exit")
@key_option
@place_options
def leave(*, key_file: KeySource, directory: Path | None, url: str | None, network: Path | None, as_json: bool) -> None:
    """Let a validator leave the set. Its stake stays until it is withdrawn, and liable until that is free.

    \b
    Examples:
      bpci validator exit --key node.key
    """
    with open_ledger(directory, url, network) as ledger:
        emit(send(ledger, load_signer(key_file), "validator.exit", {}), as_json, render_sent)


@command.command("unjail")
@key_option
@place_options
def unjail(
    *, key_file: KeySource, directory: Path | None, url: str | None, network: Path | None, as_json: bool
) -> None:
    """Bring a jailed validator back, once its height has passed.

    \b
    Examples:
      bpci validator unjail --key node.key
    """
    with open_ledger(directory, url, network) as ledger:
        emit(send(ledger, load_signer(key_file), "validator.unjail", {}), as_json, render_sent)


@command.command("report")
@click.argument("what", type=click.Choice(["blocks", "bundles"]))
@click.argument("first", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("second", type=click.Path(path_type=Path, dir_okay=False))
@key_option
@place_options
def report(
    *,
    what: str,
    first: Path,
    second: Path,
    key_file: KeySource,
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> None:
    """Bring evidence that a validator contradicted itself: two signed blocks, or two bundles, as files.

    \b
    Examples:
      bpci validator report bundles a.bundle b.bundle --key mine.key
    """
    body = {"first": first.read_bytes(), "second": second.read_bytes()}
    with open_ledger(directory, url, network) as ledger:
        emit(send(ledger, load_signer(key_file), f"validator.report_{what}", body), as_json, render_sent)


def _render_set(data: dict[str, Any]) -> str:
    if not data["members"]:
        return "there are no validators"
    rows = [[item["account"], item["power"], item["bls_key"][:18] + "…"] for item in data["members"]]
    return table(rows, ["account", "power", "BLS key"])


def _render_one(data: dict[str, Any]) -> str:
    record = data["validator"]
    jailed = f", jailed up to height {record['jailed_until']}" if record["status"] == "jailed" else ""
    return fields(
        {
            "account": record["account"],
            "status": record["status"] + jailed,
            "bonded": data["bonded"],
            "unbonding": data["unbonding"],
            "slashed": record["slashed"],
            "commission": f"{record['commission_bps']} basis points, since height {record['commission_height']}",
            "BLS key": record["bls_key"],
            "VRF key": record["vrf_key"],
        }
    )
