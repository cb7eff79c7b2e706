"""The state machine of the ledger, driven from outside through the calls of ABCI 2.0: check, finalize, commit, query.

Whoever drives it (:mod:`bpci_node.consensus`) brings height and time. A block of version 1 follows the rules of 0.1
and carries that version's state root; a ledger passes from version 1 to 2 with its first block of version 2, and never
back.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.chain import registry
from bpci_node.chain.account import load_account
from bpci_node.chain.beginning import first_writes
from bpci_node.chain.block import BLOCK_VERSION, commands_root
from bpci_node.chain.command import SignedCommand, decode_signed_command
from bpci_node.chain.draft import Draft, Held, Place
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.node_index import index_writes
from bpci_node.chain.result import Result
from bpci_node.chain.state import State, root_v1
from bpci_node.errors import BpciError, NotFoundError, RefusedError

CheckAhead = Callable[[Sequence[SignedCommand]], Container[Held]]
"""Finds out which of the signatures of a block's commands hold, before any of them is executed."""


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a block does, computed and not yet committed."""

    version: int
    """Version of the block, 1 or 2."""
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


class Machine:
    """One ledger: its state after the last committed block, and the block in the making."""

    def __init__(
        self,
        genesis: Genesis,
        *,
        entries: Iterable[tuple[bytes, bytes]] = (),
        height: int = 0,
        time_ms: int | None = None,
        version: int | None = None,
        check_ahead: CheckAhead | None = None,
    ) -> None:
        """Take up a ledger at its beginning, or where storage left it.

        Args:
            entries: the state after the last block, in any order.
            height: height of the last block, 0 before the first.
            time_ms: time of the last block; the genesis's before the first.
            version: version of the last block; the genesis's before the first.
            check_ahead: whom to ask about a block's signatures first; each is checked in its turn if nobody is.
        """
        self._genesis, self._ledger_id = genesis, genesis.ledger_id
        self._state = State.of(entries)
        self._height = height
        self._time_ms = genesis.time_ms if time_ms is None else time_ms
        self._version = genesis.version if version is None else version
        self._pending: tuple[BlockResult, State] | None = None
        self._check_ahead = check_ahead

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

    @property
    def version(self) -> int:
        """Version of the last committed block, the genesis's before the first: the next is at least that."""
        return self._version

    @property
    def ledger_id(self) -> str:
        """The ledger's id."""
        return self._ledger_id

    def root_of_last(self) -> bytes:
        """Return the state root that the last committed block must carry, 32 bytes."""
        return self._root(self._state, self._version)

    def draft(self, time_ms: int, *, version: int = BLOCK_VERSION) -> Draft:
        """Return an empty draft of the next block, at this time.

        Raises:
            RefusedError: a version that this program does not know, or lower than the last block's (``chain.version``).
        """
        if not self._version <= version <= BLOCK_VERSION:
            raise RefusedError(
                f"a block of version {version} can't follow one of version {self._version}", code="chain.version"
            )
        first, parent_root = None, self._state.root
        if self._height == 0:
            first, parent_root = first_writes(self._genesis), self._genesis.hash
        elif version > self._version:
            first = index_writes(self._state)
        place = Place(self._genesis, self._ledger_id, version, self._height + 1, time_ms, parent_root)
        return Draft(place, self._state, first_writes=first)

    def check(self, signed: bytes, time_ms: int) -> SignedCommand:
        """Return the command if it would succeed alone in the next block, at this time.

        Raises:
            BpciError: whatever :func:`decode_signed_command` and :meth:`Draft.run` refuse; nothing has changed then.
        """
        command = decode_signed_command(signed)
        self.draft(time_ms).run(command)
        return command

    def propose(self, time_ms: int, commands: Sequence[bytes]) -> tuple[BlockResult, list[bytes], list[Result]]:
        """Make a block of those commands that succeed one after the other; :meth:`commit` makes it so.

        Returns:
            what the block does, its commands, and what became of every command that was given, in order.
        Raises:
            RefusedError: not later than the last block (``chain.time``).
        """
        self._require_later(time_ms)
        draft = self.draft(time_ms)
        results = self._execute(draft, commands)
        passed = [signed for signed, result in zip(commands, results, strict=True) if result.error is None]
        block = self._finish(draft, passed, tuple(result for result in results if result.error is None))
        return block, passed, results

    def finalize(
        self, height: int, time_ms: int, commands: Sequence[bytes], *, version: int = BLOCK_VERSION
    ) -> BlockResult:
        """Execute a block and return what it does; :meth:`commit` makes it so.

        A command that fails stays in the block with its error, and changes nothing. A second call without a commit
        replaces the first.

        Raises:
            RefusedError: not the next height (``chain.height``), not later than the last block (``chain.time``), or a
                version that can't follow (``chain.version``).
        """
        if height != self._height + 1:
            raise RefusedError(f"the next block has height {self._height + 1}, not {height}", code="chain.height")
        self._require_later(time_ms)
        draft = self.draft(time_ms, version=version)
        return self._finish(draft, commands, tuple(self._execute(draft, commands)))

    def _execute(self, draft: Draft, commands: Sequence[bytes]) -> list[Result]:
        decoded = [_decode(signed) for signed in commands]
        if self._check_ahead is not None:
            draft.believe(self._check_ahead([item for item in decoded if isinstance(item, SignedCommand)]))
        return [draft.execute(item) for item in decoded]

    def _finish(self, draft: Draft, commands: Sequence[bytes], results: tuple[Result, ...]) -> BlockResult:
        place, writes = draft.place, draft.writes
        state = self._state.with_writes(writes)
        root = self._root(state, place.version)
        block = BlockResult(place.version, place.height, place.time_ms, commands_root(commands), root, results, writes)
        self._pending = (block, state)
        return block

    def _require_later(self, time_ms: int) -> None:
        if time_ms <= self._time_ms:
            raise RefusedError("a block is later than the one before it", code="chain.time")

    @staticmethod
    def _root(state: State, version: int) -> bytes:
        return root_v1(state.entries()) if version == 1 else state.root

    def commit(self) -> None:
        """Make the finalized block the last one.

        Raises:
            RefusedError: no block was finalized (``chain.height``).
        """
        if self._pending is None:
            raise RefusedError("no block was finalized", code="chain.height")
        block, self._state = self._pending
        self._height, self._time_ms, self._version = block.height, block.time_ms, block.version
        self._pending = None

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


def _decode(signed: bytes) -> SignedCommand | BpciError:
    try:
        return decode_signed_command(signed)
    except BpciError as error:
        return error
