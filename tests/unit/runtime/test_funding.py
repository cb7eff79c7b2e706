import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import BpciError, UnreachableError
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime import funding as funding_module
from bpci_node.runtime.config import NodeConfig, TargetSection
from bpci_node.runtime.counters import Counters, Timings
from bpci_node.runtime.funding import Funding
from bpci_node.runtime.intake import Intake
from bpci_node.runtime.node import Node
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.store import Store

T = "eip155:1"
Sign = Callable[..., bytes]


@dataclass
class Accounts:
    """A chain in memory: who has what, and whether it answers."""

    states_of: dict[bytes, SenderState] = field(default_factory=dict)
    failure: UnreachableError | None = None
    gate: threading.Event | None = None
    asked: list[list[bytes]] = field(default_factory=list)

    def states(self, addresses: Iterable[bytes]) -> Mapping[bytes, SenderState]:
        wanted = list(addresses)
        self.asked.append(wanted)
        if self.gate is not None:
            self.gate.wait(5)
        if self.failure is not None:
            raise self.failure
        return {address: self.states_of.get(address, SenderState(0, 0)) for address in wanted}


@dataclass
class Bench:
    accounts: Accounts
    pool: TargetPool
    funding: Funding
    intake: Intake
    counters: Counters


@contextmanager
def bench(directory: Path, accounts: Accounts) -> Iterator[Bench]:
    store, counters, timings = Store(directory / "state"), Counters(), Timings()
    guard = ArrivalGuard(directory / "guard")
    pool = TargetPool(TargetConfig(T, 0), PoolLimits(), guard=guard, ledger_id="x:" + "0" * 64, is_checked=True)
    funding = Funding({T: accounts}, {T: pool}, store, counters=counters, timings=timings)
    signer = LocalSigner(b"\x01" * 32)
    intake = Intake(store, {T: pool}, signer=signer, funding=funding, counters=counters, timings=timings)
    try:
        yield Bench(accounts, pool, funding, intake, counters)
    finally:
        intake.close()
        funding.close()
        store.close()


def codes(results: list[Any]) -> list[str | None]:
    return [item.code if isinstance(item, BpciError) else None for item in results]


def rich(*raws: bytes, nonce: int = 0) -> dict[bytes, SenderState]:
    return {decode_transaction(raw).sender: SenderState(nonce, 10**18) for raw in raws}


def test_senders_are_asked_for_once_a_batch_and_judged_by_what_the_chain_says(tmp_path: Path, sign_raw: Sign) -> None:
    funded, poor, used = sign_raw(1), sign_raw(2), sign_raw(3)
    accounts = Accounts(rich(funded, sign_raw(1, nonce=1)) | rich(used, nonce=5))
    with bench(tmp_path, accounts) as on:
        results = asyncio.run(on.intake.accept(T, [funded, b"\xff", poor, used, sign_raw(1, nonce=1)]))
        assert codes(results) == [None, "entry.format", "entry.funds", "entry.nonce", None]
        assert accounts.asked == [sorted(decode_transaction(raw).sender for raw in (funded, poor, used))]


def test_a_chain_that_fails_fails_the_batch_and_for_a_moment_every_other_at_once(
    tmp_path: Path, sign_raw: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(funding_module, "PAUSE_SECONDS", 0.3)
    accounts = Accounts(rich(sign_raw(1)), failure=UnreachableError("no answer", code="unreachable.chain"))

    async def run(on: Bench) -> None:
        for _ in range(2):
            with pytest.raises(UnreachableError) as found:
                await on.intake.accept(T, [sign_raw(1)])
            assert found.value.code == "unreachable.chain"
        assert len(accounts.asked) == 1
        accounts.failure = None
        await asyncio.sleep(0.35)
        assert codes(await on.intake.accept(T, [sign_raw(1)])) == [None]

    with bench(tmp_path, accounts) as on:
        asyncio.run(run(on))
        assert (on.pool.count, on.intake.waiting_bytes) == (1, 0)


def test_a_chain_that_hangs_is_not_waited_for(tmp_path: Path, sign_raw: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(funding_module, "DEADLINE_SECONDS", 0.2)
    accounts = Accounts(gate=threading.Event())
    with bench(tmp_path, accounts) as on:
        with pytest.raises(UnreachableError) as found:
            asyncio.run(on.intake.accept(T, [sign_raw(1)]))
        assert found.value.code == "unreachable.chain"
        accounts.gate.set()


def test_what_the_chain_has_run_meanwhile_leaves_round_by_round(
    tmp_path: Path, sign_raw: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(funding_module, "REVISED_SENDERS", 2)
    raws = [sign_raw(key) for key in range(1, 6)]
    accounts = Accounts(rich(*raws))

    async def run(on: Bench) -> None:
        assert codes(await on.intake.accept(T, raws)) == [None] * 5
        accounts.states_of |= rich(*raws[:4], nonce=1)
        accounts.asked.clear()
        for _ in range(3):
            await on.funding.revise(1)
        assert [len(item) for item in accounts.asked] == [2, 2, 1]
        found = await on.intake.find_entries(T, [decode_transaction(raw).txid for raw in raws])
        assert [item["state"] for item in found] == ["spent"] * 4 + ["pooled"]
        accounts.failure = UnreachableError("no answer", code="unreachable.chain")
        await on.funding.revise(2)

    with bench(tmp_path, accounts) as on:
        asyncio.run(run(on))
        assert (on.counters.spent, on.pool.count) == (4, 1)


def test_a_node_whose_chain_is_away_says_that_it_checks_and_accepts_nothing(
    make_config: Callable[..., NodeConfig], sign_raw: Sign
) -> None:
    config = make_config(targets=(TargetSection(T, 0, state="rpc:http://127.0.0.1:1/"),))

    async def run() -> None:
        node = Node(config)
        try:
            assert (await node.overview.summary(T))["funding"] == "checked"
            with pytest.raises(UnreachableError) as found:
                await node.intake.accept(T, [sign_raw(1)])
            assert found.value.code == "unreachable.chain"
        finally:
            await node.close()

    asyncio.run(run())
