"""Commits over HTTP with signatures checked and every receipt behind an fsync, and how late boundaries are noticed.

The coordinator is the node's own code behind uvicorn in this process; what sends is another process, so both share the
cores of the machine with everything else that runs there: the load when it was measured belongs to the figures.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.commit import encode_commits, sign_commit
from bpci_node.auction.lines import Lines
from bpci_node.auction.window import WindowId
from bpci_node.chain.account import account_id_of
from bpci_node.chain.committee import Committee, Seat
from bpci_node.chain.defaults import community_target
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.primitives.vrf import VrfSigner
from bpci_node.runtime.auction_keys import AuctionKeys
from bpci_node.runtime.coordinator import Coordinator
from bpci_node.runtime.ledger_clock import Jitter, LedgerClock
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.window_draft import TargetChain
from bpci_node.store.auction_journal import AuctionJournal
from bpci_node.store.vote_guard import VoteGuard

LEDGER_ID = "bench:" + "ab" * 32
BIDDER = LocalSigner(b"\x07" * 32)
ACCOUNT = account_id_of(BIDDER.public_key)
BATCH = 256
BATCHES = 40
TERMS = replace(
    community_target("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000), classes=(10, 20, 50, 100)
)


class _Silent:
    """A notary that never answers: windows close, and nothing is countersigned."""

    async def ask(self, path: str, body: Any) -> Any:  # noqa: ARG002
        await asyncio.sleep(3600)


def _coordinator(home: Path, clock: LedgerClock, jitter: Jitter) -> tuple[Coordinator, AuctionJournal]:
    keys = AuctionKeys(LocalSigner(b"\x01" * 32), BlsSigner(1_001), VrfSigner(bytes(32)), MlDsaSigner(bytes(32)))
    seat = Seat(account_id_of(keys.node.public_key), keys.node.public_key, keys.bls.public_key, bytes(1312), 10)
    epoch = AuctionEpoch(LEDGER_ID, Committee(1, (seat,)), 0, 10**12, {TERMS.target: TERMS})
    journal, lines = AuctionJournal(home), Lines()
    lines.open(TERMS.target, ACCOUNT, TERMS.tiers[0].number, 10**9)
    coordinator = Coordinator(
        epoch,
        keys=keys,
        journal=journal,
        guard=VoteGuard(home / "votes"),
        clock=clock,
        jitter=jitter,
        capacity=dict.fromkeys((10, 20, 50, 100), 65_536),
        peers={0: _Silent()},
        chains={TERMS.target: TargetChain()},
        pool=PublicPool({}),
        keys_of=lambda _: (BIDDER.public_key,),
        forfeit=lambda *_: 0,
        lines=lines,
        next_committee=lambda: None,
        on_final=lambda *_: asyncio.sleep(0),
        has_predecessor=False,
    )
    return coordinator, journal


def _batches(first: int, qlock_ms: int, count: int, size: int) -> Iterator[bytes]:
    """Yield batches of commits to windows ahead, each batch to the window after that of the one before."""
    for number in range(count):
        window = WindowId(TERMS.target, qlock_ms, first + number)
        commits = [
            sign_commit(
                BIDDER,
                ledger_id=LEDGER_ID,
                window=window,
                digest=os.urandom(32),
                account=ACCOUNT,
                tier=TERMS.tiers[0].number,
            )
            for _ in range(size)
        ]
        yield encode_commits(commits)


SENDER = """
import sys, time, http.client, threading
port, files = int(sys.argv[1]), sys.argv[2:]
def send(names):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for name in names:
        connection.request("POST", "/", open(name, "rb").read())
        connection.getresponse().read()
