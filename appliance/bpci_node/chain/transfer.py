"""``asset.*`` and ``wallet.*``: transfers, minting with its justification, burning, spending of governance wallets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bpci_node.chain.assets import burn, credit, debit, find_asset, mint
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT, AMOUNT, ASSET, DIGEST, Form, Spec, choice
from bpci_node.chain.guardians import require_quorum
from bpci_node.chain.state import Overlay
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import RefusedError
from bpci_node.primitives.amounts import POLICIES, split
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.record import save_record

JUSTIFICATIONS = ("action", "history", "execution", "gold")
"""What a minting rests on: proof of action, of history, of execution, or of gold."""


@dataclass(frozen=True, slots=True)
class Justification:
    """Why something was minted."""

    kind: str
    """One of :data:`JUSTIFICATIONS`."""
    digest: bytes
    """Digest of the evidence, 32 bytes; it justifies one minting only."""


def _read_justification(fields: Fields, name: str) -> Justification:
    inner = Fields(fields.raw(name), ("kind", "digest"), what="a justification", code="format.body")
    return Justification(_JUSTIFICATION.read(inner, "kind"), inner.blob("digest", 32))


_JUSTIFICATION = choice(*JUSTIFICATIONS)
JUSTIFICATION = Form(
    f"{{kind: {_JUSTIFICATION.described}, digest: 32 bytes}}",
    _read_justification,
    lambda value: {"kind": value.kind, "digest": value.digest},
)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Body of ``asset.transfer``."""

    asset: Annotated[str, Spec(ASSET, "What is transferred.")]
    to: Annotated[str, Spec(ACCOUNT, "Who receives it; the account need not exist yet.")]
    amount: Annotated[int, Spec(AMOUNT, "How much, smallest unit.")]


@dataclass(frozen=True, slots=True)
class Burning:
    """Body of ``asset.burn``."""

    asset: Annotated[str, Spec(ASSET, "What is burned.")]
    amount: Annotated[int, Spec(AMOUNT, "How much, smallest unit.")]


@dataclass(frozen=True, slots=True)
class Minting:
    """Body of ``asset.mint``."""

    asset: Annotated[str, Spec(ASSET, "What is minted.")]
    to: Annotated[str, Spec(ACCOUNT, "Who receives it.")]
    amount: Annotated[int, Spec(AMOUNT, "How much, smallest unit.")]
    justification: Annotated[Justification, Spec(JUSTIFICATION, "What it rests on; each digest justifies one minting.")]


@dataclass(frozen=True, slots=True)
class Spending:
    """Body of ``wallet.spend``."""

    wallet: Annotated[str, Spec(choice(*WALLETS), "The governance wallet that pays.")]
    asset: Annotated[str, Spec(ASSET, "What it pays in.")]
    to: Annotated[str, Spec(ACCOUNT, "Who receives it.")]
    amount: Annotated[int, Spec(AMOUNT, "How much, smallest unit.")]
    reason: Annotated[bytes, Spec(DIGEST, "Digest of the decision behind it.")]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Body of ``wallet.distribute``."""

    wallet: Annotated[str, Spec(choice(*WALLETS), "The governance wallet that pays.")]
    asset: Annotated[str, Spec(ASSET, "What it pays in.")]
    amount: Annotated[int, Spec(AMOUNT, "How much in all, smallest unit.")]
    policy: Annotated[str, Spec(choice(*POLICIES), "How it is divided.")]


def transfer(state: Overlay, context: Context, body: Transfer) -> list[Event]:
    """Move an amount from the sender to another account.

    Raises:
        RefusedError: ``asset.unknown``, ``asset.balance``, or to the sender itself (``asset.self``).
    """
    find_asset(state, body.asset)
    if body.to == context.sender:
        raise RefusedError("an account can't pay itself", code="asset.self")
    debit(state, context.sender, body.asset, body.amount)
    credit(state, body.to, body.asset, body.amount)
    return [
        Event(
            "asset.transferred",
            {
                "asset": body.asset,
                "from": context.sender,
                "to": body.to,
                "amount": body.amount,
            },
        )
    ]


def burn_asset(state: Overlay, context: Context, body: Burning) -> list[Event]:
    """Burn an amount of the sender's.

    Raises:
        RefusedError: ``asset.unknown``, ``asset.balance``.
    """
    burn(state, body.asset, body.amount, context.sender)
    return [Event("asset.burned", {"asset": body.asset, "account": context.sender, "amount": body.amount})]


def mint_asset(state: Overlay, context: Context, body: Minting) -> list[Event]:
    """Mint an amount with its justification.

    Raises:
        AccessError: too few guardians signed (``access.quorum``).
        RefusedError: ``asset.unknown``, ``asset.cap``, or the justification was used before (``asset.justified``).
    """
    require_quorum(state, context)
    entry = b"mint/" + body.justification.digest
    if state.get(entry) is not None:
        raise RefusedError("this justification was used before", code="asset.justified")
    mint(state, body.asset, body.amount, body.to)
    record = {
        "v": 1,
        "kind": body.justification.kind,
        "asset": body.asset,
        "to": body.to,
        "amount": body.amount,
        "height": context.height,
    }
    state.put(entry, save_record(record))
    return [
        Event(
            "asset.minted",
            {
                "asset": body.asset,
                "to": body.to,
                "amount": body.amount,
                "justification": body.justification.kind,
                "digest": body.justification.digest,
            },
        )
    ]


def spend(state: Overlay, context: Context, body: Spending) -> list[Event]:
    """Pay out of a governance wallet.

    Raises:
        AccessError: too few guardians signed (``access.quorum``).
        RefusedError: ``asset.unknown``, ``asset.balance``, or to the wallet itself (``asset.self``).
    """
    require_quorum(state, context)
    find_asset(state, body.asset)
    if body.to == WALLETS[body.wallet]:
        raise RefusedError("an account can't pay itself", code="asset.self")
    debit(state, WALLETS[body.wallet], body.asset, body.amount)
    credit(state, body.to, body.asset, body.amount)
    return [
        Event(
            "wallet.spent",
            {
                "wallet": body.wallet,
                "asset": body.asset,
                "from": WALLETS[body.wallet],
                "to": body.to,
                "amount": body.amount,
                "reason": body.reason,
            },
        )
    ]


def distribute(state: Overlay, context: Context, body: Distribution) -> list[Event]:
    """Divide an amount of a governance wallet by a policy; the receivers are governance wallets.

    Raises:
        AccessError: too few guardians signed (``access.quorum``).
        RefusedError: ``asset.unknown``, ``asset.balance``.
    """
    require_quorum(state, context)
    find_asset(state, body.asset)
    debit(state, WALLETS[body.wallet], body.asset, body.amount)
    parts = split(body.amount, POLICIES[body.policy])
    for name, part in parts.items():
        credit(state, WALLETS[name], body.asset, part)
    return [
        Event(
            "wallet.distributed",
            {
                "wallet": body.wallet,
                "asset": body.asset,
                "amount": body.amount,
                "policy": body.policy,
            },
        )
    ]
