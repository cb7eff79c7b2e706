"""``wallet.register``, ``update``, ``retire``: which account receives under which name, and for which role.

A name is the URL of a wallet address. It is its first holder's for good, and so is every name that looks like it;
whether the holder also has that URL elsewhere is not told here. Governance wallets need no name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import Form, Spec, choice, text
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.label import skeleton
from bpci_node.chain.miners import load_miner
from bpci_node.chain.registration import ACTIVE, RETIRED
from bpci_node.chain.state import Overlay, State, View
from bpci_node.chain.validators import load_validator
from bpci_node.errors import AccessError, RefusedError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.record import load_record, save_record
from bpci_node.primitives.wallet_address import MAX_PLACE_CHARACTERS, PLACE_FORM, WalletAddress, parse_address

OWNER, VALIDATOR, MINER, NOTARY = "owner", "validator", "miner", "notary"
ROLES = (OWNER, VALIDATOR, MINER, NOTARY)

MAX_WALLETS = 8
"""Most names of one account, retired ones included."""


def _read_address(fields: Fields, name: str) -> WalletAddress:
    value = fields.raw(name)
    if type(value) is not str:
        raise fields.wrong(f"needs a wallet address in {name!r}")
    found = parse_address(value)
    if not isinstance(found, WalletAddress):
        raise fields.wrong("registers an address that names its URL, none with a stamp")
    return found


ADDRESS = Form("wallet address with a URL, text (`wallet-address.md`)", _read_address, str)
URL = text(re.compile(rf"(?=.{{1,{MAX_PLACE_CHARACTERS}}}\Z){PLACE_FORM.pattern}"), "URL of a wallet address")


@dataclass(frozen=True, slots=True)
class Registration:
    """Body of ``wallet.register`` and ``wallet.update``."""

    address: Annotated[
        WalletAddress, Spec(ADDRESS, "The address; its account is the sender, its network the ledger's.")
    ]
    role: Annotated[str, Spec(choice(*ROLES), "What the wallet is for; the account has that role.")]


@dataclass(frozen=True, slots=True)
class Retirement:
    """Body of ``wallet.retire``."""

    url: Annotated[str, Spec(URL, "The wallet's name.")]


@dataclass(frozen=True, slots=True)
class WalletRecord:
    """A registered wallet as the state holds it."""

    address: WalletAddress
    """Its address."""
    role: str
    """One of :data:`ROLES`."""
    status: str
    """``active`` or ``retired``."""
    registered_height: int
    """Height of the block that registered it last."""
    updated_height: int
    """Height of the block that changed it last."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "url": self.address.url,
            "account": self.address.account,
            "address": str(self.address),
            "role": self.role,
            "status": self.status,
            "registered_height": self.registered_height,
            "updated_height": self.updated_height,
        }


def register(state: Overlay, context: Context, body: Registration) -> list[Event]:
    """Give the sender a name; its own, retired ones may come back.

    Raises:
        RefusedError: another network's (``wallet.network``), a role that the account has not (``wallet.role``), a name
            that is taken or looks like one that is (``wallet.taken``), or one too many (``wallet.count``).
        AccessError: another account's address (``wallet.account``).
    """
    _check(state, context, body)
    url = body.address.url
    owner = state.get(_name_entry(url))
    earlier = find_wallet(state, url)
    if owner is not None and (earlier is None or earlier.address.account != context.sender or earlier.status == ACTIVE):
        raise RefusedError(
            "this name, or one that looks like it, is taken", code="wallet.taken", hint="Choose another name."
        )
    names = wallet_names(state, context.sender)
    if earlier is None:
        if len(names) >= MAX_WALLETS:
            raise RefusedError(f"an account has at most {MAX_WALLETS} names", code="wallet.count")
        state.put(_name_entry(url), save_record({"v": 1, "url": url}))
        state.put(_account_entry(context.sender), save_record({"v": 1, "urls": sorted([*names, url])}))
    record = WalletRecord(body.address, body.role, ACTIVE, context.height, context.height)
    _store(state, record)
    return [_event("wallet.registered", record)]


def update(state: Overlay, context: Context, body: Registration) -> list[Event]:
    """State where a wallet of the sender's is reached, and its role, anew.

    Raises:
        RefusedError: as :func:`register`; no such wallet (``wallet.unknown``), retired (``wallet.retired``), or nothing
            changes (``wallet.unchanged``).
        AccessError: another account's (``wallet.account``).
    """
    _check(state, context, body)
    earlier = _own(state, context, body.address.url)
    if (earlier.address, earlier.role) == (body.address, body.role):
        raise RefusedError("so it is already", code="wallet.unchanged")
    record = replace(earlier, address=body.address, role=body.role, updated_height=context.height)
    _store(state, record)
    return [_event("wallet.updated", record)]


