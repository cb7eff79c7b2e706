"""The ledger: commands applied, blocks made, the state's tree with a million keys, a restart with it.

Commands are signed transfers with a fee, each of another account to another one, in blocks of 1,000: decoded, checked,
executed, rooted, and synced to the disk of the temporary directory, with the collector set as a node sets it. Signing
them is not part of the figures.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.run import machine
from bpci_node.chain.account import account_id_of
from bpci_node.chain.assets import balance_entry
from bpci_node.chain.beginning import first_writes
from bpci_node.chain.block import Block, commands_root, sign_block
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.parameters import Allocation, AssetRule, Parameters
from bpci_node.chain.state import State
from bpci_node.consensus.embedded import Sequencer
from bpci_node.primitives.codec import encode
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.state_proof import verify_state
from bpci_node.runtime.process import COLLECTION
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store

KEYS = 1_000_000
SENDERS = 4_000
BLOCK = 1_000
BLOCKS = 8
BIRTH_MS = 1_767_225_600_000
REGISTRY = LocalSigner(b"\x01" * 32)


def genesis(senders: list[LocalSigner]) -> Genesis:
    """Return a genesis in which every sender has something."""
    allocations = tuple(Allocation(account_id_of(item.public_key), "BPI", 10**6, None) for item in senders)
    parameters = Parameters(
        assets=(AssetRule("BPI", 8, 10**18),), allocations=allocations, guardians=(REGISTRY.public_key,), threshold=1
    )
    return Genesis("bench", REGISTRY.public_key, BIRTH_MS, parameters)


def transfers(ledger_id: str, senders: list[LocalSigner], nonce: int) -> list[bytes]:
    """Return one transfer of every sender."""
    names = [account_id_of(item.public_key) for item in senders]
    return [
        sign_command(
            signer,
            Command(
                ledger_id=ledger_id,
                sender=names[number],
                nonce=nonce,
                expires_height=10**6,
                kind="asset.transfer",
                body={"asset": "BPI", "to": names[number * 7 % len(names) - 1], "amount": 1 + number},
                fee=10,
            ),
        ).encode()
        for number, signer in enumerate(senders)
    ]


def balances(count: int) -> list[tuple[bytes, bytes]]:
    """Return entries such as a ledger with ``count`` holders has."""
    names = ("bpa1" + os.urandom(16).hex().translate(_LETTERS) for _ in range(count))
    return [(balance_entry(name, "BPI"), encode({"v": 1, "amount": 10**9 + n})) for n, name in enumerate(names)]


_LETTERS = str.maketrans("0189", "wxyz")


def begin(blocks: SqliteBlockStore, first: Genesis, entries: list[tuple[bytes, bytes]]) -> None:
    """Store a first block that brings ``entries`` along, as if a ledger had grown to that size."""
    writes = first_writes(first) | dict(entries)
    root = State.of().with_writes(writes).root
    block = Block(1, BIRTH_MS + 1, first.hash, commands_root([]), root, REGISTRY.public_key)
    blocks.append_block(1, sign_block(REGISTRY, block).encode(), [], [], writes)


def bytes_of(directory: Path) -> int:
    """Return what the files of a store take."""
    return sum(item.stat().st_size for item in directory.iterdir())


def resident() -> int:
    """Return this process's resident memory, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    gc.set_threshold(*COLLECTION)
    rows: list[dict[str, Any]] = []
    where = machine()

    def row(name: str, value: float, unit: str, target: str = "-") -> None:
        rows.append({"name": name, "value": round(value, 3), "unit": unit, "target": target, "machine": where})

    senders = [LocalSigner(number.to_bytes(32, "big")) for number in range(1, SENDERS + 1)]
    first = genesis(senders)
    batches = [
        whole[at : at + BLOCK]
        for whole in (transfers(first.ledger_id, senders, nonce) for nonce in range(BLOCKS * BLOCK // SENDERS))
        for at in range(0, SENDERS, BLOCK)
    ]
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        begin(SqliteBlockStore(store), first, balances(KEYS))
        store.close()
        started = time.perf_counter()
        store = Store(Path(directory))
        sequencer = Sequencer(first, REGISTRY, SqliteBlockStore(store))
        row("ledger: restart with 1,000,000 keys, root checked", time.perf_counter() - started, "s", "<= 5")
        size, seconds, used = bytes_of(Path(directory)), [], []
        for number, batch in enumerate(batches):
            started, busy = time.perf_counter(), time.process_time()
            results = sequencer.submit(batch, BIRTH_MS + 2 + number)
            seconds.append(time.perf_counter() - started)
            used.append(time.process_time() - busy)
            if any(result.error for result in results):
                raise AssertionError("a transfer was refused")
        half = len(batches) // 2
        for what, first_block in (("first", 0), ("later", half)):
            blocks, busy_seconds = seconds[first_block:][:half], used[first_block:][:half]
            name = f"accounts' {what} transfers on 1,000,000 keys"
            row(f"ledger: block of 1,000, {name}, median", 1e3 * median(blocks), "ms", "<= 350")
            row(f"ledger: block of 1,000, {name}, best", 1e3 * min(blocks), "ms")
            row(f"ledger: applied, {name}", BLOCK * half / sum(blocks), "commands/s", ">= 3,000")
            row(f"ledger: processor time, {name}", 1e6 * sum(busy_seconds) / BLOCK / half, "us")
        del sequencer
        store.close()
        row("ledger: disk per transfer", (bytes_of(Path(directory)) - size) / BLOCK / len(batches), "bytes")
    entries = balances(KEYS)
    before = resident()
    state = State.of(entries)
    row("ledger: memory per key besides key and value", (resident() - before) / KEYS, "bytes")
    wanted = [key for key, _ in entries[:1000]]
    started = time.perf_counter()
    proofs = [state.prove(key) for key in wanted]
    row("ledger: state proof of one of 1,000,000 keys, made", 1e3 * (time.perf_counter() - started), "us")
    row("ledger: state proof, encoded, mean", sum(len(proof.encode()) for proof in proofs) / len(proofs), "bytes")
    started = time.perf_counter()
    for (key, value), proof in zip(entries, proofs, strict=False):
        verify_state(state.root, key, value, proof)
    row("ledger: state proof, checked", 1e3 * (time.perf_counter() - started), "us")
    return rows


if __name__ == "__main__":
    for item in run():
        print(f"{item['name']:<68} {item['value']:>12,.3f} {item['unit']:<10} {item['target']}")
