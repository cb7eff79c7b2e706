"""Following over real sockets: a node that sequences, in this process, and a follower beside it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.command import Command, sign_command
from bpci_node.consensus.checkpoint import Checkpoint, issue_checkpoint
from bpci_node.errors import BpciError, ProofError, UnreachableError
from bpci_node.gateway.server import open_faces
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.codec import decode
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.config import LedgerSection, NodeConfig
from bpci_node.runtime.following import STOP, FollowedLedger
from bpci_node.runtime.intake import clock_ms
from bpci_node.runtime.ledger_upkeep import LedgerUpkeep
from bpci_node.runtime.node import Node
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.snapshots import SnapshotFiles
from bpci_node.store.store import Store

Make = Callable[..., NodeConfig]


@asynccontextmanager
async def served(config: NodeConfig) -> AsyncIterator[tuple[Node, str]]:
    node = Node(config)
    faces = await open_faces(node)
    try:
        yield node, faces.addresses[0]
    finally:
        await faces.close(1.0)
        await node.close()


@asynccontextmanager
async def following(home: Path, network: NetworkFile, *urls: str, own: tuple[str, ...] = ()) -> AsyncIterator[Any]:
    store = Store(home)
    ledger = FollowedLedger(store, replace(network, urls=urls), own_urls=own, clock_ms=clock_ms)
    try:
        yield ledger
    finally:
        await asyncio.to_thread(ledger.close)
        store.close()


def registry_of(config: NodeConfig) -> LocalSigner:
    return LocalSigner(Path((config.keys.registry or "").removeprefix("file:")).read_bytes())


async def spend(node: Node, config: NodeConfig, nonce: int) -> None:
    registry = registry_of(config)
    account = account_id_of(registry.public_key)
    body = {"wallet": "faucet", "asset": "BPI", "to": account, "amount": 5, "reason": bytes(32)}
    command = Command(node.network.ledger_id, account, nonce, 10**6, "wallet.spend", body)
    assert node.ledger is not None
    await node.ledger.submit(sign_command(registry, command).encode())


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]  # a coroutine


def test_it_catches_up_says_how_far_it_is_and_makes_a_snapshot(make_config: Make, tmp_path: Path) -> None:
    config = make_config()

    async def scenario() -> None:
        async with served(config) as (node, url), following(tmp_path / "f", node.network, url) as ledger:
            assert ledger.status() == {"height": None, "root": None, "lag": None, "heard_ms": None, "stopped": None}
            with pytest.raises(UnreachableError) as caught:
                await ledger.account("bpa1" + "a" * 32)
            assert caught.value.code == "unreachable.ledger"
            await asyncio.to_thread(ledger.follow)
            assert (ledger.height, ledger.lag) == (0, None)
            assert await ledger.capture() is None
            for nonce in range(3):
                await spend(node, config, nonce)
            await asyncio.to_thread(ledger.follow)
            assert node.ledger is not None
            assert (ledger.height, ledger.lag, ledger.state_root) == (3, 0, node.ledger.state_root)
            section = LedgerSection("network", snapshot_blocks=3, keep_blocks=1)
            blocks = SqliteBlockStore(ledger._store)
            upkeep = LedgerUpkeep(blocks, SnapshotFiles(tmp_path / "s"), section, ledger.capture)
            await upkeep.keep()
            assert upkeep.files.heights == (3,)
            assert blocks.first_height() == 3
            assert (await upkeep.snapshot())["height"] == 3
            await spend(node, config, 3)
            await asyncio.to_thread(ledger.follow)
            await upkeep.keep()
            assert (upkeep.files.heights, blocks.first_height()) == ((3,), 4)
        async with following(tmp_path / "f", node.network) as again:
            assert again._follower.machine.height == 4

    run(scenario)


def test_whoever_is_no_use_is_passed_over(make_config: Make, tmp_path: Path) -> None:
    config = make_config()

    async def scenario() -> None:
        async with served(config) as (node, url), served(make_config("two")) as (_, other):
            await spend(node, config, 0)
            urls = ("http://127.0.0.1:1", other, url)
            async with following(tmp_path / "f", node.network, *urls) as ledger:
                for _ in urls:
                    await asyncio.to_thread(ledger.follow)
                assert ledger.height == 1
            async with following(tmp_path / "g", node.network, other, "http://127.0.0.1:1") as ledger:
                with pytest.raises(UnreachableError) as caught:
                    await asyncio.to_thread(ledger.follow)
                assert caught.value.code == "unreachable.network_ledger"
            async with following(tmp_path / "h", node.network, url, own=(url + "/",)) as ledger:
                with pytest.raises(UnreachableError) as caught:
                    await asyncio.to_thread(ledger.follow)
                assert "names no other node" in caught.value.message

    run(scenario)


def test_a_difference_is_kept_with_what_shows_it(make_config: Make, tmp_path: Path) -> None:
    config = make_config()
    home = tmp_path / "f"

    async def scenario() -> None:
        async with served(config) as (node, url):
            await spend(node, config, 0)
            async with following(home, node.network, url) as ledger:
                await asyncio.to_thread(ledger.follow)
                registry = registry_of(config)
                assert node.ledger is not None
                forged = issue_checkpoint(registry, Checkpoint(node.network.ledger_id, 1, bytes(32)))
                node.ledger._signed = (1, forged)
                with pytest.raises(ProofError) as caught:
                    await asyncio.to_thread(ledger.follow)
                assert caught.value.code == "proof.fork"
                assert ledger.status()["stopped"]["details"] == {"height": 1}
                kept = decode(ledger._store.meta(STOP))
                assert (kept["theirs"], kept["ours"]) == (forged, node.ledger._blocks.block(1))
                await asyncio.wait_for(ledger.run(), 5)  # it has stopped, and ends
                assert await ledger.balances(node.account) == {}
        async with following(home, node.network, url) as again:
            assert isinstance(again.stopped, BpciError)
            assert again.stopped.code == "proof.fork"

    run(scenario)
