"""Assets and balances: the table of assets, what accounts hold, and the sums that never fail to add up.

Per asset: supply = genesis + minted - burned, and supply = all balances + vesting + stakes + escrows + open bonds.
A balance of nothing has no entry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bpci_node.chain.parameters import AssetRule
from bpci_node.chain.state import Overlay, State, View
from bpci_node.errors import RefusedError
from bpci_node.primitives.amounts import MAX_AMOUNT
from bpci_node.primitives.record import load_record, save_record


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset as the state holds it."""

    id: str
    """3 to 8 capital letters."""
    decimals: int
    """Digits after the point when it is shown."""
    cap: int
    """Most that may be there at one time, smallest unit."""
    genesis: int
    """What the genesis allocated."""
    minted: int = 0
    """What was minted since."""
    burned: int = 0
    """What was burned since."""

    @property
    def supply(self) -> int:
        """What is there now, smallest unit."""
        return self.genesis + self.minted - self.burned

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "id": self.id,
            "decimals": self.decimals,
            "cap": self.cap,
            "genesis": self.genesis,
            "minted": self.minted,
            "burned": self.burned,
        }


def list_assets(state: State) -> list[Asset]:
    """Return the table of assets in order of their ids."""
    return [_asset(data) for _, data in state.entries(b"asset/")]


def list_balances(state: State, account: str) -> dict[str, int]:
    """Return what ``account`` may spend: asset id to amount, in order of ids."""
    prefix = f"balance/{account}/".encode("ascii")
    entries = state.entries(prefix)
    return {key.removeprefix(prefix).decode("ascii"): load_record(data)["amount"] for key, data in entries}


def find_asset(state: View, asset_id: str) -> Asset:
    """Return the asset of that id.

    Raises:
        RefusedError: there is none (``asset.unknown``).
    """
    data = state.get(_asset_entry(asset_id))
    if data is None:
        raise RefusedError("this ledger has no such asset", code="asset.unknown", hint="Look at the table of assets.")
    return _asset(data)


def create_asset(state: Overlay, rule: AssetRule, supply: int) -> None:
    """Write an asset of the genesis's table, of which ``supply`` is allocated."""
    _store(state, Asset(rule.id, rule.decimals, rule.cap, supply))


def mint(state: Overlay, asset_id: str, amount: int, to: str) -> None:
    """Make ``amount`` for the account ``to``.

    Raises:
        RefusedError: no such asset (``asset.unknown``), or the supply would exceed its cap (``asset.cap``).
    """
    asset = find_asset(state, asset_id)
    if asset.supply + amount > asset.cap or asset.minted + amount > MAX_AMOUNT:
        raise RefusedError(
            f"the supply of {asset_id} would exceed its cap", code="asset.cap", room=asset.cap - asset.supply
        )
    _store(state, replace(asset, minted=asset.minted + amount))
    credit(state, to, asset_id, amount)


def burn(state: Overlay, asset_id: str, amount: int, holder: str) -> None:
    """Take ``amount`` from ``holder`` and out of the world.

    Raises:
        RefusedError: no such asset (``asset.unknown``), or the holder has less (``asset.balance``).
    """
    asset = find_asset(state, asset_id)
    debit(state, holder, asset_id, amount)
    _store(state, replace(asset, burned=asset.burned + amount))


def balance(state: View, account: str, asset_id: str) -> int:
    """Return what ``account`` may spend of an asset, smallest unit; 0 if it never had any."""
    data = state.get(balance_entry(account, asset_id))
    return 0 if data is None else int(load_record(data)["amount"])


def credit(state: Overlay, account: str, asset_id: str, amount: int) -> None:
    """Add ``amount`` to what ``account`` may spend. Caps of 63 bits keep every balance within 63 bits."""
    if amount:
        _set_balance(state, account, asset_id, balance(state, account, asset_id) + amount)


def debit(state: Overlay, account: str, asset_id: str, amount: int) -> None:
    """Take ``amount`` from what ``account`` may spend.

    Raises:
        RefusedError: it has less (``asset.balance``).
    """
    held = balance(state, account, asset_id)
    if held < amount:
        raise RefusedError(
            f"the account has {held} of {asset_id}, and needs {amount}",
            code="asset.balance",
            hint="Amounts are in the smallest unit; the fee is taken first.",
            held=str(held),
            needed=str(amount),
        )
    _set_balance(state, account, asset_id, held - amount)


def balance_entry(account: str, asset_id: str) -> bytes:
    """Return the state key of a balance."""
    return f"balance/{account}/{asset_id}".encode("ascii")


def _asset(data: bytes) -> Asset:
    stored = load_record(data)
    return Asset(stored["id"], stored["decimals"], stored["cap"], stored["genesis"], stored["minted"], stored["burned"])


def _set_balance(state: Overlay, account: str, asset_id: str, amount: int) -> None:
    key = balance_entry(account, asset_id)
    if amount:
        state.put(key, save_record({"v": 1, "amount": amount}))
    else:
        state.delete(key)


def _store(state: Overlay, asset: Asset) -> None:
    state.put(_asset_entry(asset.id), save_record(asset.as_map()))


def _asset_entry(asset_id: str) -> bytes:
    return b"asset/" + asset_id.encode("ascii")
