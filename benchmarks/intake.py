"""Entries into a node in one process, without HTTP: what the node itself can take, and what that is made of.

Input: transactions of the shipped data's shape (their fields, data and access lists), each signed anew with a key of
its own, so that all are distinct and every signature is a real one; keys of buckets are as in the data, not spread.
Accepted means: signature checked, judged, inserted, written and synced to the disk of the temporary directory, receipt
signed. Batches have 500 entries; four are under way at a time. Processor time is that of the node's process and of the
process that recovers senders, per entry. The primitives are measured in the same run, one after another on one core, to
show how much of the time they are.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rlp
from coincurve import PrivateKey, PublicKey

from benchmarks.run import machine
from bpci_node.cli.devnet_files import write_files
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.receipt import START, next_running_hash
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import from_rpc_json
from bpci_node.primitives.hashing import keccak256, sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.config import load
from bpci_node.runtime.intake import clock_ms
from bpci_node.runtime.node import Node
from bpci_node.runtime.recovery_worker import decode
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.store import Store

ROOT = Path(__file__).resolve().parent.parent
TARGET = "eip155:1"
ENTRIES = 20_000
BATCH = 500
UNDER_WAY = 4
PORT = 18_746
_TYPED = (1, 2, 3, 4)


def real_transactions() -> list[bytes]:
    """Return the repository's raw transactions."""
    return [
        from_rpc_json(tx)
        for path in sorted((ROOT / "data" / "mainnet").glob("*.json.gz"))
        for tx in json.loads(gzip.decompress(path.read_bytes()))["transactions"]
    ]


def shaped_transactions(count: int, *, first_key: int = 1) -> list[bytes]:
    """Return ``count`` distinct transactions of the shape of the shipped ones, each signed with a key of its own.

    Args:
        first_key: the first private key, as a number; the others follow it.
    """
    shapes = real_transactions()
    return [_sign_anew(shapes[number % len(shapes)], first_key + number) for number in range(count)]


def _sign_anew(raw: bytes, number: int) -> bytes:
    envelope = raw[:1] if raw[0] in _TYPED else b""
    fields = rlp.decode(raw[len(envelope) :])[:-3]
    message = fields if envelope else [*fields, b"\x01", b"", b""]
    key = PrivateKey(number.to_bytes(32, "big"))
    signature = key.sign_recoverable(keccak256(envelope + rlp.encode(message)), hasher=None)
    v = signature[64] if envelope else 37 + signature[64]
    signed = [v, int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")]
    return envelope + rlp.encode([*fields, *(item.to_bytes((item.bit_length() + 7) // 8, "big") for item in signed)])


def accept(raws: list[bytes]) -> dict[str, float]:
    """Let a node accept everything; return entries per second, and processor seconds per entry of both processes."""
    with tempfile.TemporaryDirectory() as directory:
        write_files(Path(directory), PORT)
        return asyncio.run(_accept(Path(directory), raws))


def children_of(pid: int) -> list[int]:
    """Return the children that a process has now."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def processor_seconds(pids: list[int]) -> float:
    """Return the processor time that these processes have used so far."""
    ticks = 0
    for pid in pids:
        ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def _accept(directory: Path, raws: list[bytes]) -> dict[str, float]:
    node = Node(load(directory / "node.toml"))
    parts = iter([raws[start : start + BATCH] for start in range(0, len(raws), BATCH)])

    async def sender() -> int:
        return sum([sum(isinstance(item, bytes) for item in await node.intake.accept(TARGET, part)) for part in parts])

    try:
        await node.intake.recovery.decode([b""] * 64)  # so that the worker has started
        started, own, theirs = time.perf_counter(), time.process_time(), processor_seconds(children_of(os.getpid()))
        accepted = sum(await asyncio.gather(*(sender() for _ in range(UNDER_WAY))))
        seconds, own = time.perf_counter() - started, time.process_time() - own
        theirs = processor_seconds(children_of(os.getpid())) - theirs
    finally:
        await node.close()
    if accepted != len(raws):
        raise AssertionError(f"{len(raws) - accepted} entries were refused")
    return {"rate": accepted / seconds, "own": own / accepted, "workers": theirs / accepted}


def insert(raws: list[bytes]) -> float:
    """Return entries per second with senders already proved: judged, inserted, written and synced, no receipts."""
    decoded = [decode(raw) for raw in raws]
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory) / "state")
        guard = ArrivalGuard(Path(directory) / "arrivals")
        pool = TargetPool(TargetConfig(TARGET, 45_000_000, 10_000_000), PoolLimits(), guard=guard)
        started = time.perf_counter()
        jobs = [
            store.writer.submit(
                lambda connection, part=decoded[start : start + BATCH]: pool.accept(connection, part, 1)
            )
            for start in range(0, len(decoded), BATCH)
        ]
        for job in jobs:
            job.result()
        seconds = time.perf_counter() - started
        store.close()
    if pool.count != len(raws):
        raise AssertionError("entries were refused")
    return len(raws) / seconds


def primitives(raws: list[bytes]) -> Iterator[tuple[str, float]]:
    """Yield what one call of each primitive costs, microseconds."""
    digest, key = keccak256(b"x"), PrivateKey(b"\x05" * 32)
    signature, signer = key.sign_recoverable(digest, hasher=None), LocalSigner(b"\x01" * 32)
    calls: list[tuple[str, Callable[[], object]]] = [
        ("keccak256 of a transaction", lambda: keccak256(raws[0])),
        ("SHA-256 of a transaction", lambda: sha256(raws[0])),
        ("running hash (BLAKE3)", lambda: next_running_hash(START, TARGET, digest, 1, clock_ms())),
        ("recover a key (libsecp256k1)", lambda: PublicKey.from_signature_and_message(signature, digest, hasher=None)),
        ("sign (Ed25519)", lambda: signer.sign(digest)),
    ]
    for name, call in calls:
        best = float("inf")
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(500):
                call()
            best = min(best, time.perf_counter() - started)
        yield name, best / 500 * 1e6


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    rows: list[dict[str, Any]] = []
    where = machine()

    def row(name: str, value: float, unit: str, target: str = "-") -> None:
        rows.append(
            {"name": f"intake: {name}", "value": round(value, 3), "unit": unit, "target": target, "machine": where}
        )

    raws = shaped_transactions(ENTRIES)
    row(f"{ENTRIES:,} entries, bytes of one, mean", sum(map(len, raws)) / len(raws), "bytes")
    row("senders already proved, journalled", insert(raws), "entries/s", ">= 40000")
    found = accept(raws)
    row("every signature checked, journalled, receipts signed", found["rate"], "entries/s", ">= 12000")
    row("of that, processor time of the node, one entry", found["own"] * 1e6, "us")
    row("of that, processor time of its worker, one entry", found["workers"] * 1e6, "us")
    for name, microseconds in primitives(raws):
        row(f"primitive: {name}", microseconds, "us")
    return rows


if __name__ == "__main__":
    for item in run():
        print(f"{item['name']:<68} {item['value']:>12,.3f} {item['unit']:<10} {item['target']}")
