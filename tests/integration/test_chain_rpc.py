"""A pool beside a real Ethereum node (anvil, from npm): what it says of accounts decides who gets in and who leaves."""

import itertools
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.errors import RefusedError, UnreachableError
from bpci_node.mempool.cancellation import Cancellation, typed_data
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.network.chain_rpc import ChainRpc
from bpci_node.primitives.ethereum import Transaction, decode_transaction

ROOT = Path(__file__).parents[2]
CHAIN_ID = 31_337
ETHER = 10**18
LEDGER_ID = "devnet:" + "ab" * 32


class Chain:
    """A local node with ten accounts that it signs for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = itertools.count()
        self._client = httpx.Client(trust_env=False)

    def call(self, method: str, *parameters: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": parameters}
        answer = self._client.post(self.url, json=body).json()
        assert "error" not in answer, answer
        return answer["result"]

    def run(self, method: str, transaction: Any) -> Any:
        """Send a transaction by this method and return its receipt, which comes with the block a moment later."""
        txid = self.call(method, transaction)
        deadline = time.monotonic() + 10
        while (receipt := self.call("eth_getTransactionReceipt", txid)) is None:
            assert time.monotonic() < deadline, f"{txid} is in no block"
            time.sleep(0.02)
        return receipt

    def sign(self, sender: str, nonce: int, *, max_fee: int, gas: int = 21_000, value: int = 0) -> Transaction:
        raw = self.call(
            "eth_signTransaction",
            {
                "from": sender,
                "to": "0x" + "22" * 20,
                "nonce": hex(nonce),
                "gas": hex(gas),
                "value": hex(value),
                "maxFeePerGas": hex(max_fee),
                "maxPriorityFeePerGas": hex(max_fee),
                "chainId": hex(CHAIN_ID),
            },
        )
        return decode_transaction(octets(raw))

    def close(self) -> None:
        self._client.close()


def octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    anvil = subprocess.run([ROOT / "scripts/test-tools.sh"], check=True, stdout=subprocess.PIPE, text=True).stdout
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [anvil.strip(), "--port", str(port), "--chain-id", str(CHAIN_ID), "--silent"], stdout=subprocess.DEVNULL
    ) as process:
        found = Chain(f"http://127.0.0.1:{port}")
        try:
            for _ in range(200):
                try:
                    assert found.call("eth_chainId") == hex(CHAIN_ID)
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield found
        finally:
            found.close()
            process.terminate()


@pytest.fixture
def provider(chain: Chain) -> Iterator[ChainRpc]:
    provider = ChainRpc(chain.url, CHAIN_ID)
    yield provider
    provider.close()


def insert(pool: Pool, provider: ChainRpc, tx: Transaction, arrival_seq: int) -> Any:
    return pool.insert(tx, arrival_seq, arrival_seq, state=provider.states([tx.sender])[tx.sender])


def test_accounts_are_what_the_chain_says(chain: Chain, provider: ChainRpc) -> None:
    rich, poor = chain.call("eth_accounts")[0], "0x" + "99" * 20
    before = provider.states([octets(rich), octets(poor)])
    assert before[octets(poor)] == SenderState(0, 0)
    assert before[octets(rich)].balance_wei == int(chain.call("eth_getBalance", rich, "latest"), 16)
    chain.run("eth_sendTransaction", {"from": rich, "to": poor, "value": hex(ETHER)})
    assert provider.states([octets(poor)]) == {octets(poor): SenderState(0, 0)}  # kept for a moment
    provider.forget()
    after = provider.states([octets(rich), octets(poor)])
    assert after[octets(poor)] == SenderState(0, ETHER)
    assert after[octets(rich)].nonce == before[octets(rich)].nonce + 1


def test_a_thousand_accounts_are_asked_for_at_once(chain: Chain, provider: ChainRpc) -> None:
    many = [number.to_bytes(20, "big") for number in range(10**9, 10**9 + 1000)]
    assert set(provider.states(many).values()) == {SenderState(0, 0)}


def test_a_node_of_another_chain_is_refused(chain: Chain) -> None:
    provider = ChainRpc(chain.url, 1)
    with pytest.raises(UnreachableError) as caught:
        provider.states([bytes(20)])
    assert caught.value.code == "unreachable.chain_id"
    provider.close()


def test_only_who_can_pay_gets_in_and_who_spends_it_elsewhere_leaves(chain: Chain, provider: ChainRpc) -> None:
    sender, *_, other = chain.call("eth_accounts")[1:4]
    target = TargetConfig(f"eip155:{CHAIN_ID}", base_fee_wei=10**9)
    pool = Pool(target, PoolLimits(entries=4), ledger_id=LEDGER_ID, is_checked=True)
    balance = provider.states([octets(sender)])[octets(sender)].balance_wei
    first = chain.sign(sender, 0, max_fee=2 * 10**9, value=balance // 2)
    insert(pool, provider, first, 1)
    with pytest.raises(RefusedError) as caught:
        insert(pool, provider, chain.sign(sender, 1, max_fee=2 * 10**9, value=balance // 2), 2)
    assert caught.value.code == "entry.funds"
    assert caught.value.details["balance_wei"] == str(balance)
    second, third = (chain.sign(sender, nonce, max_fee=2 * 10**9) for nonce in (1, 2))
    insert(pool, provider, second, 2)
    insert(pool, provider, third, 3)
    assert pool.revise(provider.states(pool.senders())) == []

    # The sender runs its first nonce elsewhere, and spends on it nearly all that it has.
    price = 3 * 10**9
    receipt = chain.run(
        "eth_sendTransaction",
        {
            "from": sender,
            "to": other,
            "gas": hex(21_000),
            "gasPrice": hex(price),
            "value": hex(balance - 21_000 * price - second.cost_wei),
        },
    )
    assert receipt["gasUsed"] == hex(21_000)
    provider.forget()
    gone = pool.revise(provider.states(pool.senders()))
    assert [entry.leaf.nonce for entry in gone] == [0, 2]
    assert [entry.leaf.txid for entry in pool] == [second.txid]


def test_a_wallets_signature_takes_an_entry_back(chain: Chain, provider: ChainRpc) -> None:
    sender = chain.call("eth_accounts")[5]
    pool = Pool(TargetConfig(f"eip155:{CHAIN_ID}", base_fee_wei=10**9), ledger_id=LEDGER_ID, is_checked=True)
    tx = chain.sign(sender, 0, max_fee=2 * 10**9)
    insert(pool, provider, tx, 1)
    asked = Cancellation(LEDGER_ID, pool.target.id, tx.txid, 1, b"")
    answer = octets(chain.call("eth_signTypedData_v4", sender, typed_data(asked)))
    pool.cancel(Cancellation(LEDGER_ID, pool.target.id, tx.txid, 1, answer))
    assert len(pool) == 0


def test_what_the_pool_believes_a_transaction_uses_at_least_it_does_use(chain: Chain) -> None:
    sender = chain.call("eth_accounts")[6]
    fields = [
        {"to": "0x" + "22" * 20},
        {"to": "0x" + "22" * 20, "data": "0x" + "00" * 100 + "ff" * 50},
        {"to": "0x" + "22" * 20, "accessList": [{"address": "0x" + "33" * 20, "storageKeys": ["0x" + "00" * 32] * 3}]},
        {"data": "0x" + "00" * 40},
    ]
    for nonce, extra in enumerate(fields):
        raw = chain.call(
            "eth_signTransaction",
            {
                "from": sender,
                "nonce": hex(nonce),
                "gas": hex(200_000),
                "maxFeePerGas": hex(10**10),
                "maxPriorityFeePerGas": hex(1),
                "chainId": hex(CHAIN_ID),
            }
            | extra,
        )
        tx = decode_transaction(octets(raw))
        used = int(chain.run("eth_sendRawTransaction", raw)["gasUsed"], 16)
        assert 21_000 <= tx.floor_gas <= used
        if nonce == 0:
            assert tx.floor_gas == used
