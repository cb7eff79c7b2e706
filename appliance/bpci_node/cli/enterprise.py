"""``bpci enterprise``: take a registered node of an enterprise to a bank's authority and a validator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.node_config import config_option
from bpci_node.cli.output import emit, fields, json_option

if TYPE_CHECKING:
    from bpci_node.cli.mining import Desk

NODE_TYPE = "bpci-enterprise"
STAKE = 1_000_000 * 10**8
"""What an enterprise puts behind its validator unless it says otherwise, smallest units of BPI."""


@click.group("enterprise")
def command() -> None:
    """Take an enterprise's node to a bank's authority and a validator."""


@command.command("init")
@click.option("--bank", metavar="NAME", required=True, help="Public name of the bank whose authority is asked for.")
@click.option(
    "--regulatory-approval", "approvals", required=True, metavar="NAMES", help="Approvals, with commas between."
)
@click.option(
    "--stake", type=click.IntRange(1), default=STAKE, show_default=True, help="To have at stake, smallest units of BPI."
)
@click.option("--commission-bps", type=click.IntRange(0, 10_000), default=500, show_default=True, help="Basis points.")
@click.option(
    "--phrase-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="The owner's 24 words, of which the validator's keys are made; - reads standard input.  [default: draw keys]",
)
@config_option
@json_option
def init(
    *,
    bank: str,
    approvals: str,
    stake: int,
    commission_bps: int,
    phrase_file: Path | None,
    config: Path,
    as_json: bool,
) -> int:
    """Take this machine's node, with its own key, from registered to a validator of an enterprise.

    A D-Adhaar, the request to be a bank authority (the guardians grant it), keys and configuration of a validator, a
    new start of the node, its registration as an enterprise's, the stake (from the faucet where that gives so much) and
    the validator on the ledger. What is done already stays, so it may be started again at any time. Exit status 1 if
    something is missing.

    \b
    Examples:
      sudo bpci enterprise init --bank "First Bank" --regulatory-approval sec,cftc
      bpci enterprise init --bank "First Bank" --regulatory-approval sec --config node.toml --json
    """
    from bpci_node.cli.mining import open_desk, set_up_validator, survey
    from bpci_node.cli.mining_configure import configure
    from bpci_node.cli.mining_place import open_place

    place = open_place(config)
    with open_desk(place) as desk:
        done = _ask(desk, bank, tuple(approvals.split(",")))
    place, configured = configure(place, NODE_TYPE, phrase_file)
    with open_desk(place) as desk:
        done += configured
        done += set_up_validator(desk, place.validator_keys(), stake=stake, commission_bps=commission_bps)
        found = _look(desk, survey(desk, place))
    emit(found | {"done": done}, as_json, _render)
    return 1 if found["missing"] else 0


def _ask(desk: Desk, name: str, approvals: tuple[str, ...]) -> list[str]:
    """See that an account has a D-Adhaar, and asked to be a bank authority under a name, or is one."""
    from bpci_node.chain.authority import BANK, load_authority
    from bpci_node.chain.credential import load_identity
    from bpci_node.chain.voucher import AuthorityRequest, load_pending
    from bpci_node.errors import FormatError

    body = AuthorityRequest(BANK, name, approvals, None)
    if len(set(approvals)) != len(approvals):
        raise FormatError("an approval is named twice", code="format.body")
    done, account, state = [], desk.account, desk.ledger().state
    if load_identity(state, account) is None:
        desk.send("identity.create_dadhaar", {})
        done.append("identity")
    authority, pending = load_authority(state, account), load_pending(state, account)
    is_bank = (
        authority is not None and (term := authority.term_at(state.newest_height)) is not None and term.type == BANK
    )
    if not is_bank and (pending is None or pending.body != body):
        asked = {"type": BANK, "name": name, "approvals": list(approvals), "sponsor": None}
        desk.send("authority.request", asked)
        done.append("authority")
    return done


def _look(desk: Desk, mining: dict[str, Any]) -> dict[str, Any]:
    """Return what there is of an enterprise's node, and what is still missing."""
    from bpci_node.chain.authority import load_authority
    from bpci_node.chain.credential import load_identity
    from bpci_node.chain.voucher import load_pending
    from bpci_node.cli.mining import missing_of, waits_for

    state, account = desk.ledger().state, desk.account
    identity, authority = load_identity(state, account), load_authority(state, account)
    pending = load_pending(state, account)
    term = None if authority is None else authority.term_at(state.newest_height)
    names = ("account", "registered", "type", "staked", "least_stake", "validator", "serves", "counts_from")
    found: dict[str, Any] = {"v": 1} | {name: mining[name] for name in names}
    found["did"] = None if identity is None else identity.did
    found["authority"] = None if term is None else term.type
    found["asked_for"] = None if pending is None else {"type": pending.body.type, "name": pending.body.name}
    # An enterprise validates; it mines only if it says so with 'bpci miner init'.
    found["missing"] = missing_of(mining | {"miner": "active"})
    found["waits_for"] = waits_for(mining | {"missing": found["missing"]})
    return found


def _render(data: dict[str, Any]) -> str:
    from bpci_node.cli.receiving import coins

    asked = data["asked_for"]
    bank = data["authority"] or (f"asked for as '{asked['name']}'; the guardians grant it" if asked else "none")
    shown = {
        "account": data["account"],
        "identity": data["did"] or "none",
        "node": data["type"] + (", registered" if data["registered"] else ", NOT registered"),
        "authority": bank,
        "stake": f"{coins(data['staked'])} (at least {coins(data['least_stake'])})",
        "validator": data["validator"] or "none",
    }
    lines = [fields(shown)]
    if data["done"]:
        lines.append("done now: " + ", ".join(data["done"]))
    lines += [f"missing: {item}" for item in data["missing"]]
    if data["waits_for"]:
        lines.append(f"waits for {data['waits_for']}")
    return "\n".join(lines)
