"""The node's headers and proofs: what they say of its pools, and what asking for them can cost it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from bpci_node.errors import LimitError, NotFoundError
from bpci_node.mempool.header import verify_header
from bpci_node.mempool.verify import Trust, verify_mempool_proof
from bpci_node.primitives.ethereum import Transaction
from bpci_node.runtime import proving
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.node import Node

T = "eip155:1"
EMPTY = b"\x00\x03\xff\xff"
Make = Callable[..., NodeConfig]


@asynccontextmanager
async def running(config: NodeConfig) -> AsyncIterator[Node]:
    node = Node(config)
    try:
        yield node
    finally:
        await node.close()


def test_a_header_follows_what_happens(make_config: Make, mainnet: list[Transaction]) -> None:
    async def scenario() -> None:
        async with running(make_config()) as node:
            headers = [await node.header(T)]
            await node.intake.accept(T, [item.raw for item in mainnet[:100]])
            headers.append(await node.header(T))
            await node.seal(T)
            headers.append(await node.header(T))
            for header in headers:
                verify_header(header)
            empty, full, sealed = headers
            assert (empty.entries, empty.arrival_seq, empty.running_hash, empty.sequence) == (0, 0, bytes(32), 0)
            assert (full.entries, full.arrival_seq, full.sequence) == (100, 100, 0)
            assert (sealed.arrival_seq, sealed.running_hash, sealed.sequence) == (100, full.running_hash, 1)
            assert sealed.entries < 100
            assert len({header.mx_root for header in headers}) == 3
            await node.register(node.config.node, None)
            assert (await node.header(T)).certificate == node.certificate

    asyncio.run(scenario())


def test_a_restarted_node_has_the_root_that_it_had(make_config: Make, mainnet: list[Transaction]) -> None:
    async def scenario() -> None:
        config = make_config()
        async with running(config) as node:
            await node.intake.accept(T, [item.raw for item in mainnet[:200]])
            await node.seal(T, gas_limit=2_000_000)
            await node.intake.accept(T, [item.raw for item in mainnet[200:300]])
            before = await node.header(T)
        async with running(config) as node:
            after = await node.header(T)
        assert (after.mx_root, after.running_hash, after.sequence) == (before.mx_root, before.running_hash, 1)

    asyncio.run(scenario())


def test_a_proof_is_of_the_pool_as_it_stands(make_config: Make, mainnet: list[Transaction]) -> None:
    async def scenario() -> None:
        async with running(make_config()) as node:
            trust = Trust(signer=node.signer.public_key, ledger_id=node.network.ledger_id)
            with pytest.raises(NotFoundError):
                await node.prove(T, [mainnet[0].txid], [])
            await node.intake.accept(T, [item.raw for item in mainnet[:50]])
            proofs = await asyncio.gather(
                *(node.prove(T, [item.txid], [EMPTY]) for item in mainnet[:20]),
                node.intake.accept(T, [item.raw for item in mainnet[50:100]]),
            )
            for item, proof in zip(mainnet[:20], proofs, strict=False):
                found = verify_mempool_proof(proof.encode(), trust)
                assert found.buckets[0].entries[0].txid == item.txid
                assert found.header.arrival_seq in {50, 100}

    asyncio.run(scenario())


def test_more_than_can_wait_is_turned_away(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "MAX_WAITING", 3)

    async def scenario() -> None:
        async with running(make_config()) as node:
            results = await asyncio.gather(*(node.header(T) for _ in range(5)), return_exceptions=True)
            refused = [item for item in results if isinstance(item, LimitError)]
            assert [item.code for item in refused] == ["limit.busy"] * 2
            await node.header(T)

    asyncio.run(scenario())


def test_a_pool_far_behind_is_brought_up_to_date_in_steps(
    make_config: Make, mainnet: list[Transaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "STEP", 10)

    async def scenario() -> None:
        async with running(make_config()) as node:
            await node.intake.accept(T, [item.raw for item in mainnet[:200]])
            pool = node.pools[T].pool
            steps = len(pool.buckets()) // 10
            assert (pool.behind, steps > 3) == (len(pool.buckets()), True)
            seen: list[str] = []
            node.timings.observe = lambda step, _: seen.append(step)
            header = await node.header(T)
            assert seen.count("root") == steps + 1
            assert (pool.behind, header.mx_root) == (0, pool.roots().mx_root)

    asyncio.run(scenario())


def test_roots_leave_the_writer_half_of_its_time(make_config: Make, mainnet: list[Transaction]) -> None:
    async def scenario() -> None:
        async with running(make_config()) as node:
            spans: list[tuple[float, float]] = []

            def note(step: str, seconds: float) -> None:
                if step == "root":
                    spans.append((loop.time(), seconds))

            loop = asyncio.get_running_loop()
            node.timings.observe = note
            for start in range(0, 400, 100):
                await node.intake.accept(T, [item.raw for item in mainnet[start : start + 100]])
                await node.header(T)
            for (end, seconds), (next_end, next_seconds) in pairwise(spans):
                assert next_end - next_seconds - end >= 0.9 * seconds - 0.002

    asyncio.run(scenario())