threads = [threading.Thread(target=send, args=(files[at::4],)) for at in range(4)]
begun = time.perf_counter()
for thread in threads: thread.start()
for thread in threads: thread.join()
print(time.perf_counter() - begun)
"""


async def _throughput(home: Path) -> float:
    """Return how many commits a second were taken over HTTP."""
    import uvicorn  # noqa: PLC0415 - the other figures do without

    clock = LedgerClock(time.time_ns() // 1_000_000 - 1_000_000)
    coordinator, journal = _coordinator(home, clock, Jitter())
    taken = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal taken
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        results = await coordinator.commit(body)
        taken += sum(isinstance(item, bytes) for item in results)
        reply = b"".join(item for item in results if isinstance(item, bytes))
        headers = [(b"content-length", str(len(reply)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply})

    first = (clock.now_us() + 3_500_000) // 100_000
    (whole,) = _batches(first, 100, 1, BATCH * BATCHES)
    names = await asyncio.to_thread(_split, home, whole)
    clock = coordinator._clock = LedgerClock(time.time_ns() // 1_000_000 - first * 100 + 4_500)  # noqa: SLF001 - the commits were signed before
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        command = [sys.executable, "-c", SENDER, str(listener.getsockname()[1]), *names]
        found = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        server.should_exit = True
        await serving
    journal.close()
    return taken / float(found.stdout)


def _split(home: Path, whole: bytes) -> list[str]:
    from bpci_node.auction.commit import decode_commits  # noqa: PLC0415

    commits = decode_commits(whole, most=BATCH * BATCHES)
    names = []
    for number in range(BATCHES):
        path = home / f"batch-{number}"
        path.write_bytes(encode_commits(commits[number * BATCH : (number + 1) * BATCH]))
        names.append(str(path))
    return names


async def _jitter(home: Path, per_second: int, seconds: float) -> tuple[dict[int, int], int]:
    """Return the 99th percentile of lateness by class, microseconds, and how many commits a second came in."""
    clock, jitter = LedgerClock(time.time_ns() // 1_000_000 - 1_000_000), Jitter()
    coordinator, journal = _coordinator(home, clock, jitter)
    size, taken = max(1, per_second // 100), 0
    classes = (10, 20, 50, 100)
    prepared = []
    offset_us = int(seconds * 1_000_000) + 4_000_000
    begin_us = clock.now_us() + offset_us
    for number in range(int(seconds * 100)):
        qlock = classes[number % 4]
        index = (begin_us + number * 10_000 + 300_000) // (qlock * 1000)
        prepared.append(await asyncio.to_thread(lambda i=index, q=qlock: next(_batches(i, q, 1, size))))
    clock._base_us += begin_us - clock.now_us()  # noqa: SLF001 - what was signed ahead begins now
    running = asyncio.create_task(coordinator.run())
    begun, sending = time.perf_counter(), []
    for number, data in enumerate(prepared):
        await asyncio.sleep(max(0.0, begun + number / 100 - time.perf_counter()))
        sending.append(asyncio.create_task(coordinator.commit(data)))
    for results in await asyncio.gather(*sending):
        taken += sum(isinstance(item, bytes) for item in results)
    passed = time.perf_counter() - begun
    await asyncio.sleep(0.5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    journal.close()
    return {qlock: jitter.quantile(qlock, 99) for qlock in classes}, int(taken / passed)


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    rows = []
    logging.getLogger("bpci.auction").setLevel(logging.ERROR)
    load = f"load {os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory() as home:
        rates = []
        for number in range(3):
            place = Path(home, str(number))
            place.mkdir()
            rates.append(asyncio.run(_throughput(place)))
        rows.append(
            {
                "name": f"auction.commits over HTTP, batches of {BATCH}, {load}",
                "value": statistics.median(rates),
                "unit": "commits/s",
                "target": ">= 6000",
            }
        )
        for per_second in (100, 1_000):
            place = Path(home, f"jitter-{per_second}")
            place.mkdir()
            late, came = asyncio.run(_jitter(place, per_second, 2.0))
            rows += [
                {
                    "name": f"auction.boundary p99, class {qlock} ms, {came} commits/s, {load}",
                    "value": value / 1000,
                    "unit": "ms late",
                    "target": f"<= {qlock / 10:g}",
                }
                for qlock, value in late.items()
            ]
    return rows
