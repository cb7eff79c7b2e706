"""A ledger taken up from a snapshot: chunk by chunk into the store, and believed only when the root is right.

A restoration that was interrupted goes on behind the last chunk that is stored, if it is of the same snapshot; else it
begins anew from an empty ledger. In between the store says that it holds no ledger (:meth:`RestorableStore.restoring`).
"""

from __future__ import annotations

from collections.abc import Callable

from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.consensus.opening import without_collection
from bpci_node.consensus.ports import RestorableStore
from bpci_node.consensus.snapshot import Manifest, read_chunk, verify_manifest
from bpci_node.errors import ProofError


def restore(
    genesis: Genesis,
    store: RestorableStore,
    manifest: Manifest,
    fetch: Callable[[int], bytes],
    *,
    least_height: int = 0,
) -> None:
    """Put what a snapshot holds in the place of what the store holds of this ledger.

    Nothing is touched before the manifest is checked. One chunk is held at a time, besides the state that is rooted at
    the end, as at every start.

    Args:
        fetch: returns the encoded chunk of a number, from anyone; its errors are passed on, and what is stored stays.
        least_height: height that the snapshot must exceed.
    Raises:
        FormatError: not a snapshot (``format.snapshot``, ``format.checkpoint``, ``format.block``).
        ProofError: not one of this ledger (as :func:`verify_manifest`); a chunk is another one than the manifest says,
            or all of them do not lead to the block's root (``proof.snapshot``), or it is not later than what is here
            (``proof.checkpoint``).
        StorageError: the disk or the database failed.
    """
    block = verify_manifest(manifest, registry_key=genesis.registry_key, ledger_id=genesis.ledger_id).block
    if block.height <= least_height:
        raise ProofError(f"the snapshot is of block {block.height}, and that is here", code="proof.checkpoint")
    encoded = manifest.encode()
    progress = store.restoring()
    if progress is None or progress[0] != encoded:
        store.begin_restoring(encoded)
        progress = (encoded, 0, None)
    _, done, after = progress
    for number in range(done, len(manifest.chunks)):
        entries = read_chunk(fetch(number), manifest.chunks[number], after=after)
        store.put_chunk(number, entries)
        after = entries[-1][0] if entries else after
    with without_collection():
        machine = Machine(
            genesis, entries=store.load_state(), height=block.height, time_ms=block.time_ms, version=block.version
        )
    if len(machine.state) != manifest.entries or machine.root_of_last() != block.state_root:
        store.begin_restoring(b"")
        raise ProofError(
            f"the snapshot does not hold the state after block {block.height}",
            code="proof.snapshot",
            hint="Fetch it from somebody else; who gave it lied, or its disk did.",
        )
    store.end_restoring(block.height, manifest.block, genesis.hash)
