"""A ledger archive taken into a node's state directory while the node does not run: verified as from a stranger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bpci_node.chain.block import commands_root, decode_signed_block
from bpci_node.consensus.archive import ArchiveBlock, ArchiveChunk, Item, read_archive
from bpci_node.consensus.follower import Follower
from bpci_node.consensus.restoring import restore
from bpci_node.consensus.snapshot import Manifest, read_chunk, verify_manifest
from bpci_node.errors import FormatError, ProofError, UsageError
from bpci_node.network.file import NetworkFile
from bpci_node.runtime.following import STOP
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store


def import_archive(
    path: Path, state_dir: Path, network: NetworkFile, *, progress: Callable[[int], None]
) -> tuple[int, bytes]:
    """Take an archive's ledger into the store in ``state_dir``; return the height and the state root that it leads to.

    Blocks that are there already are skipped; an import that was interrupted goes on where it was.

    Args:
        network: whose ledger it must be.
        progress: called with the number of records taken.
    Raises:
        UsageError: the file can't be read (``usage.file``).
        FormatError: not an archive (``format.archive``).
        ProofError: of another ledger (``proof.ledger``), or what it holds does not hold (as the follower's and the
            restoration's).
        StorageError: a node runs, or the disk failed.
    """
    store = Store(state_dir)
    try:
        with path.open("rb") as file:
            return _take(read_archive(file), store, network, progress)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="usage.file") from error
    finally:
        store.close()


def resume(state_dir: Path) -> bool:
    """Let a node's following go on after a difference stopped it; tell whether it had stopped. The node must not run.

    Raises:
        StorageError: a node runs, or the disk failed.
    """
    store = Store(state_dir)
    try:
        had_stopped = bool(store.meta(STOP))
        if had_stopped:
            store.set_meta(STOP, b"")
        return had_stopped
    finally:
        store.close()


def _take(
    items: Iterator[Item], store: Store, network: NetworkFile, progress: Callable[[int], None]
) -> tuple[int, bytes]:
    genesis = next(items)
    if isinstance(genesis, Manifest | ArchiveBlock | ArchiveChunk):
        raise FormatError("an archive begins with the genesis", code="format.archive")
    if (genesis.hash, genesis.registry_key) != (network.genesis_hash, network.registry_key):
        raise ProofError("the archive is of another ledger than the network file's", code="proof.ledger")
    for key, value in (("ledger_id", network.ledger_id.encode()), ("genesis", genesis.encode())):
        kept = store.meta(key)
        if kept is not None and kept != value:
            raise ProofError("the state directory holds another ledger", code="proof.ledger")
        store.set_meta(key, value)
    blocks = SqliteBlockStore(store)
    follower = None if blocks.restoring() is not None else Follower(genesis, blocks)
    for number, item in enumerate(items, start=1):
        if isinstance(item, Manifest):
            block = verify_manifest(item, registry_key=genesis.registry_key, ledger_id=genesis.ledger_id).block
            fetch = _fetch(items, progress)
            if follower is None or block.height > follower.machine.height:
                restore(genesis, blocks, item, fetch)
                follower = Follower(genesis, blocks)
            else:
                _check_chunks(item, fetch)
        elif isinstance(item, ArchiveBlock) and follower is not None:
            _take_block(follower, blocks, item)
        elif not isinstance(item, ArchiveChunk) or follower is None:
            raise FormatError("a record of the archive is out of its place", code="format.archive")
        progress(number)
    if follower is None:
        raise FormatError("the archive holds nothing besides its genesis", code="format.archive")
    return follower.machine.height, follower.machine.state.root


def _take_block(follower: Follower, blocks: SqliteBlockStore, item: ArchiveBlock) -> None:
    """Take a block that follows; compare one that is here with it."""
    block = decode_signed_block(item.block).block
    if block.height > follower.machine.height:
        follower.take(item.block, item.commands)
        return
    ours = blocks.block(block.height)
    if ours is not None and ours != item.block:
        raise ProofError(f"block {block.height} of the archive is another one than ours", code="proof.fork")
    if commands_root(item.commands) != block.commands_root:
        raise ProofError(f"these are not the commands of block {block.height}", code="proof.commands")


def _check_chunks(manifest: Manifest, fetch: Callable[[int], bytes]) -> None:
    """Check that the chunks of a snapshot which is not needed are those that it names."""
    after = None
    for number, chunk in enumerate(manifest.chunks):
        entries = read_chunk(fetch(number), chunk, after=after)
        after = entries[-1][0] if entries else after


def _fetch(items: Iterator[Item], progress: Callable[[int], None]) -> Callable[[int], bytes]:
    """Return what gives the chunks that follow a manifest, skipping those that an interrupted import has stored."""
    at = 0

    def fetch(number: int) -> bytes:
        nonlocal at
        for item in items:
            if not isinstance(item, ArchiveChunk):
                break
            at += 1
            if at == number + 1:
                progress(at)
                return item.data
        raise FormatError("the archive has fewer chunks than its manifest names", code="format.archive")

    return fetch
