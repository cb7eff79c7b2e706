"""Look-ups over HTTP in a registry of 100,000 nodes, by a client of one connection; admission, BLS, index upkeep.

The ledger is not grown command by command: its state is written with one block, and a node process takes it up.
"""

from __future__ import annotations

import http.client
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.node import PORT, memory_mib, node
from benchmarks.run import machine
from bpci_node.chain.account import account_id_of, create_account
from bpci_node.chain.admission import find_work
from bpci_node.chain.beginning import first_writes
from bpci_node.chain.block import Block, commands_root, sign_block
from bpci_node.chain.defaults import default_parameters
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.registration import FLAGS, NODE_TYPES, NodeRecord, store_node
from bpci_node.chain.state import Overlay, State
from bpci_node.cli.devnet_files import write_files
from bpci_node.consensus.guard import FileSignGuard
from bpci_node.primitives.bls import BlsSigner, verify_bls
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store

NODES = 100_000
LOOKUPS = 4_000
REGIONS = tuple(f"region-{number}" for number in range(16))
CAPABILITIES = tuple(f"capability-{number}" for number in range(8))


def registry_state(genesis: Genesis) -> tuple[dict[bytes, bytes], list[str]]:
    """Return the entries of a ledger with that many nodes, and the nodes' accounts."""
    overlay, accounts = Overlay(State.of()), []
    overlay.writes.update(first_writes(genesis))
    for number in range(NODES):
        key = LocalSigner(sha256(number.to_bytes(8))).public_key
        create_account(overlay, key, 1)
        accounts.append(account_id_of(key))
        record = NodeRecord(
            account=accounts[-1],
            node_key=key,
            node_type=NODE_TYPES[number % 3],
            flags={flag: number % (place + 2) == 0 for place, flag in enumerate(FLAGS)},
            capabilities=(CAPABILITIES[number % 8], CAPABILITIES[number // 8 % 7]),
            endpoints=(f"http://192.0.2.{number % 250}:8545",),
            report_digest=bytes(32),
            instance=0,
            status="active" if number % 50 else "retired",
            registered_height=1,
            updated_height=1,
            region=REGIONS[number % 16],
        )
        store_node(overlay, record, version=2)
    return {key: value for key, value in overlay.writes.items() if value is not None}, accounts


def write_ledger(home: Path) -> list[str]:
    """Write a devnet's data directory whose ledger holds the nodes, and return their accounts."""
    write_files(home, PORT)
    signer = LocalSigner((home / "registry.key").read_bytes())
    genesis = Genesis("devnet", signer.public_key, 1, default_parameters(signer.public_key))
    entries, accounts = registry_state(genesis)
    root = State.of(entries.items()).root
    block = Block(1, 2, genesis.hash, commands_root([]), root, signer.public_key)
    store = Store(home / "state")
    try:
        store.set_meta("genesis", genesis.encode())
        SqliteBlockStore(store).append_block(1, sign_block(signer, block).encode(), [], [], entries)
    finally:
        store.close()
    guards = home / "state" / "guard"
    guards.mkdir(mode=0o700, exist_ok=True)
    FileSignGuard(guards / "blocks").advance(1, block.digest)
    return accounts


def percentile(seconds: list[float], share: float) -> float:
    """Return a percentile, milliseconds."""
    return sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)] * 1000


def ask(paths: list[str]) -> list[float]:
    """Return how long each request took over one connection, seconds.

    Raises:
        AssertionError: one was not answered.
    """
    connection, taken = http.client.HTTPConnection("127.0.0.1", PORT), []
    for path in paths:
        started = time.perf_counter()
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read()
        taken.append(time.perf_counter() - started)
        if reply.status != 200:
            raise AssertionError(body)
        # Below the limit of requests that a node answers to one source.
        time.sleep(0.001)
    connection.close()
    return taken


def run() -> list[dict[str, Any]]:
    """Build the registry, start a node on it, and ask."""
    chosen, rows = random.Random(6), []  # noqa: S311 - repeatable
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        accounts = write_ledger(home)
        with node(home) as (process, ready_seconds):
            searches = [
                f"/v1/registry/search?region={chosen.choice(REGIONS)}&capability={chosen.choice(CAPABILITIES)}"
                f"&status=active&limit=20&after={chosen.choice(accounts)}"
                for _ in range(LOOKUPS // 4)
            ]
            asked = {
                "look-up": [f"/v1/registry/nodes/{chosen.choice(accounts)}" for _ in range(LOOKUPS)],
                "liveness": [f"/v1/registry/nodes/{chosen.choice(accounts)}/liveness" for _ in range(LOOKUPS // 4)],
                "search, 3 conditions, page of 20": searches,
            }
            for what, paths in asked.items():
                taken = ask(paths)
                for name, share, target in (("p50", 0.5, "-"), ("p99", 0.99, "<= 5")):
                    rows.append((f"registry, {NODES} nodes: {what}, {name}", percentile(taken, share), "ms", target))
            resident, _ = memory_mib(process.pid)
            rows += [
                (f"registry, {NODES} nodes: start until ready", ready_seconds, "s", "-"),
                (f"registry, {NODES} nodes: resident memory", resident, "MiB", "-"),
            ]
    signer = BlsSigner(7)
    signature = signer.sign(b"message")
    rows.append(
        (
            "BLS signature verified, keys checked",
            _each(lambda: verify_bls(signer.public_key, b"message", signature)),
            "ms",
            "-",
        )
    )
    started = time.perf_counter()
    find_work(bytes(32), 16)
    nonces = int.from_bytes(find_work(bytes(32), 16)) + 1
    rows.append(("admission: hashes per second of a search", 2 * nonces / (time.perf_counter() - started), "1/s", "-"))
    where = machine()
    return [
        {"name": name, "value": round(value, 3), "unit": unit, "target": target, "machine": where}
        for name, value, unit, target in rows
    ]


def _each(call: Any, count: int = 100) -> float:
    """Return the time of one call, milliseconds."""
    started = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - started) / count * 1000
