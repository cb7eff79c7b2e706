"""The auction path on the repository's real transactions, in one process and on one core.

Decoding includes the recovery of the sender; inserting includes bucket and order; sealing includes selection, roots,
proofs and the signature; verifying starts from the bytes of the bundle and recovers every sender again. Nothing is
written to a disk and nothing travels: the node's own rates are other benchmarks'.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bpci_node.auction.bundle import NO_PARENT, Bundle
from bpci_node.auction.seal import seal_bundle
from bpci_node.auction.selection import select
from bpci_node.auction.verify import verify_bundle
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import decode_transaction, from_rpc_json
from bpci_node.primitives.keys import LocalSigner, did_of

DATA = Path(__file__).resolve().parent.parent / "data" / "mainnet"
ROUNDS = 5
TARGET = TargetConfig("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000)
NODE = LocalSigner(b"\x01" * 32)


def best_seconds(work: Callable[[], object]) -> float:
    """Return the shortest of several runs: what the code costs, without what else the machine did."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def fill(raws: list[bytes]) -> Pool:
    """Decode, prove and insert every transaction."""
    pool = Pool(TARGET)
    for number, raw in enumerate(raws, start=1):
        pool.insert(decode_transaction(raw), number, number)
    return pool


def seal(pool: Pool, gas_limit: int) -> Bundle:
    """Select and seal."""
    return seal_bundle(
        pool,
        select(pool, gas_limit),
        signer=NODE,
        ledger_id="devnet:" + "00" * 32,
        sequence=1,
        parent=NO_PARENT,
        time_ms=1,
        gas_limit=gas_limit,
        certificate=None,
    )


def seal_fresh(pool: Pool, gas_limit: int) -> Bundle:
    """Seal after every leaf and root was forgotten, as after a change of base fee."""
    pool.reprice(TARGET.base_fee_wei)
    return seal(pool, gas_limit)


def run() -> list[dict[str, Any]]:
    """Measure, and return the rows."""
    raws = [
        from_rpc_json(tx)
        for path in sorted(DATA.glob("*.json.gz"))
        for tx in json.loads(gzip.decompress(path.read_bytes()))["transactions"]
    ]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    rows: list[dict[str, Any]] = []

    def row(name: str, value: float, unit: str, target: str = "-") -> None:
        rows.append({"name": name, "value": round(value, 3), "unit": unit, "target": target, "machine": machine})

    seconds = best_seconds(lambda: fill(raws))
    row("replay: decode, recover sender, insert", len(raws) / seconds, "entries/s")
    transactions = [decode_transaction(raw) for raw in raws]

    def insert() -> None:
        pool = Pool(TARGET)
        for number, tx in enumerate(transactions, start=1):
            pool.insert(tx, number, number)

    row("replay: insert, senders already proved", len(raws) / best_seconds(insert), "entries/s")
    pool = fill(raws)
    for name, gas_limit in (("one block of gas", 60_000_000), ("all that pays", 10**9)):
        reprice = best_seconds(lambda: pool.reprice(TARGET.base_fee_wei))
        whole = best_seconds(lambda limit=gas_limit: seal_fresh(pool, limit))
        bundle = seal(pool, gas_limit)
        data = bundle.encode()
        row(f"replay: select and seal, {name} ({bundle.header.count} entries)", (whole - reprice) * 1000, "ms")
        verified = best_seconds(lambda blob=data: verify_bundle(blob, signer=did_of(NODE.public_key)))
        row(f"replay: verify, {name}, every sender recovered", verified * 1000, "ms")
        row(f"replay: verify rate, {name}", bundle.header.count / verified, "entries/s")
        row(f"replay: proofs, {name}", 32 * (sum(map(len, bundle.bucket_proofs)) + len(bundle.mesh_proof)), "bytes")
    return rows


if __name__ == "__main__":
    for item in run():
        print(f"{item['name']:<68} {item['value']:>12,.3f} {item['unit']:<10} {item['target']}")
