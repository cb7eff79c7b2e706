"""Taking up a ledger where storage left it, after checking that what is stored is what was agreed on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from bpci_node.chain.block import SignedBlock, decode_signed_block, verify_block
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.consensus.ports import BlockStore
from bpci_node.consensus.signatures import check_ahead
from bpci_node.errors import BpciError, StorageError

_HINT = "Restore the data directory from a backup, or fetch the ledger again from the network."


def open_machine(genesis: Genesis, store: BlockStore) -> tuple[Machine, SignedBlock | None]:
    """Return the machine as it stands after the last stored block, and that block.

    Raises:
        StorageError: the stored ledger is another one (``storage.ledger``), its last block is damaged or not signed by
            this ledger's sequencer (``storage.block``), or the stored state's root is not the one in that block
            (``storage.state_root``).
    """
    data = store.last_block()
    if data is None:
        machine = Machine(genesis, entries=store.load_state(), check_ahead=check_ahead)
        if len(machine.state):
            raise StorageError(
                "the stored state has entries, but there is no block", code="storage.state_root", hint=_HINT
            )
        return machine, None
    last = _read(data, genesis)
    if _origin(store, genesis) != genesis.hash:
        raise StorageError(
            "the stored ledger began with another genesis",
            code="storage.ledger",
            hint="This data directory belongs to another network. Choose another one, or correct the configuration.",
        )
    block = last.block
    with without_collection():
        machine = Machine(
            genesis,
            entries=store.load_state(),
            height=block.height,
            time_ms=block.time_ms,
            version=block.version,
            check_ahead=check_ahead,
        )
    root = machine.root_of_last()
    if root != block.state_root:
        raise StorageError(
            f"the stored state is not the one that block {block.height} led to: its root is "
            f"{root.hex()}, the block says {block.state_root.hex()}",
            code="storage.state_root",
            hint=_HINT,
            height=block.height,
        )
    return machine, last


@contextmanager
def without_collection() -> Iterator[None]:
    """Keep the garbage collector from looking at a million new objects again and again; none of them is garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _origin(store: BlockStore, genesis: Genesis) -> bytes:
    """Return the genesis hash with which the stored ledger began: its first block's parent, as long as that is kept."""
    first_data = store.block(1)
    if first_data is not None:
        return _read(first_data, genesis).block.parent
    origin = store.origin()
    if origin is None:
        raise StorageError("the first block is missing", code="storage.block", hint=_HINT)
    return origin


def _read(data: bytes, genesis: Genesis) -> SignedBlock:
    try:
        signed = decode_signed_block(data)
        verify_block(signed)
    except BpciError as error:
        raise StorageError(f"a stored block is damaged: {error.message}", code="storage.block", hint=_HINT) from error
    if signed.block.proposer != genesis.registry_key:
        raise StorageError(
            "a stored block is signed by another sequencer than this ledger's", code="storage.ledger", hint=_HINT
        )
    return signed
