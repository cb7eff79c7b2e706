"""The Verkle tree: what its curve work costs, roots after changes, proofs, and memory.

"Spread" are uniform keys; "neighbours" are 16 buckets that share 3 bytes of their key. 50,000 buckets are what a
million entries fill at 20 each. A root here is the outer tree's part alone: the digests of changed buckets are given.
Sizes are of encoded proofs, without keys and digests. Times are medians of several runs on other keys.
"""

from __future__ import annotations

import hashlib
import random
import time
import tracemalloc
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from py_arkworks_bls12381 import GT, G2Point

from bpci_node.mempool.verkle.opening import Opening
from bpci_node.mempool.verkle.proof import VerkleProof
from bpci_node.mempool.verkle.scalars import leaf_scalar
from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.mempool.verkle.verify import verify_opening
from bpci_node.primitives.kzg import ORDER, POINT_BYTES, combine, commit, decode_point

RUNS = 15
SIZES = 500
NEIGHBOURS = 16
GOAL = 1_000
"""Buckets for which the targets of spread keys are meant."""
RNG = random.Random(1)  # noqa: S311 - repeatable keys


def milliseconds(call: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median time of a call, repeated."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return median(times) * 1000


def uniform_keys(count: int) -> list[bytes]:
    """Return different random keys."""
    keys: set[bytes] = set()
    while len(keys) < count:
        keys.add(RNG.randbytes(4))
    return sorted(keys)


def filled(keys: Sequence[bytes]) -> VerkleTree:
    """Return a tree with these keys, its root not yet asked for."""
    tree = VerkleTree()
    for key in keys:
        tree.set(key, RNG.randbytes(32))
    return tree


def primitives() -> list[tuple[str, float, str]]:
    """Return the plain cost of what everything below is made of."""
    scalars = [RNG.randrange(1, ORDER) for _ in range(256)]
    points = [commit({slot: scalar}) for slot, scalar in enumerate(scalars)]
    encoded, data = points[0].to_compressed_bytes(), bytes(64)
    rows = [
        ("SHA-256 of 64 bytes", milliseconds(lambda: [hashlib.sha256(data).digest() for _ in range(1000)]), "µs"),
        ("G1 multiplication", 1000 * milliseconds(lambda: combine(points[:1], scalars[:1])), "µs"),
        ("G1 point decoded and checked", 1000 * milliseconds(lambda: decode_point(encoded)), "µs"),
    ]
    rows += [
        (f"multi-scalar multiplication, {n} points", milliseconds(lambda n=n: combine(points[:n], scalars[:n])), "ms")
        for n in (16, 256)
    ]
    pair = [points[0], points[1]], [G2Point(), G2Point()]
    return [*rows, ("pairing check of two", milliseconds(lambda: GT.pairing_check(*pair)), "ms")]


def root_after_changes(tree: VerkleTree, keys: Sequence[bytes], count: int) -> float:
    """Return the time of a root, milliseconds, after ``count`` of the keys got other digests."""

    def change() -> None:
        for key in RNG.sample(keys, count):
            tree.set(key, RNG.randbytes(32))

    times = []
    for _ in range(RUNS):
        change()
        times.append(milliseconds(tree.root, 1))
    return median(times)


def proof_times(tree: VerkleTree, choose: Callable[[], list[bytes]]) -> tuple[float, float]:
    """Return the times of proving (opening included) and verifying (decoding included), milliseconds."""
    proving, verifying = [], []
    for _ in range(RUNS):
        keys = choose()
        started = time.perf_counter()
        opening = tree.open(keys)
        encoded = opening.prove().encode()
        proved = time.perf_counter()
        verify_opening(opening.root, opening.digests, VerkleProof.decode(encoded))
        verifying.append(time.perf_counter() - proved)
        proving.append(proved - started)
    return median(proving) * 1000, median(verifying) * 1000


def proof_sizes(tree: VerkleTree, choose: Callable[[], list[bytes]]) -> list[int]:
    """Return the sizes of many proofs: what an opening holds tells them."""
    return sorted(len(tree.open(choose()).paths.encode()) + 2 * POINT_BYTES for _ in range(SIZES))


def without_cache(opening: Opening) -> None:
    """Do what a proof would begin with if nodes kept neither values nor commitments."""
    for values in opening.polynomials.values():
        for slot in values:
            leaf_scalar(bytes([slot, 0, 0, 0]), bytes(32))
        commit(values)


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    rows: list[dict[str, Any]] = []

    def row(name: str, value: float, unit: str, target: str = "-") -> None:
        rows.append({"name": f"verkle: {name}", "value": round(value, 3), "unit": unit, "target": target})

    for name, value, unit in primitives():
        row(name, value, unit)

    ten_thousand = filled(uniform_keys(10_000))
    row("10,000 spread keys into an empty tree, and its root", milliseconds(ten_thousand.root, 1), "ms")
    del ten_thousand

    for count in (GOAL, 50_000):
        where = f"of {count:,} buckets"
        keys = uniform_keys(count)
        tracemalloc.start()
        tree = filled(keys)
        tree.root()
        row(f"memory per bucket, {where}", tracemalloc.get_traced_memory()[0] / count, "bytes")
        tracemalloc.stop()
        goal = count == GOAL
        for changed, limit in ((500, 200), (50, 30)):
            taken = root_after_changes(tree, keys, changed)
            row(f"root after changes in {changed} spread {where}", taken, "ms", f"<= {limit}" if goal else "-")
        shared = RNG.choice(keys)[:3]
        neighbours = [shared + bytes([last]) for last in RNG.sample(range(256), NEIGHBOURS)]
        for key in neighbours:
            tree.set(key, RNG.randbytes(32))
        choices: list[tuple[str, Callable[[], list[bytes]], int]] = [
            ("16 spread", lambda keys=keys: RNG.sample(keys, 16), 900 if goal else 0),
            ("16 neighbours", lambda neighbours=neighbours: neighbours, 300),
            ("16 absent", lambda: uniform_keys(16), 0),
            ("64 spread", lambda keys=keys: RNG.sample(keys, 64), 0),
            ("500 spread", lambda keys=keys: RNG.sample(keys, 500), 0),
        ]
        for name, choose, limit in choices:
            timed = name.startswith("16")
            proving, verifying = proof_times(tree, choose)
            row(f"prove {name} {where}", proving, "ms", "<= 60" if timed else "-")
            row(f"verify {name} {where}", verifying, "ms", "<= 6" if timed else "-")
            sizes = proof_sizes(tree, choose)
            row(f"proof of {name} {where}, median", median(sizes), "bytes", f"<= {limit}" if limit else "-")
            if sizes[0] != sizes[-1]:
                row(f"proof of {name} {where}, greatest of {SIZES}", sizes[-1], "bytes")
            if limit:
                within = 100 * sum(size <= limit for size in sizes) / SIZES
                row(f"proofs of {name} {where} within {limit} bytes", within, "%")
        opening = tree.open(RNG.sample(keys, 16))
        row(
            f"witness cache, what 16 spread {where} cost without",
            milliseconds(lambda o=opening: without_cache(o)),
            "ms",
        )
    return rows


if __name__ == "__main__":
    for item in run():
        print(f"{item['name']:<68} {item['value']:>12,.3f} {item['unit']:<10} {item['target']}")
