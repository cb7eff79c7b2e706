"""The next block while commands are gathered for it: each one is tried on top of those that passed before it.

The rules for nonces: a command must carry exactly the account's next nonce; success raises it by one; a failure changes
nothing, the nonce and the fee included, so the same command may succeed later, until its nonce is taken or its height
has passed.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import NamedTuple

from bpci_node.chain.account import (
    HYBRID,
    Account,
    AccountKey,
    account_id_of,
    create_account,
    load_account,
    load_key_use,
    store_account,
)
from bpci_node.chain.assets import credit, debit
from bpci_node.chain.catalog import KINDS
from bpci_node.chain.closing import close_block
from bpci_node.chain.command import Signature, SignedCommand
from bpci_node.chain.context import Context, Event
from bpci_node.chain.deactivation import require_permitted
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.kinds import Kind
from bpci_node.chain.parameters import NATIVE
from bpci_node.chain.result import Result
from bpci_node.chain.state import Overlay, State
from bpci_node.chain.wallets import TREASURY, WALLETS
from bpci_node.errors import BpciError, RefusedError
from bpci_node.primitives.keys import public_key_of, verify_signature
from bpci_node.primitives.mldsa import verify_ml_dsa


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the ledger a block stands."""

    genesis: Genesis
    """The ledger's genesis."""
    ledger_id: str
    """The ledger's id."""
    version: int
    """Version of the block, and of the rules: 1 or 2."""
    height: int
    """Height of the block."""
    time_ms: int
    """Time of the block, Unix milliseconds."""
    parent_root: bytes
    """Root of the state after the block before, 32 bytes; the genesis hash in the first block."""


class Held(NamedTuple):
    """An Ed25519 signature that was found to hold, whatever the state says of its key."""

    public_key: bytes
    """32 bytes."""
    message: bytes
    """What was signed."""
    signature: bytes
    """64 bytes."""


class Draft:
    """A block in the making."""

    __slots__ = ("_has_passed", "_held", "_overlay", "_place")

    def __init__(self, place: Place, state: State, *, first_writes: dict[bytes, bytes | None] | None = None) -> None:
        """Begin a block.

        Args:
            first_writes: what the first block writes before any command: the genesis's part of the state.
        """
        self._place, self._overlay = place, Overlay(state)
        self._overlay.writes.update(first_writes or {})
        self._has_passed = False
        self._held: Container[Held] = ()

    @property
    def place(self) -> Place:
        """Where the block stands."""
        return self._place

    @property
    def writes(self) -> dict[bytes, bytes | None]:
        """What the commands that passed have written, and what follows from it at the block's end."""
        closed = Overlay(self._overlay)
        if self._has_passed and self._place.version >= 2:
            place = self._place
            close_block(
                closed,
                self._overlay.writes,
                genesis=place.genesis,
                height=place.height,
                time_ms=place.time_ms,
                parent_root=place.parent_root,
            )
        return self._overlay.writes | closed.writes

    def believe(self, held: Container[Held]) -> None:
        """Check none of these signatures again: the caller has found that they hold."""
        self._held = held

    def execute(self, command: SignedCommand | BpciError) -> Result:
        """Return what becomes of one command, or of bytes that are none; when it fails, the draft is as it was."""
        if isinstance(command, BpciError):
            return Result(None, self._place.height, command)
        try:
            events = self.run(command)
        except BpciError as error:
            return Result(command.digest, self._place.height, error)
        return Result(command.digest, self._place.height, None, tuple(events))

    def run(self, signed: SignedCommand) -> list[Event]:
        """Execute one command; when it fails, the draft is as it was.

        Raises:
            RefusedError: a rule refuses it (``chain.*``, or a code of its kind).
            FormatError: its body is not of its kind's form.
            ProofError: a signature does not hold (``proof.signature``).
        """
        command, place = signed.command, self._place
        kind = self._kind(signed)
        body = kind.read(command.body)
        trial = Overlay(self._overlay)
        require_permitted(trial, place.genesis, height=place.height, kind=kind.name, sender=command.sender)
        account, key = self._speaker(trial, signed)
        if command.nonce != account.nonce:
            raise RefusedError(
                f"the command carries nonce {command.nonce}; the account's next one is {account.nonce}",
                code="chain.nonce",
                hint="It was executed before, or another one comes first. Ask for the account's nonce and sign again.",
                expected=account.nonce,
            )
        if place.version >= 2:
            _charge(trial, kind, command.sender, command.fee)
        _verify(signed.signatures[0], key, signed.digest, self._held)
        approvers = frozenset(_approver(trial, item, signed.digest) for item in signed.signatures[1:])
        store_account(trial, replace(account, nonce=account.nonce + 1))
        context = Context(
            genesis=place.genesis,
            ledger_id=place.ledger_id,
            height=place.height,
            time_ms=place.time_ms,
            sender=command.sender,
            key=key.public_key,
            version=place.version,
            parent_root=place.parent_root,
            approvers=approvers,
        )
        events = kind.apply(trial, context, body)
        trial.flush_into(self._overlay)
        self._has_passed = True
        return events

    def _kind(self, signed: SignedCommand) -> Kind:
        """Return the command's kind, after what needs no state was checked."""
        command, place = signed.command, self._place
        if command.ledger_id != place.ledger_id:
            raise RefusedError(
                "the command is meant for another ledger",
                code="chain.ledger",
                hint="Sign it again with the ledger_id of this network's file.",
            )
        if command.expires_height < place.height:
            raise RefusedError(
                f"the command expired at height {command.expires_height}; the next block is {place.height}",
                code="chain.expired",
                hint="Sign it again with a later expires_height.",
                height=place.height,
            )
        kind = KINDS.get(command.kind)
        if kind is None or kind.since > place.version:
            raise RefusedError("this ledger knows no such kind of command", code="chain.kind")
        if len(signed.signatures) > 1 and not kind.takes_approvals:
            raise RefusedError("a command of this kind carries its sender's signature alone", code="chain.signatures")
        return kind

    def _speaker(self, trial: Overlay, signed: SignedCommand) -> tuple[Account, AccountKey]:
        """Return the sender's account, made by its own first command where there is none yet, and the signing key."""
        key_id = signed.signatures[0].key_id
        account = load_account(trial, signed.command.sender)
        if account is None:
            public_key = public_key_of(key_id)
            if account_id_of(public_key) != signed.command.sender:
                raise RefusedError(
                    "there is no such account, and this key doesn't make it",
                    code="chain.account",
                    hint="The first command of an account is signed by the key that its id is derived from.",
                )
            account = create_account(trial, public_key, self._place.height)
        key = account.key(key_id)
        if key is None:
            raise RefusedError("the command is signed by a key that is not the account's", code="chain.key")
        return account, key


