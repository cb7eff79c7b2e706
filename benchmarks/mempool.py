"""What commits to a pool: Merkle roots by bucket size, whole roots after changes, mempool proofs; and a large pool.

Entries are made for the purpose: not signed, of the lengths, gas limits and data of the shipped transactions. "Spread"
are 1,000 buckets of 20 entries at uniform keys; a whole root is everything from the changed entries to ``mx_root``:
their leaves, the buckets' Merkle trees and leaves, the Verkle tree, the mesh. Times are medians.

``python -m benchmarks.mempool growth`` fills pools of 250,000, 500,000 and 1,000,000 entries, their fees spread over a
twentieth as many bins, each in a process of its own; it takes minutes and some 3 GiB of memory, and is not among what
``make bench`` runs by itself.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bpci_node.mempool.bucket import Bucket
from bpci_node.mempool.entry import Entry, make_entry
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.mesh import Mesh
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.proof import MempoolProof
from bpci_node.mempool.prove import HeaderFacts, Snapshot, prove, snapshot
from bpci_node.mempool.target import TargetConfig
from bpci_node.mempool.verify import Trust, verify_mempool_proof
from bpci_node.primitives.ethereum import Transaction, decode_transaction, from_rpc_json
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.merkle import MerkleList, leaf_hash, node_hash, root_of

ROOT = Path(__file__).resolve().parent.parent
TARGET = TargetConfig("eip155:1", base_fee_wei=0, fee_bin_wei=1_000)
RNG = random.Random(1)  # noqa: S311 - repeatable content
NODE = LocalSigner(b"\x01" * 32)
RUNS = 7
PER_BUCKET = 20
BUCKETS = 1_000
GROWTH = (250_000, 500_000, 1_000_000)

Row = tuple[str, float, str, str]


def milliseconds(call: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median time of a call, repeated."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return median(times) * 1000


def templates() -> list[Transaction]:
    """Return the shipped transactions."""
    paths = sorted((ROOT / "data" / "mainnet").glob("*.json.gz"))
    blocks = [json.loads(gzip.decompress(path.read_bytes()))["transactions"] for path in paths]
    return [decode_transaction(from_rpc_json(tx)) for block in blocks for tx in block]


def transactions(fees: Iterator[int]) -> Iterator[Transaction]:
    """Yield distinct transactions of different senders, shaped like the shipped ones, with these fees."""
    shapes = templates()
    for number, fee in enumerate(fees):
        shape = shapes[number % len(shapes)]
        txid = hashlib.sha256(number.to_bytes(8, "big")).digest()
        raw = shape.raw[:-32] + txid
        yield replace(shape, raw=raw, txid=txid, sender=txid[:20], nonce=0, max_fee=fee, max_priority_fee=fee)


def entries(count: int, fees: Iterator[int]) -> list[Entry]:
    """Return entries as a pool would make them."""
    made = transactions(fees)
    return [make_entry(next(made), TARGET, arrival_seq=number, arrival_ms=number) for number in range(1, count + 1)]


def spread(buckets: int) -> Iterator[int]:
    """Yield fees that fall into this many fee bins, evenly in the long run."""
    while True:
        yield RNG.randrange(buckets) * TARGET.fee_bin_wei + RNG.randrange(TARGET.fee_bin_wei)


def inner_trees() -> Iterator[Row]:
    """Merkle roots of one bucket by its size, beside the plain cost of the hashes."""
    spare = entries(100_000 + RUNS, iter(lambda: RNG.randrange(TARGET.fee_bin_wei), -1))
    data = bytes(32)
    yield "mempool: one hash of a Merkle node", milliseconds(lambda: node_hash(data, data), 10_001) * 1000, "µs", "-"
    for size in (100, 1_000, 10_000, 100_000):
        bucket = Bucket(TARGET.id, bytes(4))
        for entry in spare[:size]:
            bucket.add(entry)
        yield (
            f"mempool: Merkle root of {size:,} entries, all leaves new",
            milliseconds(bucket.merkle_root, 1),
            "ms",
            "-",
        )
        times = []
        for entry in spare[100_000:]:
            bucket.add(entry)
            times.append(milliseconds(bucket.merkle_root, 1))
        yield f"mempool: Merkle root of {size:,} entries, after one insertion", median(times), "ms", "-"


def mesh_trees() -> Iterator[Row]:
    """The Merkle tree over 50,000 buckets: anew, and kept while fifty change."""
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(50_000)]
    yield "mempool: mesh root of 50,000 buckets, anew", milliseconds(lambda: root_of(leaves)), "ms", "-"
    kept = MerkleList()
    for number, leaf in enumerate(leaves):
        kept.insert(number, leaf)
    kept.root()
    changed, moved = [], []
    for _ in range(RUNS):
        for number in RNG.sample(range(50_000), 50):
            kept[number] = RNG.randbytes(32)
        changed.append(milliseconds(kept.root, 1))
        kept.insert(RNG.randrange(50_000), RNG.randbytes(32))
        moved.append(milliseconds(kept.root, 1))
    yield "mempool: mesh root of 50,000 buckets, 50 changed", median(changed), "ms", "-"
    yield "mempool: mesh root of 50,000 buckets, one more", median(moved), "ms", "-"


class SpreadBuckets:
    """Buckets of 20 entries at uniform keys, as a pool would hold them, and more entries for them."""

    def __init__(self, spare: list[Entry]) -> None:
        self._spare, self._number = spare, 0
        self._mesh = Mesh()
        self._buckets: dict[bytes, Bucket] = {}
        while len(self._buckets) < BUCKETS:
            key = RNG.randbytes(4)
            self._buckets.setdefault(key, Bucket(TARGET.id, key))
        for key in self._buckets:
            self._fill(key, PER_BUCKET)
        self.roots()

    def roots(self) -> bytes:
        """Bring everything up to date."""
        return self._mesh.roots(self._buckets, {}).mx_root

    def exchange(self, buckets: int, of_each: int) -> float:
        """Let entries leave and as many come in these many buckets; return the milliseconds of the root after it."""
        for key in RNG.sample(sorted(self._buckets), buckets):
            for entry in list(self._buckets[key])[:of_each]:
                self._buckets[key].remove(entry)
            self._fill(key, of_each)
        return milliseconds(self.roots, 1)

    def _fill(self, key: bytes, count: int) -> None:
        for _ in range(count):
            entry = self._spare[self._number % len(self._spare)]
            self._number += 1
            leaf = replace(entry.leaf, arrival_seq=self._number)
            self._buckets[key].add(replace(entry, leaf=leaf, bucket_key=key))
        self._mesh.touch(key)


def whole_roots() -> Iterator[Row]:
    """Roots from changed entries to ``mx_root``."""
    pool = SpreadBuckets(entries(20_000, spread(1)))
    for buckets, target in ((500, "<= 350"), (50, "<= 50"), (1, "-")):
        for of_each, what in ((1, "one entry of each"), (PER_BUCKET, "every entry of each")):
            name = f"mempool: whole root, {buckets} of {BUCKETS:,} spread buckets changed, {what}"
            yield name, median(pool.exchange(buckets, of_each) for _ in range(RUNS)), "ms", target


def fill(pool: Pool, made: Iterator[Transaction], count: int) -> None:
    """Let this many more entries in."""
    for number in range(len(pool) + 1, len(pool) + count + 1):
        pool.insert(next(made), number, number)


def facts(pool: Pool) -> HeaderFacts:
    """Return what a header says beside the roots; the certificate has the length of a real one."""
    return HeaderFacts("devnet:" + "ab" * 32, len(pool), bytes(32), 1, 1, bytes(300), NODE.public_key)


def proofs(pool: Pool, where: str) -> Iterator[Row]:
    """Proofs of one entry in each of 16 buckets, and of 500."""
    pool.roots()
    for wanted in (16, 500):
        buckets = RNG.sample(pool.buckets(), min(wanted, len(pool.buckets())))
        txids = [RNG.choice(list(bucket)).leaf.txid for bucket in buckets]
        taken: Snapshot = snapshot(pool, facts(pool), txids, [])
        made: MempoolProof = prove(taken, NODE)
        data, trust = made.encode(), Trust(signer=NODE.public_key)
        name = f"mempool: proof of {len(txids)} entries in {len(buckets)} buckets{where}"
        collecting = milliseconds(partial(snapshot, pool, facts(pool), txids, []))
        yield f"{name}: collecting, in the writer's thread", collecting, "ms", "-"
        yield f"{name}: proving", milliseconds(partial(prove, taken, NODE)), "ms", "-"
        yield f"{name}: verifying", milliseconds(partial(verify_mempool_proof, data, trust)), "ms", "-"
        yield f"{name}: whole file", len(data), "bytes", "-"
        yield f"{name}: of that, the Verkle proof", len(made.verkle.encode()), "bytes", "-"


def resident_bytes() -> int:
    """Return the memory of this process."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def grown(count: int) -> Iterator[Row]:
    """A pool of ``count`` entries: memory before and after the first root, roots, proofs."""
    name, more = f"mempool: {count:,} entries", 500
    templates()
    before = resident_bytes()
    pool = Pool(TARGET, PoolLimits(entries=count + more * RUNS, raw_bytes=1 << 40))
    made = transactions(spread(count // PER_BUCKET))
    fill(pool, made, count)
    yield f"{name}, non-empty buckets", len(pool.buckets()), "", "-"
    yield f"{name}, memory of each with its raw bytes", (resident_bytes() - before) / count, "bytes", "-"
    yield f"{name}, of that the raw bytes themselves", pool.raw_bytes / count, "bytes", "-"
    yield f"{name}, first root", milliseconds(pool.roots, 1) / 1000, "s", "-"
    yield f"{name}, memory of each with both trees", (resident_bytes() - before) / count, "bytes", "-"
    times = []
    for _ in range(RUNS):
        fill(pool, made, more)
        times.append(milliseconds(pool.roots, 1))
    yield f"{name}, root after {more} more", median(times), "ms", "-"
    yield from proofs(pool, f" of {count:,} entries")


def run() -> list[dict[str, Any]]:
    """Return the rows of ``make bench``."""
    small = Pool(TARGET)
    fill(small, transactions(spread(BUCKETS)), BUCKETS * PER_BUCKET)
    rows = [*inner_trees(), *mesh_trees(), *whole_roots(), *proofs(small, f" of {len(small):,} entries")]
    return [_row(row) for row in rows]


def _row(row: Row) -> dict[str, Any]:
    name, value, unit, target = row
    return {"name": name, "value": round(value, 3), "unit": unit, "target": target}


def _print(rows: Iterator[Row]) -> None:
    for name, value, unit, target in rows:
        print(f"{name:<84} {value:>12,.3f} {unit:<6} {target}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["growth"]:
        for size in GROWTH:
            subprocess.run([sys.executable, "-m", "benchmarks.mempool", str(size)], check=True)
    elif sys.argv[1:]:
        _print(grown(int(sys.argv[1])))
    else:
        _print((row["name"], row["value"], row["unit"], row["target"]) for row in run())
