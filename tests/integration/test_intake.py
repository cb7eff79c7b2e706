"""Entries under rough conditions: workers that die, services that stop, clients that go away, pools that are full."""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.errors import BpciError, UnreachableError
from bpci_node.mempool.receipt import START, EntryReceipt
from bpci_node.network.client import EntryResult
from bpci_node.primitives import codec
from bpci_node.primitives.hashing import keccak256
from bpci_node.runtime.config import LimitsSection

T = "eip155:1"
Start = Callable[..., Any]


def workers(node: Any) -> list[int]:
    tasks = Path(f"/proc/{node.process.pid}/task")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


def metric(node: Any, name: str) -> float:
    found = re.search(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", httpx.get(f"{node.url}/metrics").text, re.MULTILINE)
    assert found, name
    return float(found[1])


def send(node: Any, raws: list[bytes], batch: int, results: list[EntryResult]) -> threading.Thread:
    """Send batches until the node goes away; what comes back is collected."""

    def run() -> None:
        with node.client() as client:
            for position in range(0, len(raws), batch):
                try:
                    results.extend(client.submit_entries(T, raws[position : position + batch]))
                except BpciError:
                    return

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def receipts_of(results: list[EntryResult]) -> list[EntryReceipt]:
    return [EntryReceipt.decode(item.receipt) for item in results if item.receipt is not None]


def test_a_stop_that_reaches_every_process_of_the_service_loses_nothing_acknowledged(
    start: Start, raws: list[bytes]
) -> None:
    node = start()
    results: list[EntryResult] = []
    threads = [send(node, raws[half::2], 60, results) for half in (0, 1)]
    while len(results) < 120:
        time.sleep(0.005)
    assert workers(node)
    for pid in [*workers(node), node.process.pid]:
        os.kill(pid, signal.SIGTERM)
    assert node.process.wait(15) == 0
    for thread in threads:
        thread.join()
    assert "Traceback" not in node.log()
    again = start()
    known = receipts_of(results)
    with again.client() as client:
        places = client.find_entries(T, [item.txid for item in known])
        assert [place and place["arrival_seq"] for place in places] == [item.arrival_seq for item in known]
        client.submit_entries(T, raws)
        assert client.status()["targets"][T]["count"] == len(raws)


def test_a_worker_that_is_killed_costs_at_most_the_batch_it_had(start: Start, raws: list[bytes]) -> None:
    node = start()
    with node.client() as client:
        client.submit_entries(T, raws[:40])
        (pid,) = workers(node)
        os.kill(pid, signal.SIGSTOP)
        failures: list[BpciError] = []

        def doomed() -> None:
            with node.client() as other:
                try:
                    other.submit_entries(T, raws[40:100])
                except BpciError as error:
                    failures.append(error)

        thread = threading.Thread(target=doomed)
        thread.start()
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        thread.join()
        (failure,) = failures
        assert isinstance(failure, UnreachableError)
        assert failure.code == "unreachable.recovery"
        assert client.is_ready()
        assert all(item.receipt for item in client.submit_entries(T, raws[40:100]))
    assert metric(node, "bpci_recovery_crashes_total") == 1


def test_two_clients_that_send_the_same_get_one_receipt_for_each_entry(start: Start, raws: list[bytes]) -> None:
    node = start()
    results: list[list[EntryResult]] = [[], []]
    threads = [send(node, raws[:600], 50, collected) for collected in results]
    for thread in threads:
        thread.join()
    receipts = sorted(receipts_of(results[0] + results[1]), key=lambda item: item.arrival_seq)
    assert sorted(item.txid for item in receipts) == sorted(map(keccak256, raws[:600]))
    assert [item.arrival_seq for item in receipts] == list(range(1, 601))
    assert receipts[0].previous == START
    assert all(one.running_hash == other.previous for one, other in pairwise(receipts))
    refused = [item.error.code for collected in results for item in collected if item.error is not None]
    assert refused == ["entry.duplicate"] * 600


def test_clients_that_go_away_leave_nothing_behind(start: Start, raws: list[bytes]) -> None:
    node = start()
    body = codec.encode({"v": 1, "target": T, "raws": raws[:200]})
    head = (
        f"POST /v1/entries/batch HTTP/1.1\r\nHost: node\r\nContent-Type: application/cbor\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    for sent in (head + body[: len(body) // 2], head[:40], head + body):
        with socket.create_connection(("127.0.0.1", node.config.api.port)) as connection:
            connection.sendall(sent)
    with node.client() as client:
        for _ in range(200):
            if client.status()["targets"][T]["count"] == 200:
                break
            time.sleep(0.02)
        # What came whole was accepted, although nobody waited for the answer; asking again says so.
        assert {item.error.code for item in client.submit_entries(T, raws[:200]) if item.error} == {"entry.duplicate"}
        assert client.entry(T, keccak256(raws[0]))["receipt"]
    assert metric(node, "bpci_intake_waiting_bytes") == 0
    assert metric(node, "bpci_recovery_waiting_entries") == 0
    assert "Traceback" not in node.log()


def test_a_full_pool_pushes_out_who_pays_least_and_owns_up_to_it(
    start: Start, raws: list[bytes], bpci: Callable[..., Any], tmp_path: Path
) -> None:
    node = start(limits=LimitsSection(pool_entries=200))
    hexes, receipts = tmp_path / "entries.txt", tmp_path / "receipts.jsonl"
    hexes.write_text("\n".join("0x" + raw.hex() for raw in raws))
    bpci("mempool", "submit", hexes, "--node", node.url, "--receipts", receipts, "--batch", "100")
    with node.client() as client:
        assert client.status()["targets"][T]["count"] <= 200
        assert int(client.mempool.summary(T)["least_fee_wei"]) > 0
    evicted = metric(node, "bpci_entries_evicted_total")
    assert evicted > 0
    node.kill()
    again = start(limits=LimitsSection(pool_entries=200))
    checked = bpci("mempool", "check-receipts", receipts, "--node", again.url)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{evicted:.0f} evicted" in checked.stdout


@pytest.mark.long
def test_restarts_under_load_lose_nothing_acknowledged(start: Start, raws: list[bytes]) -> None:
    results: list[EntryResult] = []
    position = 0
    for round_number in range(10):
        node = start()
        part = raws[position : position + 110]
        position += 110
        before = len(results)
        threads = [send(node, part[half::2], 40, results) for half in (0, 1)]
        while len(results) == before:
            time.sleep(0.002)
        if round_number % 2:
            node.kill()
        else:
            assert node.stop() == 0
        for thread in threads:
            thread.join()
    node = start()
    known = receipts_of(results)
    with node.client() as client:
        places = client.find_entries(T, [item.txid for item in known])
    assert [place and place["arrival_seq"] for place in places] == [item.arrival_seq for item in known]
