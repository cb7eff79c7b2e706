"""Whom and how much a person means: accounts, wallet addresses and names of wallets; amounts with their decimals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bpci_node.errors import ProofError, RefusedError, UsageError

if TYPE_CHECKING:
    from bpci_node.cli.sending import Ledger

_AMOUNT = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,18}))?")


def network_name(ledger: Ledger) -> str:
    """Return the network of a ledger, from its genesis, which its id proves.

    Raises:
        ProofError: the node shows the genesis of another ledger (``proof.genesis``).
    """
    from bpci_node.chain.genesis import decode_genesis
    from bpci_node.chain.wallet_registry import network_of

    genesis = decode_genesis(ledger.client.ledger.genesis())
    if genesis.ledger_id != ledger.ledger_id:
        raise ProofError("the node showed the genesis of another ledger", code="proof.genesis")
    return network_of(genesis)


def receiver(ledger: Ledger, text: str) -> str:
    """Return the account that a text means: an account id, a wallet address, or the name of a registered wallet.

    Raises:
        RefusedError: an address of another network (``wallet.network``), or no active wallet has the name
            (``wallet.unknown``, ``wallet.retired``).
        FormatError: not an address in its one form (``format.wallet_address``, ``format.wallet_check``).
        UsageError: none of all this (``usage.account``).
    """
    from bpci_node.chain.forms import ACCOUNT_FORM
    from bpci_node.chain.registration import ACTIVE
    from bpci_node.chain.wallet_registry import find_wallet, require_network
    from bpci_node.primitives.wallet_address import PLACE_FORM, is_address, parse_address

    if ACCOUNT_FORM.fullmatch(text):
        return text
    if is_address(text):
        address = parse_address(text)
        require_network(address.network, network_name(ledger))
        return address.account
    if len(text) > 128 or PLACE_FORM.fullmatch(text) is None:
        raise UsageError(
            "this is neither an account (bpa1...), nor a wallet address, nor the name of a wallet", code="usage.account"
        )
    record = find_wallet(ledger.state, text)
    if record is None:
        raise RefusedError("there is no wallet of this name", code="wallet.unknown")
    if record.status != ACTIVE:
        raise RefusedError("the wallet was retired", code="wallet.retired", hint="Ask its owner for another address.")
    return record.address.account


def units_of(ledger: Ledger, asset: str, text: str) -> int:
    """Return how many smallest units an amount such as ``12.5`` is.

    Raises:
        UsageError: not an amount, or with more decimals than the asset has (``usage.amount``).
        RefusedError: no such asset (``asset.unknown``).
    """
    from bpci_node.chain.assets import find_asset

    decimals, found = find_asset(ledger.state, asset).decimals, _AMOUNT.fullmatch(text)
    if found is None or len(found[2] or "") > decimals:
        raise UsageError(
            f"an amount of {asset} is a number such as 12.5, with at most {decimals} decimals", code="usage.amount"
        )
    units = int(found[1] + (found[2] or "").ljust(decimals, "0"))
    if not 1 <= units < 2**63:
        raise UsageError("an amount is more than nothing, and less than 2^63 smallest units", code="usage.amount")
    return units


def shown_amount(units: int, decimals: int) -> str:
    """Return an amount as a person writes it, without needless zeros."""
    whole, rest = divmod(units, 10**decimals)
    part = str(rest).rjust(decimals, "0").rstrip("0") if decimals else ""
    return f"{whole}.{part}" if part else str(whole)


def coins(units: str) -> str:
    """Return an amount of BPI in whole coins, exactly."""
    whole, rest = divmod(int(units), 10**8)
    tail = f"{rest:08d}".rstrip("0")
    return f"{whole:,}" + (f".{tail}" if tail else "") + " BPI"
