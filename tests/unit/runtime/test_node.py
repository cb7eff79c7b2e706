import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bpci_node.auction.verify import verify_bundle
from bpci_node.errors import BpciError, LimitError, NotFoundError, RefusedError, StorageError, UsageError
from bpci_node.mempool.receipt import START, EntryReceipt, verify_receipt
from bpci_node.primitives.ethereum import Transaction
from bpci_node.primitives.hashing import keccak256
from bpci_node.runtime import intake as intake_module
from bpci_node.runtime.config import KeysSection, LedgerSection, NodeConfig, TargetSection
from bpci_node.runtime.node import Node

T = "eip155:1"
Make = Callable[..., NodeConfig]


@asynccontextmanager
async def running(config: NodeConfig) -> AsyncIterator[Node]:
    node = Node(config)
    try:
        yield node
    finally:
        await node.close()


def receipts_of(results: list[bytes | BpciError]) -> list[EntryReceipt]:
    return [EntryReceipt.decode(item) for item in results if isinstance(item, bytes)]


def trust(node: Node) -> tuple[str, bytes]:
    return node.network.ledger_id, node.network.registry_key


def codes_of(results: list[bytes | BpciError]) -> list[str]:
    return [item.code for item in results if isinstance(item, BpciError)]


def test_receipts_chain_without_gaps_and_survive_a_restart(make_config: Make, mainnet: list[Transaction]) -> None:
    config = make_config()
    raws = [item.raw for item in mainnet[:60]]

    async def first() -> tuple[list[EntryReceipt], bytes]:
        async with running(config) as node:
            results = await node.intake.accept(T, [raws[0], b"\xff", *raws[1:30]])
            assert codes_of(results) == ["entry.format"]
            again = await node.intake.accept(T, raws[:30])
            assert codes_of(again) == ["entry.duplicate"] * 30
            for item in results:
                if isinstance(item, bytes):
                    verify_receipt(item, node_key=node.signer.public_key)
            return receipts_of(results), node.pools[T].pool.merkle_mesh_root()

    async def second() -> tuple[list[EntryReceipt], bytes, bytes]:
        async with running(config) as node:
            root = node.pools[T].pool.merkle_mesh_root()
            found = await node.intake.entry(T, keccak256(raws[7]))
            return receipts_of(await node.intake.accept(T, raws[30:])), root, found["receipt"]

    before, root = asyncio.run(first())
    after, root_again, receipt = asyncio.run(second())
    chain = before + after
    assert [item.arrival_seq for item in chain] == list(range(1, 61))
    assert chain[0].previous == START
    assert all(one.running_hash == next_one.previous for one, next_one in pairwise(chain))
    assert root_again == root
    assert EntryReceipt.decode(receipt) == before[7]


def test_a_failed_commit_takes_back_pool_order_and_running_hash(
    make_config: Make, mainnet: list[Transaction], sign_raw: Callable[..., bytes]
) -> None:
    raws = [item.raw for item in mainnet[:20]]
    low, high = sign_raw(7, max_fee=10**9), sign_raw(7, max_fee=2 * 10**9, tip=10**9)

    async def scenario() -> None:
        async with running(make_config()) as node:
            first = receipts_of(await node.intake.accept(T, [*raws[:5], low]))
            pages: list[int] = []

            def cap(connection: sqlite3.Connection) -> None:
                pages.append(connection.execute("PRAGMA page_count").fetchone()[0])
                connection.execute(f"PRAGMA max_page_count={pages[0]}")

            await asyncio.wrap_future(node.store.writer.submit(cap))
            root = node.pools[T].pool.merkle_mesh_root()
            big = [sign_raw(9, nonce=number, data=bytes(60_000)) for number in range(4)]
            with pytest.raises(StorageError) as caught:
                await node.intake.accept(T, [high, *raws[5:], *big])
            assert caught.value.code == "storage.full"
            assert [item.code for item in node.obstacles()] == ["storage.full"]
            await asyncio.wrap_future(
                node.store.writer.submit(lambda c: c.execute("PRAGMA max_page_count=1000000").fetchone())
            )
            await node.probe_store()
            assert node.obstacles() == []
            results = receipts_of(await node.intake.accept(T, [raws[5]]))
            assert results[0].arrival_seq == 7
            assert results[0].previous == first[-1].running_hash
            assert node.pools[T].is_pooled(keccak256(low))
            assert not node.pools[T].is_pooled(keccak256(high))
            node.pools[T].pool._take_out(node.pools[T].pool.find(keccak256(raws[5])))
            assert node.pools[T].pool.merkle_mesh_root() == root

    asyncio.run(scenario())


