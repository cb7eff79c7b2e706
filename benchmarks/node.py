"""The node's process: how fast it is ready, how much memory it takes, how many entries come through HTTP.

Rates over HTTP are those of accepted entries: signature checked, written and synced to the disk of the temporary
directory, receipt signed. The sender runs on the same machine and takes its share of it; its own processor time is a
row of its own. Bodies are made before the clock starts, receipts are verified after it stopped. Batches have 500
entries; four connections take turns, so that one batch is decoded while another is synced. Input: as
:mod:`benchmarks.intake`.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.intake import children_of, processor_seconds, real_transactions, shaped_transactions
from benchmarks.run import machine
from bpci_node.cli.devnet_files import write_files
from bpci_node.errors import BpciError
from bpci_node.mempool.receipt import verify_receipt
from bpci_node.network.client import NodeClient
from bpci_node.network.wire import CBOR
from bpci_node.primitives import codec
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.keys import public_key_of

ROOT = Path(__file__).resolve().parent.parent
TARGET = "eip155:1"
PORT = 18_745
STARTS = 5
BATCH = 500
SIGNED = 20_000


@contextmanager
def node(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Run a node in ``home``; yields its process and the seconds that it took to be ready."""
    write_files(home, PORT)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "bpci_node.cli.main", "node", "run", "--config", str(home / "node.toml")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "appliance")},
        stderr=subprocess.DEVNULL,
    )
    try:
        with NodeClient(f"http://127.0.0.1:{PORT}") as client:
            while not _is_ready(client):
                time.sleep(0.005)
        yield process, time.monotonic() - started
    finally:
        process.terminate()
        process.wait(10)


def _is_ready(client: NodeClient) -> bool:
    try:
        return client.is_ready()
    except BpciError:
        return False


def memory_mib(pid: int) -> tuple[float, float]:
    """Return resident and proportional memory of a process, MiB."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        fields[name] = float(value.split()[0]) / 1024
    return fields["Rss"], fields["Pss"]


@dataclass
class Sent:
    """What became of a run of entries."""

    rate: float
    """Accepted entries per second."""
    sender_seconds: float
    """The sender's own processor time."""
    node_seconds: float
    """Processor time of the node, its workers included."""


def send(raws: Sequence[bytes], connections: int, pid: int) -> Sent:
    """Send everything in batches, and verify every receipt afterwards.

    Raises:
        AssertionError: an entry was refused.
    """
    parts = [raws[start : start + BATCH] for start in range(0, len(raws), BATCH)]
    bodies = [codec.encode({"v": 1, "target": TARGET, "raws": list(part)}) for part in parts]
    headers = {"Content-Type": CBOR, "Accept": CBOR}
    replies: list[bytes] = [b""] * len(bodies)

    def run(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        for position in range(number, len(bodies), connections):
            connection.request("POST", "/v1/entries/batch", bodies[position], headers)
            replies[position] = connection.getresponse().read()
        connection.close()

    started, used, theirs = time.perf_counter(), time.process_time(), processor_seconds([pid, *children_of(pid)])
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(run, range(connections)))
    seconds, used = time.perf_counter() - started, time.process_time() - used
    theirs = processor_seconds([pid, *children_of(pid)]) - theirs
    with NodeClient(f"http://127.0.0.1:{PORT}") as client:
        node_key = public_key_of(str(client.status()["node"]["did"]))
    for part, reply in zip(parts, replies, strict=True):
        results = codec.decode(reply, max_bytes=len(reply))["results"]
        for raw, result in zip(part, results, strict=True):
            if "receipt" not in result:
                raise AssertionError(f"an entry was refused: {result}")
            if verify_receipt(result["receipt"], node_key=node_key).txid != keccak256(raw):
                raise AssertionError("a receipt is another entry's")
    return Sent(len(raws) / seconds, used, theirs)


def warm_up() -> None:
    """Let the node start its workers."""
    with NodeClient(f"http://127.0.0.1:{PORT}") as client:
        client.submit_entries(TARGET, [bytes([number]) for number in range(64)])


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    rows: list[dict[str, Any]] = []
    where = machine()

    def row(name: str, value: float, unit: str, target: str = "-") -> None:
        rows.append({"name": name, "value": round(value, 3), "unit": unit, "target": target, "machine": where})

    with tempfile.TemporaryDirectory() as directory:
        starts = []
        for _ in range(STARTS):
            with node(Path(directory)) as (process, seconds):
                starts.append(seconds)
                time.sleep(1)
                resident, proportional = memory_mib(process.pid)
        row("node: start to ready, median of 5", median(starts), "s", "<= 2")
        row("node: idle memory, resident", resident, "MiB", "<= 120")
        row("node: idle memory, proportional", proportional, "MiB", "<= 120")
    for name, raws, connections in (
        ("1,167 real transactions, one connection", real_transactions(), 1),
        (f"{SIGNED:,} of their shape, four connections", shaped_transactions(SIGNED), 4),
    ):
        with tempfile.TemporaryDirectory() as directory, node(Path(directory)) as (process, _):
            warm_up()
            found = send(raws, connections, process.pid)
            row(f"node: over HTTP, {name}", found.rate, "entries/s", ">= 8000" if connections > 1 else "-")
            row("node: of that, the sender's processor time, one entry", found.sender_seconds / len(raws) * 1e6, "us")
            row("node: of that, the node's, workers included, one entry", found.node_seconds / len(raws) * 1e6, "us")
            row(f"node: memory with {len(raws):,} entries waiting, resident", memory_mib(process.pid)[0], "MiB")
    return rows


if __name__ == "__main__":
    for item in run():
        print(f"{item['name']:<68} {item['value']:>12,.3f} {item['unit']:<10} {item['target']}")
