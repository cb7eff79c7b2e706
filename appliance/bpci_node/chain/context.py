"""What a handler knows besides the state and the body: which ledger, which block, who speaks."""

from __future__ import annotations

from dataclasses import dataclass

from bpci_node.chain.genesis import Genesis


@dataclass(frozen=True, slots=True)
class Context:
    """Where one command is executed, and for whom."""

    genesis: Genesis
    """The ledger's genesis."""
    ledger_id: str
    """The ledger's id, as commands name it."""
    height: int
    """Height of the block, 1 for the first."""
    time_ms: int
    """Time of the block, Unix milliseconds."""
    sender: str
    """The account that the command acts for."""
    key: bytes
    """The account's current Ed25519 key that signed it, 32 bytes."""
    version: int = 2
    """Version of the block, and of the rules: 1 or 2."""
    parent_root: bytes = bytes(32)
    """Root of the state after the block before, 32 bytes; the genesis hash in the first block."""
    approvers: frozenset[str] = frozenset()
    """Accounts whose keys signed it besides the sender; asked for membership only."""
    is_voted: bool = False
    """Whether a passed proposal does it, which stands in the place of the guardians' quorum."""

    @property
    def ledger_ms(self) -> int:
        """Block time since the ledger's genesis, milliseconds: what epochs and windows are reckoned in."""
        return self.time_ms - self.genesis.time_ms


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a command brought about, in the past tense, for those who follow the ledger."""

    kind: str
    """Such as ``registry.node_registered``."""
    fields: dict[str, str | int | bytes]
    """What it concerns."""
