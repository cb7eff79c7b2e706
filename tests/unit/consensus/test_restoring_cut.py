"""A process that is killed anywhere in a restoration leaves one that goes on or begins anew, never half a ledger."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bpci_node.chain.genesis import Genesis
from bpci_node.consensus.follower import Follower
from bpci_node.consensus.restoring import restore
from bpci_node.consensus.snapshot import Chunk, Manifest, chunk_digest, chunks_of
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, pickle, signal, sys
from pathlib import Path
from bpci_node.chain.genesis import decode_genesis
from bpci_node.consensus.restoring import restore
from bpci_node.consensus.snapshot import decode_manifest
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store

home, step = Path(sys.argv[1]), int(sys.argv[2])
genesis, manifest, chunks = pickle.loads((home / "given").read_bytes())
done = 0

class Cut(SqliteBlockStore):
    def _cut(self):
        global done
        done += 1
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def begin_restoring(self, manifest):
        self._cut()
        super().begin_restoring(manifest)
        self._cut()

    def put_chunk(self, number, entries):
        super().put_chunk(number, entries)
        self._cut()

    def end_restoring(self, height, block, origin):
        self._cut()
        super().end_restoring(height, block, origin)
        self._cut()

store = Cut(Store(home / "state"))
restore(decode_genesis(genesis), store, decode_manifest(manifest), chunks.__getitem__)
"""


@pytest.fixture
def snapshot(town):
    sequencer = town.sequencer()
    for number in range(5, 9):
        sequencer.submit([town.command(number)], town.now_ms)
    state = sequencer.machine.state
    chunks = list(chunks_of(state.entries(), chunk_bytes=1_200))
    named = tuple(Chunk(chunk_digest(data), len(data)) for data in chunks)
    manifest = Manifest(sequencer.checkpoint() or b"", town.store.last_block() or b"", len(state), named)
    return town.genesis, manifest, chunks, state.root


def test_a_kill_at_any_step_of_a_restoration_is_survived(snapshot, tmp_path):
    import pickle

    genesis, manifest, chunks, root = snapshot
    steps = len(chunks) + 4
    killed = 0
    for step in range(1, steps + 1):
        home = tmp_path / str(step)
        home.mkdir()
        (home / "given").write_bytes(pickle.dumps((genesis.encode(), manifest.encode(), chunks)))
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(home), str(step)],
            env={"PYTHONPATH": str(ROOT / "appliance")},
            check=False,
        )
        killed += done.returncode == -signal.SIGKILL
        goes_on(home / "state", genesis, manifest, chunks, root)
    assert killed == steps


def goes_on(home: Path, genesis: Genesis, manifest: Manifest, chunks: list[bytes], root: bytes) -> None:
    store = Store(home)
    try:
        blocks = SqliteBlockStore(store)
        if blocks.restoring() is not None or blocks.last_block() is None:
            restore(genesis, blocks, manifest, chunks.__getitem__)
        assert Follower(genesis, blocks).machine.state.root == root
    finally:
        store.close()
