import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.registration import FLAGS, NodeRegistration
from bpci_node.errors import BpciError, LimitError, StorageError
from bpci_node.primitives.ethereum import Transaction
from bpci_node.primitives.keys import LocalSigner, did_of
from bpci_node.runtime import ledger as ledger_module
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.intake import clock_ms
from bpci_node.runtime.ledger import EmbeddedLedger
from bpci_node.runtime.node import Node
from bpci_node.store.store import Store

T = "eip155:1"


@asynccontextmanager
async def open_ledger(home: Path) -> AsyncIterator[EmbeddedLedger]:
    store = Store(home)
    opened = EmbeddedLedger(
        store,
        name="testnet",
        signer=LocalSigner(b"\x02" * 32),
        urls=(),
        guard=home / "guard",
        clock_ms=clock_ms,
    )
    try:
        yield opened
    finally:
        opened.close()
        store.close()


async def registration(ledger: EmbeddedLedger, number: int) -> bytes:
    signer = LocalSigner(bytes([number]) * 32)
    challenge, challenge_sig = await ledger.challenge(signer.public_key)
    body = NodeRegistration(
        node_type="bpi-community",
        node_key=signer.public_key,
        flags=dict.fromkeys(FLAGS, False),
        capabilities=(),
        endpoints=(),
        report_digest=bytes(32),
        challenge=challenge,
        challenge_sig=challenge_sig,
        instance=0,
    )
    command = Command(
        ledger_id=ledger.network.ledger_id,
        sender=account_id_of(signer.public_key),
        nonce=0,
        expires_height=100,
        kind="registry.register_node",
        body=body.as_body(),
    )
    return sign_command(signer, command).encode()


def test_commands_that_wait_together_share_a_block_and_fail_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_ledger(tmp_path) as ledger:
            commands = [await registration(ledger, number) for number in range(10, 30)]
            commands.insert(5, b"nonsense")
            results: list[Any] = await asyncio.gather(
                *(ledger.submit(item) for item in commands), return_exceptions=True
            )
            assert isinstance(results.pop(5), BpciError)
            assert all(result.height is not None for result in results)
            assert ledger.height < 5
            page = await ledger.list_nodes(node_type=None, status="active", after="", limit=100)
            assert len(page) == 20
        async with open_ledger(tmp_path) as again:
            assert again.height == max(result.height for result in results)
            assert (await again.block(1))["block"]["height"] == 1

    asyncio.run(scenario())


def test_too_many_commands_at_once_are_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with open_ledger(tmp_path) as ledger:
            monkeypatch.setattr(ledger_module, "MAX_WAITING", 0)
            with pytest.raises(LimitError) as caught:
                await ledger.submit(b"x")
            assert caught.value.code == "limit.commands"

    asyncio.run(scenario())


def test_a_block_that_the_guard_could_not_remember_is_shown_to_nobody_until_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_ledger(tmp_path) as ledger:
            await ledger.submit(await registration(ledger, 10))
            later = await registration(ledger, 11)
            (tmp_path / ".guard.partial").mkdir()
            with pytest.raises(StorageError) as caught:
                await ledger.submit(later)
            assert caught.value.code == "storage.guard"
            name = did_of(LocalSigner(b"\x0b" * 32).public_key)
            for question in (ledger.find_node(name), ledger.block(2), ledger.submit(b"x")):
                with pytest.raises(StorageError):
                    await question
            assert ledger.failure is not None
        (tmp_path / ".guard.partial").rmdir()
        async with open_ledger(tmp_path) as again:
            assert again.height == 2
            assert (await again.find_node(name))[0]["status"] == "active"

    asyncio.run(scenario())


def test_a_bundle_that_the_guard_could_not_remember_is_shown_when_it_can(
    make_config: Callable[..., NodeConfig], mainnet: list[Transaction]
) -> None:
    async def scenario() -> None:
        node = Node(make_config())
        try:
            await node.intake.accept(T, [item.raw for item in mainnet[:100]])
            obstacle = node.config.state_dir / "guard" / ".bundles-eip155-1.partial"
            obstacle.mkdir()
            with pytest.raises(StorageError) as caught:
                await node.seal(T, gas_limit=1_000_000)
            assert caught.value.code == "storage.guard"
            with pytest.raises(BpciError):
                await node.bundle(T, 1)
            obstacle.rmdir()
            assert await node.seal(T, gas_limit=1_000_000)
            assert await node.bundle(T, 1)
            assert await node.bundle(T, 2)
        finally:
            await node.close()

    asyncio.run(scenario())
