"""Following a ledger: blocks executed again per second, snapshots written and restored, bytes on the disk per command.

The follower takes blocks of 100 signed transfers from the same process, without HTTP. A snapshot of a million keys is
written to files and restored into an empty store from them, its root checked.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.ledger import BIRTH_MS, REGISTRY, balances, begin, bytes_of, genesis, transfers
from benchmarks.run import machine
from bpci_node.chain.genesis import Genesis
from bpci_node.consensus.embedded import Sequencer
from bpci_node.consensus.follower import Follower
from bpci_node.consensus.restoring import restore
from bpci_node.consensus.snapshot import Chunk, Manifest, chunk_digest, chunks_of, decode_manifest
from bpci_node.primitives.keys import LocalSigner
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.snapshots import SnapshotFiles
from bpci_node.store.store import Store

BLOCK = 100
SENDERS = 2_000
SIZES = (100_000, 1_000_000)


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    rows: list[dict[str, Any]] = []
    where = machine()

    def row(name: str, value: float, unit: str, target: str = "-") -> None:
        rows.append({"name": name, "value": round(value, 3), "unit": unit, "target": target, "machine": where})

    senders = [LocalSigner(number.to_bytes(32, "big")) for number in range(1, SENDERS + 1)]
    first = genesis(senders)
    signed = transfers(first.ledger_id, senders, 0)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        source, target = Store(Path(one)), Store(Path(two))
        blocks = SqliteBlockStore(source)
        sequencer = Sequencer(first, REGISTRY, blocks)
        sequencer.submit(signed[:BLOCK], BIRTH_MS + 1)
        before = bytes_of(Path(one))
        for number, at in enumerate(range(BLOCK, SENDERS, BLOCK)):
            sequencer.submit(signed[at : at + BLOCK], BIRTH_MS + 2 + number)
        pages = blocks.block_range(1, most_blocks=SENDERS, most_bytes=1 << 30)
        follower = Follower(first, SqliteBlockStore(target))
        started = time.perf_counter()
        for data, commands in pages:
            follower.take(data, commands)
        seconds = time.perf_counter() - started
        row("ledger sync: followed, blocks of 100 transfers", len(pages) / seconds, "blocks/s")
        row("ledger sync: followed, commands", BLOCK * len(pages) / seconds, "commands/s")
        source.close()
        target.close()
        row("ledger sync: disk per command, of a follower", bytes_of(Path(two)) / SENDERS, "bytes")
        row("ledger sync: disk per command, log folded", (bytes_of(Path(one)) - before) / (SENDERS - BLOCK), "bytes")
    for size in SIZES:
        _snapshot(first, size, row)
    return rows


def _snapshot(first: Genesis, size: int, row: Any) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        store = Store(Path(one))
        begin(SqliteBlockStore(store), first, balances(size))
        sequencer = Sequencer(first, REGISTRY, SqliteBlockStore(store))
        checkpoint, block = sequencer.checkpoint() or b"", store.query("SELECT block FROM blocks")[0][0]
        state, chunks = sequencer.machine.state, []
        files = SnapshotFiles(Path(one) / "snapshots")

        def noted() -> Any:
            for data in chunks_of(state.entries()):
                chunks.append(Chunk(chunk_digest(data), len(data)))
                yield data

        started = time.perf_counter()
        files.write(1, noted(), lambda: Manifest(checkpoint, block, len(state), tuple(chunks)).encode())
        row(f"ledger sync: snapshot of {size:,} keys written", time.perf_counter() - started, "s")
        manifest = decode_manifest(files.manifest(1))
        row(f"ledger sync: snapshot of {size:,} keys", manifest.size_bytes / size, "bytes/key")
        store.close()
        del sequencer
        target = Store(Path(two))
        started = time.perf_counter()
        restore(first, SqliteBlockStore(target), manifest, lambda number: files.chunk(1, number))
        Follower(first, SqliteBlockStore(target))
        row(f"ledger sync: {size:,} keys restored, root checked", time.perf_counter() - started, "s", "<= 60")
        target.close()


if __name__ == "__main__":
    for item in run():
        print(f"{item['name']:<60} {item['value']:>12,.3f} {item['unit']:<10} {item['target']}")