def retire(state: Overlay, context: Context, body: Retirement) -> list[Event]:
    """Retire a wallet of the sender's; its name stays the account's.

    Raises:
        RefusedError: ``wallet.unknown``, ``wallet.retired``.
        AccessError: another account's (``wallet.account``).
    """
    record = replace(_own(state, context, body.url), status=RETIRED, updated_height=context.height)
    _store(state, record)
    return [_event("wallet.retired", record)]


def network_of(genesis: Genesis) -> str:
    """Return the network that a ledger belongs to; one that began with version 1 is a devnet."""
    return "devnet" if genesis.parameters is None else genesis.parameters.network


def require_network(address_network: str, ledger_network: str) -> None:
    """Check that an address is of the ledger's network.

    Raises:
        RefusedError: it is of another (``wallet.network``).
    """
    if address_network != ledger_network:
        raise RefusedError(
            f"the address is of {address_network}; this ledger is of {ledger_network}",
            code="wallet.network",
            hint="What is sent to an address of another network is not what its owner waits for.",
        )


def find_wallet(state: View, url: str) -> WalletRecord | None:
    """Return the wallet of that name, ``None`` if it was never registered."""
    data = state.get(wallet_entry(url))
    if data is None:
        return None
    stored = load_record(data)
    address = parse_address(stored["address"])
    if not isinstance(address, WalletAddress):
        return None
    return WalletRecord(
        address, stored["role"], stored["status"], stored["registered_height"], stored["updated_height"]
    )


def wallet_names(state: View, account: str) -> tuple[str, ...]:
    """Return the names that an account has, in their order, those of retired wallets included."""
    data = state.get(_account_entry(account))
    return () if data is None else tuple(load_record(data)["urls"])


def list_wallets(state: State, *, after: str = "", limit: int = 100) -> list[WalletRecord]:
    """Return wallets in order of their names, those greater than ``after``."""
    prefix, found = wallet_entry(""), list[WalletRecord]()
    for entry, _ in state.entries(prefix, after=wallet_entry(after) if after else b""):
        record = find_wallet(state, entry.removeprefix(prefix).decode("ascii"))
        if record is not None:
            found.append(record)
        if len(found) >= limit:
            break
    return found


def wallet_entry(url: str) -> bytes:
    """Return the state key of a wallet."""
    return f"wallet/{url}".encode("ascii")


def _check(state: View, context: Context, body: Registration) -> None:
    require_network(body.address.network, network_of(context.genesis))
    if body.address.account != context.sender:
        raise AccessError("the address is of another account than the sender's", code="wallet.account")
    if not _has_role(state, context.sender, body.role):
        raise RefusedError(
            f"this account can't have a wallet of a {body.role}",
            code="wallet.role",
            hint="A validator, or notary, is a registered validator; a miner is a registered miner.",
        )


def _has_role(state: View, account: str, role: str) -> bool:
    if role == MINER:
        miner = load_miner(state, account)
        return miner is not None and miner.status == ACTIVE
    if role in (VALIDATOR, NOTARY):
        validator = load_validator(state, account)
        return validator is not None and validator.status == ACTIVE
    return True


def _own(state: View, context: Context, url: str) -> WalletRecord:
    record = find_wallet(state, url)
    if record is None:
        raise RefusedError("there is no wallet of this name", code="wallet.unknown")
    if record.address.account != context.sender:
        raise AccessError("the wallet is another account's", code="wallet.account")
    if record.status != ACTIVE:
        raise RefusedError("the wallet was retired", code="wallet.retired", hint="Register it again.")
    return record


def _store(state: Overlay, record: WalletRecord) -> None:
    state.put(wallet_entry(record.address.url), save_record(record.as_map()))


def _event(kind: str, record: WalletRecord) -> Event:
    address = record.address
    fields: dict[str, str | int | bytes] = {"account": address.account, "address": str(address), "role": record.role}
    return Event(kind, fields)


def _name_entry(url: str) -> bytes:
    alike = re.sub(r"[a-z0-9-]+", lambda found: skeleton(found[0]), url)
    return f"wallet-name/{alike}".encode("ascii")


def _account_entry(account: str) -> bytes:
    return f"wallets/{account}".encode("ascii")