def test_a_replaced_entry_stays_known_and_only_its_successor_waits(
    make_config: Make, sign_raw: Callable[..., bytes]
) -> None:
    config = make_config()
    low, high = sign_raw(7, max_fee=10**9), sign_raw(7, max_fee=2 * 10**9, tip=10**9)

    async def scenario() -> None:
        async with running(config) as node:
            await node.intake.accept(T, [low, high])
            assert node.pools[T].count == 1
        async with running(config) as node:
            assert node.pools[T].count == 1
            places = await node.intake.find_entries(T, [keccak256(low), keccak256(high), bytes(32)])
            assert [None if item is None else item["state"] for item in places] == ["replaced", "pooled", None]

    asyncio.run(scenario())


def test_bundles_follow_one_another_and_hold_for_a_network_file(
    make_config: Make, mainnet: list[Transaction], tmp_path: Path
) -> None:
    config = make_config()
    raws = [item.raw for item in mainnet[:400]]

    async def scenario() -> None:
        async with running(config) as node:
            certificate = await node.register(config.node, None)
            assert await node.register(config.node, None) == certificate
            await node.intake.accept(T, raws[:200])
            first = verify_bundle(await node.seal(T, gas_limit=2_000_000), network=trust(node))
            assert first.bundle.header.sequence == 1
            assert first.bundle.header.gas_used <= 2_000_000
        async with running(config) as node:
            assert node.status()["node"]["registered"]
            resent = codes_of(await node.intake.accept(T, [entry.raw for entry in first.bundle.entries]))
            assert set(resent) == {"entry.nonce"}
            await node.intake.accept(T, raws[200:])
            data = await node.seal(T, gas_limit=2_000_000, base_fee_wei=50_000_000)
            second = verify_bundle(data, network=trust(node)).bundle.header
            assert (second.sequence, second.parent) == (2, first.bundle.header.digest())
            assert second.base_fee == 50_000_000
            assert await node.bundle(T, 2) == data
            with pytest.raises(NotFoundError):
                await node.bundle(T, 3)
            place = (await node.intake.find_entries(T, [keccak256(first.bundle.entries[0].raw)]))[0]
            assert place is not None
            assert (place["state"], place["bundle"]) == ("sealed", 1)

    asyncio.run(scenario())


def test_sealing_nothing_is_refused_and_leaves_no_trace(make_config: Make) -> None:
    async def scenario() -> None:
        async with running(make_config()) as node:
            with pytest.raises(RefusedError) as caught:
                await node.seal(T)
            assert caught.value.code == "bundle.empty"
            assert node.obstacles() == []

    asyncio.run(scenario())


def test_a_restored_state_directory_seals_nothing(
    make_config: Make, mainnet: list[Transaction], tmp_path: Path
) -> None:
    config = make_config()

    async def seal_one() -> None:
        async with running(config) as node:
            await node.intake.accept(T, [item.raw for item in mainnet[:50]])

    async def seal_two() -> None:
        async with running(config) as node:
            await node.seal(T)

    asyncio.run(seal_one())
    backup = (config.state_dir / "node.db").read_bytes()
    asyncio.run(seal_two())
    (config.state_dir / "node.db").write_bytes(backup)
    with pytest.raises(RefusedError) as caught:
        Node(config)
    assert caught.value.code == "sign.rolled_back"


def test_a_state_directory_belongs_to_one_key_and_one_ledger(make_config: Make) -> None:
    config = make_config()
    asyncio.run(open_and_close(config))
    other = make_config("other")
    with pytest.raises(StorageError) as caught:
        Node(replace(config, keys=replace(config.keys, node=other.keys.node)))
    assert caught.value.code == "storage.identity"
    with pytest.raises(UsageError) as wrong_name:
        Node(replace(config, ledger=LedgerSection("embedded", "another")))
    assert wrong_name.value.code == "config.ledger"
    with pytest.raises(UsageError) as wrong_key:
        Node(replace(config, keys=KeysSection(config.keys.node, other.keys.registry)))
    assert wrong_key.value.code == "usage.registry_key"


