"""A pool of real transactions, and proofs of it."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from bpci_node.mempool.pool import Pool
from bpci_node.mempool.proof import MempoolProof
from bpci_node.mempool.prove import HeaderFacts, prove, snapshot
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import Transaction
from bpci_node.primitives.keys import LocalSigner

ARRIVED = 1_700_000_000_000
LEDGER_ID = "devnet:" + "ab" * 32


@pytest.fixture(scope="session")
def real_pool(mainnet: list[Transaction]) -> Pool:
    """The repository's transactions, as they would wait; not to be changed."""
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000))
    for number, tx in enumerate(mainnet, start=1):
        pool.insert(tx, number, ARRIVED + number)
    pool.mark_sealed([pool.buckets()[3].key], 7)
    return pool


@pytest.fixture(scope="session")
def prove_pool(node: LocalSigner, registry: LocalSigner, certify: Callable[..., bytes]) -> Callable[..., MempoolProof]:
    """Prove entries and buckets of a pool, signed by the node; keyword arguments change the facts of the header."""

    def make(pool: Pool, txids: Iterable[bytes] = (), keys: Iterable[bytes] = (), **changes: Any) -> MempoolProof:
        facts: dict[str, Any] = {
            "ledger_id": LEDGER_ID,
            "arrival_seq": 1167,
            "running_hash": b"\x05" * 32,
            "sequence": 7,
            "time_ms": ARRIVED + 2000,
            "certificate": certify(registry, LEDGER_ID, node),
            "signer": node.public_key,
        }
        return prove(snapshot(pool, HeaderFacts(**facts | changes), txids, keys), node)

    return make
