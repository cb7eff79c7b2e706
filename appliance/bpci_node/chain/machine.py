"""The state machine of the ledger, driven from outside through the calls of ABCI 2.0: check, finalize, commit, query.

Whoever drives it (:mod:`bpci_node.consensus`) brings height and time. The rules for nonces: a command must carry
exactly the account's next nonce; success raises it by one; a failure, in ``check`` or in a block, changes nothing,
the nonce included, so the same command may succeed later, until its nonce is taken or its height has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bpci_node.chain import registry, rotation
from bpci_node.chain.account import Account, account_id_of, create_account, load_account, store_account
from bpci_node.chain.block import commands_root
from bpci_node.chain.command import SignedCommand, decode_signed_command
from bpci_node.chain.context import Context, Event
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.registration import parse_registration
from bpci_node.chain.result import Result
from bpci_node.chain.state import Overlay, State
from bpci_node.errors import BpciError, NotFoundError, RefusedError
from bpci_node.primitives.keys import public_key_of, verify_signature

Parser = Callable[[dict[str, Any]], Any]
Handler = Callable[[Overlay, Context, Any], list[Event]]

KINDS: dict[str, tuple[Parser, Handler]] = {
    "account.rotate_key": (rotation.parse_rotation, rotation.rotate_key),
    "registry.register_node": (parse_registration, registry.register_node),
    "registry.retire_node": (registry.parse_retirement, registry.retire_node),
    "registry.update_node": (parse_registration, registry.update_node),
}
"""Every kind of command: who reads its body, who executes it."""


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a block does, computed and not yet committed."""

    height: int
    """Height of the block."""
    time_ms: int
    """Time of the block, Unix milliseconds."""
    commands_root: bytes
    """RFC 6962 root over its commands, 32 bytes."""
    state_root: bytes
    """Root of the state after it, 32 bytes."""
    results: tuple[Result, ...]
    """One per command, in order."""
    writes: dict[bytes, bytes | None]
    """State key to its new value; ``None`` deletes the key."""


class Draft:
    """The next block while commands are gathered for it: each one is tried on top of those that passed before it."""

    __slots__ = ("_genesis", "_height", "_ledger_id", "_overlay", "_time_ms")

    def __init__(self, genesis: Genesis, state: State, height: int, time_ms: int) -> None:
        self._genesis, self._ledger_id = genesis, genesis.ledger_id
        self._overlay, self._height, self._time_ms = Overlay(state), height, time_ms

    @property
    def writes(self) -> dict[bytes, bytes | None]:
        """What the commands that passed have written."""
        return dict(self._overlay.writes)

    def execute(self, signed: bytes) -> Result:
        """Return what becomes of one encoded command; when it fails, the draft is as it was."""
        command_id: bytes | None = None
        try:
            command = decode_signed_command(signed)
            command_id = command.command.digest
            events = self.run(command)
        except BpciError as error:
            return Result(command_id, self._height, error)
        return Result(command_id, self._height, None, tuple(events))

    def run(self, signed: SignedCommand) -> list[Event]:
        """Execute one command; when it fails, the draft is as it was.

        Raises:
            RefusedError: a rule refuses it (``chain.*``, or a code of its kind).
            FormatError: its body is not of its kind's form.
            ProofError: a signature does not hold (``proof.signature``).
        """
        command, signature = signed.command, signed.signatures[0]
        if command.ledger_id != self._ledger_id:
            raise RefusedError(
                "the command is meant for another ledger",
                code="chain.ledger",
                hint="Sign it again with the ledger_id of this network's file.",
            )
        if command.expires_height < self._height:
            raise RefusedError(
                f"the command expired at height {command.expires_height}; the next block is {self._height}",
                code="chain.expired",
                hint="Sign it again with a later expires_height.",
                height=self._height,
            )
        if command.kind not in KINDS:
            raise RefusedError("this ledger knows no such kind of command", code="chain.kind")
        parse, apply = KINDS[command.kind]
        key = public_key_of(signature.key_id)
        trial = Overlay(self._overlay)
        account = self._account(trial, signed, key)
        if command.nonce != account.nonce:
            raise RefusedError(
                f"the command carries nonce {command.nonce}; the account's next one is {account.nonce}",
                code="chain.nonce",
                hint="It was executed before, or another one comes first. Ask for the account's nonce and sign again.",
                expected=account.nonce,
            )
        body = parse(command.body)
        verify_signature(key, command.digest, signature.sig)
        store_account(trial, replace(account, nonce=account.nonce + 1))
        context = Context(
            genesis=self._genesis,
            ledger_id=self._ledger_id,
            height=self._height,
            time_ms=self._time_ms,
            sender=command.sender,
            key=key,
        )
        events = apply(trial, context, body)
        trial.flush_into(self._overlay)
        return events

    def _account(self, trial: Overlay, signed: SignedCommand, key: bytes) -> Account:
        """Return the sender's account, made by its own first command where there is none yet."""
        account = load_account(trial, signed.command.sender)
        if account is None:
            if account_id_of(key) != signed.command.sender:
                raise RefusedError(
                    "there is no such account, and this key doesn't make it",
                    code="chain.account",
                    hint="The first command of an account is signed by the key that its id is derived from.",
                )
            return create_account(trial, key, self._height)
        if account.key(signed.signatures[0].key_id) is None:
            raise RefusedError("the command is signed by a key that is not the account's", code="chain.key")
        return account


