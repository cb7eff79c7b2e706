"""What a receipt is worth: killed processes, full disks, orderly stops."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.intake import shaped_transactions
from bpci_node.auction.bundle import NO_PARENT, Bundle
from bpci_node.errors import BpciError, LimitError, RefusedError
from bpci_node.mempool.receipt import EntryReceipt
from bpci_node.network.client import NodeClient
from bpci_node.primitives.hashing import keccak256

T = "eip155:1"


def load(node: Any, raws: list[bytes], receipts: list[bytes]) -> threading.Thread:
    """Send batches until the node goes away; what comes back is collected."""

    def run() -> None:
        with node.client() as client:
            for position in range(0, len(raws), 20):
                try:
                    results = client.submit_entries(T, raws[position : position + 20])
                except BpciError:
                    return
                receipts.extend(item.receipt for item in results if item.receipt is not None)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def patiently(ask: Callable[[], Any]) -> Any:
    """Ask again when it was too often."""
    while True:
        try:
            return ask()
        except LimitError:
            time.sleep(0.1)


def places_of(client: NodeClient, txids: list[bytes]) -> list[Any]:
    pages = [txids[start : start + 5000] for start in range(0, len(txids), 5000)]
    return [place for page in pages for place in patiently(lambda part=page: client.find_entries(T, part))]


def honoured(node: Any, receipts: list[bytes]) -> bool:
    decoded = [EntryReceipt.decode(item) for item in receipts]
    with node.client() as client:
        places = places_of(client, [item.txid for item in decoded])
    return all(
        place is not None and place["arrival_seq"] == item.arrival_seq
        for item, place in zip(decoded, places, strict=True)
    )


def test_a_killed_node_honours_every_receipt(start: Callable[..., Any], raws: list[bytes]) -> None:
    node = start()
    receipts: list[bytes] = []
    thirds = len(raws) // 3
    for number in range(3):
        part = raws[number * thirds : (number + 1) * thirds]
        senders = [load(node, part[half::2], receipts) for half in (0, 1)]
        before = len(receipts)
        while len(receipts) < before + 100:
            time.sleep(0.005)
        node.kill()
        for sender in senders:
            sender.join()
        node = start()
        assert honoured(node, receipts)
    with node.client() as client:
        target = client.status()["targets"][T]
        assert target["arrivals"] >= len(receipts) >= 300
    numbers = sorted(EntryReceipt.decode(item).arrival_seq for item in receipts)
    assert len(set(numbers)) == len(numbers)


def seal_until(node: Any, stop: threading.Event) -> threading.Thread:
    """Seal small bundles until told to stop, or until the node goes away."""

    def run() -> None:
        with node.owner() as owner:
            while not stop.wait(0.02):
                try:
                    owner.seal(T, gas_limit=300_000)
                except RefusedError:
                    continue
                except BpciError:
                    return

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# The HTTP library leaves a Unix socket to the garbage collector when nobody listens there any more.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("lives", [4, pytest.param(40, marks=pytest.mark.long)])
def test_whenever_it_is_killed_a_node_goes_on_with_one_order_and_one_chain_of_bundles(
    start: Callable[..., Any], bpci: Callable[..., Any], lives: int
) -> None:
    raws = shaped_transactions(lives * 400)
    moments = Random(lives)  # noqa: S311 - moments of a test
    receipts: list[bytes] = []
    for life in range(lives):
        node = start()
        part = raws[life * 400 : (life + 1) * 400]
        stop, before = threading.Event(), len(receipts)
        threads = [load(node, part[half::2], receipts) for half in (0, 1)] + [seal_until(node, stop)]
        while len(receipts) < before + 20 and threads[0].is_alive():  # a batch, however slow the machine is
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.5))
        node.kill()
        stop.set()
        for thread in threads:
            thread.join()
    node = start()
    assert honoured(node, receipts)
    decoded = sorted((EntryReceipt.decode(item) for item in receipts), key=lambda receipt: receipt.arrival_seq)
    assert len({receipt.arrival_seq for receipt in decoded}) == len(decoded) >= lives * 20
    for earlier, later in pairwise(decoded):
        # Entries whose receipt was under way when the node died are in the order, too.
        if later.arrival_seq == earlier.arrival_seq + 1:
            assert later.previous == earlier.running_hash
    sealed: list[bytes] = []
    parent = NO_PARENT
    with node.client() as client, node.owner() as owner:
        last = Bundle.decode(owner.seal(T, gas_limit=300_000)).header.sequence
        for sequence in range(1, last + 1):
            bundle = Bundle.decode(patiently(lambda number=sequence: client.bundle(T, number)))
            assert bundle.header.parent == parent
            parent = bundle.header.digest()
            sealed += [keccak256(entry.raw) for entry in bundle.entries]
        assert len(set(sealed)) == len(sealed)
        places = places_of(client, sealed)
        assert all(place is not None and place["state"] == "sealed" for place in places)
    node.stop()
    looked = bpci("node", "repair", "--check", "--config", node.home / "node.toml")
    assert looked.returncode == 0, looked.stdout


def test_an_orderly_stop_finishes_what_was_accepted_and_waits_for_no_idle_connection(
    start: Callable[..., Any], raws: list[bytes]
) -> None:
    node = start()
    receipts: list[bytes] = []
    sender = load(node, raws, receipts)
    idle = socket.create_connection(("127.0.0.1", node.config.api.port))
    while len(receipts) < 100:
        time.sleep(0.005)
    assert node.stop() == 0
    sender.join()
    idle.close()
    assert not node.owner_socket.exists()
    node = start()
    assert honoured(node, receipts)


def test_the_service_manager_is_told_of_readiness_health_and_stopping(start: Callable[..., Any]) -> None:
    address = "\0bpci-test-notify-" + str(os.getpid())
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        node = start(environment={"NOTIFY_SOCKET": "@" + address[1:], "WATCHDOG_USEC": "600000"})

        def listen(word: str) -> None:
            while not any(word in item for item in heard):
                heard.append(manager.recv(4096).decode())

        listen("READY=1")
        heard.clear()
        listen("WATCHDOG=1")
        heard.clear()
        listen("WATCHDOG=1")
        node.process.terminate()
        listen("STOPPING=1")
    assert node.process.wait(60) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def refusal_of_sealing(owner: NodeClient) -> str:
    """Seal small bundles until there is no room for one."""
    for _ in range(50):
        try:
            owner.seal(T, gas_limit=200_000)
        except BpciError as error:
            return error.code
    raise AssertionError("the disk never got full")


def test_a_full_disk_is_said_halves_nothing_and_passes(
    start: Callable[..., Any], raws: list[bytes], small_disk: Path, bpci: Callable[..., Any]
) -> None:
    node = start(state_dir=small_disk / "state")
    ballast = small_disk / "ballast"
    with node.client() as client, node.owner() as owner:
        before = [item.receipt for item in client.submit_entries(T, raws[:100]) if item.receipt is not None]
        assert client.is_ready()
        ballast.write_bytes(b"x" * (20 << 20))
        with pytest.raises(BpciError) as reserve:
            client.submit_entries(T, raws[100:200])
        assert reserve.value.code == "storage.full"
        assert not client.is_ready()
        with ballast.open("ab") as file:
            room = os.statvfs(small_disk)
            file.write(b"x" * (room.f_bavail * room.f_frsize))
        assert refusal_of_sealing(owner) in ("storage.full", "storage.guard", "storage.io")
        # It goes on answering, and nothing that was promised is lost.
        assert client.status()["targets"][T]["arrivals"] == 100
        assert bpci("node", "status", "--node", node.url).returncode == 1
        assert honoured(node, before)
        ballast.unlink()
        for _ in range(100):
            if client.is_ready():
                break
            time.sleep(0.1)
        assert client.is_ready()
        more = client.submit_entries(T, raws[100:200])
        assert all(item.receipt is not None for item in more)
        numbers = [EntryReceipt.decode(item.receipt).arrival_seq for item in more if item.receipt is not None]
        assert numbers == list(range(101, 201))
    node.kill()
    again = start(state_dir=small_disk / "state")
    assert honoured(again, before)
    with again.owner() as owner:
        assert owner.seal(T)