async def open_and_close(config: NodeConfig) -> None:
    async with running(config):
        pass


def test_a_damaged_journal_entry_is_named(make_config: Make, mainnet: list[Transaction]) -> None:
    config = make_config()

    async def fill() -> None:
        async with running(config) as node:
            await node.intake.accept(T, [item.raw for item in mainnet[:3]])

    asyncio.run(fill())
    connection = sqlite3.connect(config.state_dir / "node.db")
    connection.execute(
        "UPDATE waiting SET raw = CAST(substr(raw, 1, length(raw) - 1) || x'00' AS BLOB) WHERE id & 65535 = 2"
    )
    connection.commit()
    connection.close()
    with pytest.raises(StorageError) as caught:
        Node(config)
    assert caught.value.code == "storage.damaged"
    assert caught.value.details == {"table": "waiting", "target": T, "arrival": 2}


def test_an_unknown_target_too_much_at_once_and_a_full_disk_are_typed(
    make_config: Make, mainnet: list[Transaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with running(make_config()) as node:
            with pytest.raises(NotFoundError) as unknown:
                await node.intake.accept("eip155:5", [mainnet[0].raw])
            assert unknown.value.code == "entry.target"
            with pytest.raises(NotFoundError):
                await node.intake.entry(T, bytes(32))
            monkeypatch.setattr(intake_module, "MAX_WAITING_BYTES", 10)
            with pytest.raises(LimitError) as busy:
                await node.intake.accept(T, [mainnet[0].raw])
            assert busy.value.code == "limit.busy"
            monkeypatch.setattr(intake_module, "MAX_WAITING_BYTES", 1 << 30)
            monkeypatch.setattr(intake_module, "RESERVE_BYTES", 1 << 62)
            with pytest.raises(StorageError) as full:
                await node.intake.accept(T, [mainnet[0].raw])
            assert full.value.code == "storage.full"
            assert [item.code for item in node.obstacles()] == ["storage.full"]

    asyncio.run(scenario())


def test_a_target_that_the_pool_does_not_know_stops_the_start(make_config: Make) -> None:
    with pytest.raises(BpciError) as caught:
        Node(make_config(targets=(TargetSection("cosmos:hub", 1),)))
    assert caught.value.code == "mempool.target"


def test_concurrent_batches_get_different_numbers(make_config: Make, mainnet: list[Transaction]) -> None:
    async def scenario() -> None:
        async with running(make_config()) as node:
            parts = [[item.raw for item in mainnet[start : start + 10]] for start in range(0, 200, 10)]
            results = await asyncio.gather(*(node.intake.accept(T, part) for part in parts))
            numbers = sorted(item.arrival_seq for part in results for item in receipts_of(part))
            assert numbers == list(range(1, 201))
            assert node.counters.accepted == 200
            assert node.store.writer.statistics.commits < 25

    asyncio.run(scenario())


def test_while_the_disk_hangs_nothing_is_taken_in_and_nothing_piles_up(
    make_config: Make, mainnet: list[Transaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "STALL_SECONDS", 2)

    async def run() -> None:
        async with running(make_config()) as node:
            gate = threading.Event()
            stuck = node.store.writer.submit(lambda _connection: gate.wait(60))
            first = asyncio.create_task(node.intake.accept(T, [mainnet[0].raw]))
            while not (first.done() or (node.store.writer.waiting and node.obstacles())):  # noqa: ASYNC110 - a stall tells nobody
                await asyncio.sleep(0.02)
            for call in (node.intake.accept(T, [mainnet[1].raw]), node.overview.summary(T)):
                with pytest.raises(StorageError) as found:
                    await call
                assert found.value.code == "storage.stalled"
            assert [item.code for item in node.obstacles()] == ["storage.stalled"]
            gate.set()
            await asyncio.wrap_future(stuck)
            assert codes_of(await first) == []
            assert codes_of(await node.intake.accept(T, [mainnet[1].raw])) == []
            assert node.obstacles() == []
            assert node.intake.waiting_bytes == 0

    asyncio.run(run())
