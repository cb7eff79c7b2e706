"""The set of validators: who is in it, with which power, and who was at a height.

In the set are the active validators with at least the least stake; their power is what they have bonded. A block after
which the set is another one writes it down; the last :data:`KEPT_SETS` sets are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.stake import load_stake, stake_entry
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.validators import ACTIVE_ENTRY, load_active, load_validator, validator_entry
from bpci_node.errors import NotFoundError
from bpci_node.primitives.record import load_record, save_record

KEPT_SETS = 64
"""How many sets are kept, the one in force among them."""

_LAST_ENTRY = b"validator-set"


@dataclass(frozen=True, slots=True)
class Member:
    """One validator of a set."""

    account: str
    """Its account id."""
    bls_key: bytes
    """Its BLS12-381 key, 48 bytes."""
    power: int
    """What it has bonded, smallest units of BPI."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {"account": self.account, "bls_key": self.bls_key, "power": self.power}


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """One set."""

    number: int
    """How many sets there were before it."""
    height: int
    """Height of the block after which it is in force."""
    members: tuple[Member, ...]
    """In order of their accounts."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        members = [member.as_map() for member in self.members]
        return {"v": 1, "number": self.number, "height": self.height, "members": members}


def renew_set(state: Overlay, writes: Mapping[bytes, bytes | None], height: int) -> None:
    """Write down the set after block ``height`` if its commands have changed it.

    Args:
        writes: what the block's commands wrote; ``state`` shows it.
    """
    active = load_active(state)
    watched = (entry for name in active for entry in (validator_entry(name), stake_entry(name)))
    if ACTIVE_ENTRY not in writes and not any(entry in writes for entry in watched):
        return
    last, members = last_set(state), _members(state, active)
    if members != (() if last is None else last.members):
        found = ValidatorSet(0 if last is None else last.number + 1, height, members)
        state.put(_set_entry(found.number), save_record(found.as_map()))
        state.put(_LAST_ENTRY, save_record({"v": 1, "number": found.number}))


def last_set(state: View) -> ValidatorSet | None:
    """Return the set in force, ``None`` if there never was one."""
    data = state.get(_LAST_ENTRY)
    return None if data is None else _load(state, load_record(data)["number"])


def set_at(state: View, height: int) -> ValidatorSet:
    """Return the set that was in force after block ``height``, 0 for the beginning; the last one for later heights.

    Raises:
        NotFoundError: so early a set is not kept any more (``validator.set_gone``).
    """
    found = last_set(state)
    while found is not None and found.height > height:
        if found.number == 0:
            found = None
            break
        earlier = _load(state, found.number - 1)
        if earlier is None:
            raise NotFoundError(
                f"the set of validators of height {height} is not kept any more",
                code="validator.set_gone",
                hint=f"The last {KEPT_SETS} sets are kept; ask a node that still has the blocks.",
            )
        found = earlier
    return ValidatorSet(0, 0, ()) if found is None else found


def _members(state: View, active: tuple[str, ...]) -> tuple[Member, ...]:
    least, members = load_parameter(state, "validator_min_stake"), []
    for account in active:
        bonded, record = load_stake(state, account).bonded, load_validator(state, account)
        if record is not None and bonded > 0 and bonded >= least:
            members.append(Member(account, record.bls_key, bonded))
    return tuple(members)


def _load(state: View, number: int) -> ValidatorSet | None:
    data = state.get(_set_entry(number))
    if data is None:
        return None
    stored = load_record(data)
    if stored["number"] != number:
        return None
    members = tuple(Member(item["account"], item["bls_key"], item["power"]) for item in stored["members"])
    return ValidatorSet(number, stored["height"], members)


def _set_entry(number: int) -> bytes:
    return b"validator-set/" + (number % KEPT_SETS).to_bytes(1)
