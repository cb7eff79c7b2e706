import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpci_node.errors import BpciError, UnreachableError
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.native import sign_native
from bpci_node.primitives.ethereum import Transaction
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime import recovery as recovery_module
from bpci_node.runtime.recovery import LEAST_BATCH, Recovery
from bpci_node.runtime.recovery_worker import Decoded, decode


@pytest.fixture
def recovery() -> Iterator[Recovery]:
    item = Recovery(workers=2)
    yield item
    item.close()


def run(recovery: Recovery, raws: list[bytes]) -> list[Decoded]:
    return asyncio.run(recovery.decode(raws))


def plain(items: list[Decoded]) -> list[object]:
    return [(type(item), item.as_problem()) if isinstance(item, BpciError) else item for item in items]


def pids(recovery: Recovery) -> list[int]:
    return [worker.pid for worker in recovery._idle]


def ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_worker_gives_what_decoding_here_gives(recovery: Recovery, mainnet: list[Transaction]) -> None:
    raws = [item.raw for item in mainnet[:200]]
    native = sign_native(
        LocalSigner(b"\x07" * 32),
        ledger_id="testnet:" + "0" * 64,
        target="eip155:1",
        kind=EntryType.SETTLEMENT,
        nonce=3,
        fee=10**9,
        gas=30_000,
        body=b"body",
    )
    raws[7:7] = [b"", b"\xff", raws[3][:-1], b"\x05\xc0", b"\x02" + bytes(140_000), native.raw, native.raw[:-1] + b"x"]
    assert plain(run(recovery, raws)) == plain([decode(raw) for raw in raws])
    assert recovery.running == 2
    assert recovery.waiting == 0


def test_small_batches_start_no_process(recovery: Recovery, mainnet: list[Transaction]) -> None:
    assert run(recovery, [item.raw for item in mainnet[: LEAST_BATCH - 1]]) == mainnet[: LEAST_BATCH - 1]
    assert run(recovery, []) == []
    assert recovery.running == 0


def test_a_worker_gets_one_socket_and_nothing_else(
    recovery: Recovery, monkeypatch: pytest.MonkeyPatch, mainnet: list[Transaction]
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/bpci-node.service")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    read, write = os.pipe()
    os.set_inheritable(read, True)  # noqa: FBT003 - the system's call
    run(recovery, [item.raw for item in mainnet[:LEAST_BATCH]])
    (pid,) = pids(recovery)
    links = {path.name: str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    assert sorted(links) == ["0", "1", "2"]
    assert links["0"].startswith("socket:")
    assert links["1"] == "/dev/null"
    names = [item.partition(b"=")[0] for item in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if item]
    assert names == [b"PYTHONPATH"]
    os.close(read)
    os.close(write)


def test_a_worker_killed_over_a_batch_fails_that_batch_alone(recovery: Recovery, mainnet: list[Transaction]) -> None:
    raws = [item.raw for item in mainnet[:LEAST_BATCH]]
    run(recovery, raws)
    (pid,) = pids(recovery)
    os.kill(pid, signal.SIGSTOP)

    async def kill() -> tuple[list[Decoded], list[Decoded] | BaseException]:
        doomed = asyncio.create_task(recovery.decode(raws))
        await asyncio.sleep(0.1)
        found = await recovery.decode(raws)
        os.kill(pid, signal.SIGKILL)
        (failure,) = await asyncio.gather(doomed, return_exceptions=True)
        return found, failure

    found, failure = asyncio.run(kill())
    assert found == mainnet[:LEAST_BATCH]
    assert isinstance(failure, UnreachableError)
    assert failure.code == "unreachable.recovery"
    assert (recovery.running, recovery.crashes) == (1, 1)
    assert run(recovery, raws) == mainnet[:LEAST_BATCH]


def test_a_worker_that_died_unnoticed_costs_nobody_a_batch(recovery: Recovery, mainnet: list[Transaction]) -> None:
    raws = [item.raw for item in mainnet[:LEAST_BATCH]]
    run(recovery, raws)
    (pid,) = pids(recovery)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert run(recovery, raws) == mainnet[:LEAST_BATCH]
    assert (recovery.running, recovery.crashes) == (1, 1)
    assert ended(pid)


def test_a_hung_worker_is_ended(
    recovery: Recovery, monkeypatch: pytest.MonkeyPatch, mainnet: list[Transaction]
) -> None:
    raws = [item.raw for item in mainnet[:LEAST_BATCH]]
    monkeypatch.setattr(recovery_module, "PATIENCE_SECONDS", 1.0)
    run(recovery, raws)
    (pid,) = pids(recovery)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(UnreachableError) as found:
        run(recovery, raws)
    assert found.value.code == "unreachable.recovery"
    assert ended(pid)
    assert run(recovery, raws) == mainnet[:LEAST_BATCH]


def test_workers_outlive_the_signal_that_stops_the_service(recovery: Recovery, mainnet: list[Transaction]) -> None:
    raws = [item.raw for item in mainnet[:LEAST_BATCH]]
    run(recovery, raws)
    (pid,) = pids(recovery)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)
    assert run(recovery, raws) == mainnet[:LEAST_BATCH]
    assert pids(recovery) == [pid]


def test_idle_workers_end(recovery: Recovery, monkeypatch: pytest.MonkeyPatch, mainnet: list[Transaction]) -> None:
    run(recovery, [item.raw for item in mainnet[: 2 * LEAST_BATCH]])
    started = pids(recovery)
    recovery.retire_idle()
    assert recovery.running == len(started) > 0
    monkeypatch.setattr(recovery_module, "IDLE_SECONDS", 0.0)
    recovery.retire_idle()
    assert recovery.running == 0
    assert all(ended(pid) for pid in started)


def test_closing_finishes_what_was_begun(mainnet: list[Transaction]) -> None:
    recovery = Recovery(workers=1)

    async def both() -> list[Decoded]:
        task = asyncio.create_task(recovery.decode([item.raw for item in mainnet]))
        await asyncio.sleep(0)
        await asyncio.to_thread(recovery.close)
        return await task

    assert asyncio.run(both()) == mainnet
    assert recovery.running == 0