class Machine:
    """One ledger: its state after the last committed block, and the block in the making."""

    def __init__(
        self,
        genesis: Genesis,
        *,
        entries: Iterable[tuple[bytes, bytes]] = (),
        height: int = 0,
        time_ms: int | None = None,
    ) -> None:
        """Take up a ledger at its beginning, or where storage left it.

        Args:
            entries: the state after the last block, in any order.
            height: height of the last block, 0 before the first.
            time_ms: time of the last block; the genesis's before the first.
        """
        self._genesis = genesis
        self._state = State.of(entries)
        self._height = height
        self._time_ms = genesis.time_ms if time_ms is None else time_ms
        self._pending: tuple[BlockResult, State] | None = None

    @property
    def genesis(self) -> Genesis:
        """The ledger's genesis."""
        return self._genesis

    @property
    def state(self) -> State:
        """The state after the last committed block."""
        return self._state

    @property
    def height(self) -> int:
        """Height of the last committed block, 0 before the first."""
        return self._height

    @property
    def time_ms(self) -> int:
        """Time of the last committed block, Unix milliseconds; the genesis's before the first."""
        return self._time_ms

    def draft(self, time_ms: int) -> Draft:
        """Return an empty draft of the next block, at this time."""
        return Draft(self._genesis, self._state, self._height + 1, time_ms)

    def check(self, signed: bytes, time_ms: int) -> SignedCommand:
        """Return the command if it would succeed alone in the next block, at this time.

        Raises:
            BpciError: whatever :func:`decode_signed_command` and :meth:`Draft.run` refuse; nothing has changed then.
        """
        command = decode_signed_command(signed)
        self.draft(time_ms).run(command)
        return command

    def finalize(self, height: int, time_ms: int, commands: Sequence[bytes]) -> BlockResult:
        """Execute a block and return what it does; :meth:`commit` makes it so.

        A command that fails stays in the block with its error, and changes nothing. A second call without a commit
        replaces the first.

        Raises:
            RefusedError: not the next height (``chain.height``), or not later than the last block (``chain.time``).
        """
        if height != self._height + 1:
            raise RefusedError(f"the next block has height {self._height + 1}, not {height}", code="chain.height")
        if time_ms <= self._time_ms:
            raise RefusedError("a block is later than the one before it", code="chain.time")
        draft = self.draft(time_ms)
        results = tuple(draft.execute(signed) for signed in commands)
        writes = draft.writes
        state = self._state.with_writes(writes)
        block = BlockResult(height, time_ms, commands_root(commands), state.root, results, writes)
        self._pending = (block, state)
        return block

    def commit(self) -> None:
        """Make the finalized block the last one.

        Raises:
            RefusedError: no block was finalized (``chain.height``).
        """
        if self._pending is None:
            raise RefusedError("no block was finalized", code="chain.height")
        block, self._state = self._pending
        self._height, self._time_ms, self._pending = block.height, block.time_ms, None

    def query(self, path: str) -> Any:
        """Return what stands at ``path``, as values of the codec's subset.

        Paths: ``accounts/<account id>``, ``registry/nodes/<account id or did:key name>``, ``registry/nodes`` (the
        first hundred).

        Raises:
            NotFoundError: nothing stands there (``chain.account``, ``registry.unknown``, ``chain.path``).
            FormatError: the name in the path is none (``format.did``).
        """
        match path.split("/"):
            case ["accounts", name]:
                account = load_account(self._state, name) if name.isascii() else None
                if account is None:
                    raise NotFoundError("there is no such account", code="chain.account")
                return account.as_map()
            case ["registry", "nodes", name]:
                return registry.find_node(self._state, name).as_map()
            case ["registry", "nodes"]:
                return [record.as_map() for record in registry.list_nodes(self._state)]
            case _:
                raise NotFoundError("nothing can be asked there", code="chain.path")
