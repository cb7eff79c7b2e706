"""The node's process: how fast it is ready, how much memory it takes, how many entries come through HTTP.

Rates over HTTP are those of accepted entries: signature checked, written and synced to the disk of the temporary
directory, receipt signed. The sender runs on the same machine and takes its share of it; its own processor time is a
row of its own. Batches have 500 entries; two senders take turns, so that one batch is decoded while another is synced.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from coincurve import PrivateKey

from benchmarks.run import machine
from bpci_node.cli.devnet import write_files
from bpci_node.errors import BpciError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.ethereum import from_rpc_json
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.rlp import encode_integer, encode_list

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


def real_transactions() -> list[bytes]:
    """Return the repository's raw transactions."""
    return [
        from_rpc_json(tx)
        for path in sorted((ROOT / "data" / "mainnet").glob("*.json.gz"))
        for tx in json.loads(gzip.decompress(path.read_bytes()))["transactions"]
    ]


def signed_transfers(count: int) -> list[bytes]:
    """Return distinct transfers of ``count`` senders, each signed with its own key; fees spread over 1,000 bins."""
    return [_transfer(number) for number in range(1, count + 1)]


def _transfer(number: int) -> bytes:
    fee = 50_000_000 + number % 1000 * 10_000_000
    fields = b"".join(encode_integer(value) for value in (1, 0, fee, fee, 21_000))
    fields += b"\x94" + number.to_bytes(20, "big") + encode_integer(number) + b"\x80\xc0"
    key = PrivateKey(number.to_bytes(32, "big"))
    signature = key.sign_recoverable(keccak256(b"\x02" + encode_list(fields)), hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return b"\x02" + encode_list(fields + b"".join(encode_integer(value) for value in (signature[64], r, s)))


def send(raws: Sequence[bytes], senders: int) -> tuple[float, float]:
    """Send everything in batches and return accepted entries per second and the senders' own processor seconds.

    Raises:
        AssertionError: an entry was refused.
    """
    parts = [raws[start : start + BATCH] for start in range(0, len(raws), BATCH)]
    clients = [NodeClient(f"http://127.0.0.1:{PORT}") for _ in range(senders)]

    def run(number: int) -> int:
        results = (clients[number].submit_entries(TARGET, part) for part in parts[number::senders])
        return sum(item.receipt is not None for part in results for item in part)

    for client in clients:
        client.status()
    started, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(senders) as pool:
        accepted = sum(pool.map(run, range(senders)))
    seconds, used = time.perf_counter() - started, time.process_time() - used
    for client in clients:
        client.close()
    if accepted != len(raws):
        raise AssertionError(f"{len(raws) - accepted} entries were refused")
    return accepted / seconds, used


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
    for name, raws, senders in (
        ("1,167 real transactions, one sender", real_transactions(), 1),
        (f"{SIGNED:,} signed transfers, two senders", signed_transfers(SIGNED), 2),
    ):
        with tempfile.TemporaryDirectory() as directory, node(Path(directory)) as (process, _):
            rate, used = send(raws, senders)
            row(f"node: replay over HTTP, {name}", rate, "entries/s")
            row("node: of that, the senders' own processor time", used, "s")
            row(f"node: memory with {len(raws):,} entries waiting, resident", memory_mib(process.pid)[0], "MiB")
    return rows


if __name__ == "__main__":
    for item in run():
        print(f"{item['name']:<68} {item['value']:>12,.3f} {item['unit']:<10} {item['target']}")
