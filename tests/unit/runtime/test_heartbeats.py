"""Heartbeats that a node sends by itself: when they are due, and when none is sent."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.heartbeat import BeatRecord, liveness_of, load_beat
from bpci_node.chain.registration import load_node
from bpci_node.errors import BpciError
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.config import LedgerSection, NodeConfig
from bpci_node.runtime.heartbeats import Heartbeats, due_height, is_due, jitter_of
from bpci_node.runtime.key_files import read_key
from bpci_node.runtime.node import Node

Make = Callable[..., NodeConfig]


def with_node(config: NodeConfig, scenario: Callable[[Node], object]) -> None:
    async def run() -> None:
        node = Node(config)
        try:
            await scenario(node)
        finally:
            await node.close()

    asyncio.run(run())


def due(node: Node, **changes: object) -> bool:
    values = {"account": node.account, "instance": node.config.node.instance} | changes
    return is_due(node.lookups.current(), **values)


def test_a_node_shows_itself_once_it_is_registered_and_is_silent_until_it_is_due(make_config: Make) -> None:
    async def scenario(node: Node) -> None:
        beats = Heartbeats(node)
        assert not due(node)
        await node.register(node.config.node, None)
        assert due(node)
        await beats.send()
        state = node.lookups.current().state
        record, last = load_node(state, node.account), load_beat(state, node.account)
        assert record is not None
        assert last is not None
        assert liveness_of(state, record, node.lookups.height) == "live"
        assert not due(node)
        with pytest.raises(BpciError) as caught:
            await beats.send()
        assert caught.value.code == "registry.heartbeat_rate"

    with_node(make_config(), scenario)


def test_a_beat_is_due_before_the_ledger_loses_patience_and_not_before_it_takes_it(make_config: Make) -> None:
    async def scenario(node: Node) -> None:
        await node.register(node.config.node, None)
        state = node.lookups.current().state
        record = load_node(state, node.account)
        assert record is not None
        patience, interval = load_parameter(state, "heartbeat_patience"), load_parameter(state, "heartbeat_interval")
        last = BeatRecord(record.registered_height + 5, 1, 0, b"h" * 32, 1)
        heights = {
            due_height(state, replace(record, account=f"bpa1{number:032d}"), last) - last.height
            for number in range(500)
        }
        assert min(heights) >= patience // 2 - patience // 8
        assert max(heights) <= patience // 2
        assert len(heights) > patience // 16
        again = replace(record, registered_height=last.height + 50)
        assert due_height(state, again, last) == last.height + interval - 1
        assert due_height(state, record, None) == 0

    with_node(make_config(), scenario)


def test_an_observer_a_stranger_and_a_retired_node_send_nothing(make_config: Make) -> None:
    async def scenario(node: Node) -> None:
        await node.register(node.config.node, None)
        assert due(node)
        assert not due(node, instance=1)
        assert not due(node, account="bpa1" + "a" * 32)

    with_node(make_config(), scenario)


def test_nothing_is_sent_while_the_ledger_is_deactivated(make_config: Make) -> None:
    config = make_config()

    async def scenario(node: Node) -> None:
        assert node.ledger is not None
        guardian = LocalSigner(read_key(config.keys.registry or "", key="keys.registry"))
        await node.register(config.node, None)
        assert due(node)
        for nonce, (kind, is_active) in enumerate((("registry.deactivate", False), ("registry.reactivate", True))):
            account = account_id_of(guardian.public_key)
            command = Command(node.network.ledger_id, account, nonce, 100, kind, {"reason": b"r" * 32})
            await node.ledger.submit(sign_command(guardian, command).encode())
            assert due(node) == is_active

    with_node(config, scenario)


def test_the_task_sends_a_beat_by_itself_and_then_rests(make_config: Make) -> None:
    config = make_config(ledger=LedgerSection("embedded", "testnet", heartbeat_seconds=1))

    async def scenario(node: Node) -> None:
        await node.register(node.config.node, None)
        task = asyncio.create_task(Heartbeats(node).run())
        async with asyncio.timeout(30):
            while load_beat(node.lookups.current().state, node.account) is None:  # noqa: ASYNC110 - the ledger tells nobody
                await asyncio.sleep(0.01)
        height = node.lookups.height
        await asyncio.sleep(2.5)
        # Two periods later nothing has followed: a ledger where nothing happens is left alone.
        assert node.lookups.height == height
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with_node(config, scenario)


def test_a_node_whose_period_is_0_sends_none(make_config: Make) -> None:
    async def scenario(node: Node) -> None:
        await node.register(node.config.node, None)
        await Heartbeats(node).run()
        assert load_beat(node.lookups.current().state, node.account) is None

    with_node(make_config(ledger=LedgerSection("embedded", "testnet", heartbeat_seconds=0)), scenario)


def test_jitter_is_a_share_and_spread() -> None:
    shares = [jitter_of(f"bpa1{number:032d}") for number in range(200)]
    assert all(0 <= share < 1 for share in shares)
    assert jitter_of("bpa1") == jitter_of("bpa1")
    assert min(shares) < 0.1
    assert max(shares) > 0.9
