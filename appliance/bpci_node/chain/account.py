"""Accounts: who may speak for whom. The id is fixed when the account is made; its keys are state.

A key serves one account only, for good: once revoked it comes back nowhere. ``did:key`` names a key, not an account.
Every key of an account may do everything. A key that was given an ML-DSA-44 companion signs with both from then on.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from typing import Any

from bpci_node.chain.state import Overlay, View
from bpci_node.errors import RefusedError
from bpci_node.primitives.keys import account_address, did_of
from bpci_node.primitives.record import load_record, save_record

KEY_ID_FORM = re.compile(r"did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}")
"""A key id: the ``did:key`` name of an Ed25519 key, which always has this length."""

ED25519, HYBRID = "ed25519", "ed25519+ml-dsa-44"
"""How a key signs."""

MAX_KEYS = 8
"""Most keys that an account has at one time."""


@dataclass(frozen=True, slots=True)
class AccountKey:
    """One current key of an account."""

    public_key: bytes
    """Ed25519, 32 bytes."""
    since_height: int
    """Height of the block that added it."""
    key_id: str
    """The key's ``did:key`` name."""
    ml_dsa_key: bytes | None = None
    """Its ML-DSA-44 companion, 1,312 bytes, if it has one; then both sign."""

    @property
    def alg(self) -> str:
        """How it signs: ``ed25519`` or ``ed25519+ml-dsa-44``."""
        return ED25519 if self.ml_dsa_key is None else HYBRID

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored."""
        stored = {
            "key_id": self.key_id,
            "alg": self.alg,
            "public_key": self.public_key,
            "since_height": self.since_height,
        }
        return stored if self.ml_dsa_key is None else stored | {"ml_dsa_key": self.ml_dsa_key}


@dataclass(frozen=True, slots=True)
class Account:
    """One account as the state holds it."""

    id: str
    """Fixed when the account was made."""
    nonce: int
    """Nonce that its next command must carry."""
    keys: tuple[AccountKey, ...]
    """Current keys, oldest first, at least one."""

    def key(self, key_id: str) -> AccountKey | None:
        """Return the current key of that name, ``None`` if it is not among them."""
        return next((key for key in self.keys if key.key_id == key_id), None)

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        # The lowest version that holds it, so that what version 1 wrote stays as it is until a companion comes.
        version = 1 if all(key.ml_dsa_key is None for key in self.keys) else 2
        return {"v": version, "id": self.id, "nonce": self.nonce, "keys": [key.as_map() for key in self.keys]}


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Which account a key serves, or served."""

    account: str
    """The account's id."""
    revoked_height: int | None
    """Height of the block that revoked the key, ``None`` while it is in force."""


def account_id_of(public_key: bytes) -> str:
    """Return the id of the account whose first key is ``public_key``."""
    return "bpa1" + base64.b32encode(account_address(public_key)).decode("ascii").lower()


def load_account(state: View, account_id: str) -> Account | None:
    """Return the account of that id, ``None`` if there is none."""
    data = state.get(_account_entry(account_id))
    if data is None:
        return None
    stored = load_record(data)
    keys = tuple(
        AccountKey(key["public_key"], key["since_height"], key["key_id"], key.get("ml_dsa_key"))
        for key in stored["keys"]
    )
    return Account(id=stored["id"], nonce=stored["nonce"], keys=keys)


def store_account(state: Overlay, account: Account) -> None:
    """Write ``account``."""
    state.put(_account_entry(account.id), save_record(account.as_map()))


def load_key_use(state: View, public_key: bytes) -> KeyUse | None:
    """Return which account ``public_key`` serves or served, ``None`` if it never did."""
    data = state.get(_key_entry(public_key))
    if data is None:
        return None
    stored = load_record(data)
    return KeyUse(account=stored["account"], revoked_height=stored["revoked_height"])


def create_account(state: Overlay, public_key: bytes, height: int) -> Account:
    """Write and return a new account whose first key is ``public_key``.

    Raises:
        RefusedError: the key serves or served another account (``account.key_in_use``, ``account.key_revoked``).
    """
    account = Account(id=account_id_of(public_key), nonce=0, keys=())
    return add_key(state, account, public_key, height)


def add_key(state: Overlay, account: Account, public_key: bytes, height: int) -> Account:
    """Write and return ``account`` with one key more.

    Raises:
        RefusedError: the key serves or served an account (``account.key_in_use``, ``account.key_revoked``), or the
            account has as many keys as it may have (``account.keys``).
    """
    use = load_key_use(state, public_key)
    if use is not None and use.revoked_height is not None:
        raise RefusedError("this key was revoked, and stays revoked", code="account.key_revoked")
    if use is not None:
        raise RefusedError(
            "this key already serves an account",
            code="account.key_in_use",
            hint="Make a new key: every key serves one account only.",
        )
    if len(account.keys) >= MAX_KEYS:
        raise RefusedError(
            f"an account has at most {MAX_KEYS} keys", code="account.keys", hint="Revoke one in the same command."
        )
    _store_key_use(state, public_key, KeyUse(account.id, None))
    account = replace(account, keys=(*account.keys, AccountKey(public_key, height, did_of(public_key))))
    store_account(state, account)
    return account


def revoke_key(state: Overlay, account: Account, key_id: str, height: int) -> Account:
    """Write and return ``account`` without the key ``key_id``; its last key may go if another one follows at once.

    Raises:
        RefusedError: no current key of the account has this name (``account.key``).
    """
    key = account.key(key_id)
    if key is None:
        raise RefusedError("no current key of this account has that name", code="account.key")
    _store_key_use(state, key.public_key, KeyUse(account.id, height))
    account = replace(account, keys=tuple(kept for kept in account.keys if kept != key))
    store_account(state, account)
    return account


def strengthen_key(state: Overlay, account: Account, key_id: str, ml_dsa_key: bytes) -> Account:
    """Write and return ``account`` with an ML-DSA-44 companion for one of its keys, in place of an earlier one.

    Raises:
        RefusedError: no current key of the account has this name (``account.key``).
    """
    if account.key(key_id) is None:
        raise RefusedError("no current key of this account has that name", code="account.key")
    keys = tuple(replace(key, ml_dsa_key=ml_dsa_key) if key.key_id == key_id else key for key in account.keys)
    account = replace(account, keys=keys)
    store_account(state, account)
    return account


def _store_key_use(state: Overlay, public_key: bytes, use: KeyUse) -> None:
    record = {"v": 1, "account": use.account, "revoked_height": use.revoked_height}
    state.put(_key_entry(public_key), save_record(record))


def _account_entry(account_id: str) -> bytes:
    return b"account/" + account_id.encode("ascii")


def _key_entry(public_key: bytes) -> bytes:
    return b"key/" + public_key