def _charge(trial: Overlay, kind: Kind, sender: str, fee: int) -> None:
    """Move the fee from the sender to the treasury."""
    least = 0 if kind.is_free else load_parameter(trial, "fee_min")
    if fee < least:
        raise RefusedError(
            f"a command of this kind offers a fee of at least {least}", code="chain.fee", least=str(least)
        )
    if fee:
        debit(trial, sender, NATIVE, fee)
        credit(trial, WALLETS[TREASURY], NATIVE, fee)


def _verify(signature: Signature, key: AccountKey, digest: bytes, held: Container[Held] = ()) -> None:
    """Check one signature in the form that its key calls for."""
    if signature.alg != key.alg:
        raise RefusedError(
            f"this key signs with {key.alg}",
            code="chain.alg",
            hint="A key with an ML-DSA-44 companion signs with both, any other with Ed25519 alone.",
        )
    if Held(key.public_key, digest, signature.sig[:64]) not in held:
        verify_signature(key.public_key, digest, signature.sig[:64])
    if key.alg == HYBRID and key.ml_dsa_key is not None:
        verify_ml_dsa(key.ml_dsa_key, digest, signature.sig[64:])


def _approver(state: Overlay, signature: Signature, digest: bytes) -> str:
    """Return the account whose key signed besides the sender."""
    public_key = public_key_of(signature.key_id)
    use = load_key_use(state, public_key)
    if use is None:
        key = AccountKey(public_key, 0, signature.key_id)
        name = account_id_of(public_key)
        if load_account(state, name) is not None:
            raise RefusedError("an approval is signed by a key that is not the account's", code="chain.key")
    else:
        name = use.account
        account = load_account(state, name)
        found = None if account is None else account.key(signature.key_id)
        if found is None:
            raise RefusedError("an approval is signed by a key that was revoked", code="account.key_revoked")
        key = found
    _verify(signature, key, digest)
    return name
