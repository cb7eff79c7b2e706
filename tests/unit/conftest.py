"""What several unit tests share: the repository's real transactions, and transactions signed on the spot.

The signing of transactions here is built on the `rlp` library and coincurve's signer, not on the code under test.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import rlp
from coincurve import PrivateKey

from bpci_node.auction.bundle import NO_PARENT, Bundle
from bpci_node.auction.seal import seal_bundle
from bpci_node.auction.selection import select
from bpci_node.chain.certificate import issue_certificate
from bpci_node.chain.registration import NodeRecord
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import Transaction, decode_transaction, from_rpc_json
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.keys import LocalSigner

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
MAINNET = Path(__file__).parents[2] / "data" / "mainnet"


def _bytes(value: Any) -> Any:
    return value if isinstance(value, (bytes, list)) else value.to_bytes((value.bit_length() + 7) // 8, "big")


def _sign(
    key: int = 1,
    *,
    tx_type: int = 2,
    chain_id: int = 1,
    nonce: int = 0,
    max_fee: int = 100,
    tip: int = 100,
    gas: int = 21_000,
    to: bytes = b"\x22" * 20,
    value: int = 0,
    data: bytes = b"",
    access_list: Sequence[Any] = (),
    protected: bool = True,
    high_s: bool = False,
    raw_fields: dict[int, Any] | None = None,
) -> bytes:
    """Return a raw signed transaction; ``raw_fields`` replaces fields by position, before signing."""
    call = [gas, to, value, data]
    lists = [list(access_list)]
    if tx_type == 0:
        fields = [nonce, max_fee, *call]
    elif tx_type == 1:
        fields = [chain_id, nonce, max_fee, *call, *lists]
    else:
        fields = [chain_id, nonce, tip, max_fee, *call, *lists]
        if tx_type == 3:
            fields += [1, [b"\x01" + b"\x33" * 31]]
        elif tx_type == 4:
            fields += [[[b"\x01", b"\x44" * 20, b"", b"", b"\x01", b"\x01"]]]
    for position, replacement in (raw_fields or {}).items():
        fields[position] = replacement
    fields = [_bytes(field) for field in fields]
    envelope = b"" if tx_type == 0 else bytes([tx_type])
    signed = [*fields, _bytes(chain_id), b"", b""] if tx_type == 0 and protected else fields
    signature = PrivateKey(key.to_bytes(32, "big")).sign_recoverable(
        keccak256(envelope + rlp.encode(signed)), hasher=None
    )
    r, s, parity = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if high_s:
        s, parity = ORDER - s, parity ^ 1
    v = parity
    if tx_type == 0:
        v = chain_id * 2 + 35 + parity if protected else 27 + parity
    return envelope + rlp.encode([*fields, _bytes(v), _bytes(r), _bytes(s)])


@pytest.fixture(scope="session")
def sign_raw() -> Callable[..., bytes]:
    """Sign a transaction with the private key of this number; keyword arguments are its fields."""
    return _sign


@pytest.fixture(scope="session")
def mainnet_json() -> list[dict[str, Any]]:
    """The 1,167 transactions that the repository carries, as JSON-RPC gave them, in the order of their blocks."""
    return [
        tx
        for path in sorted(MAINNET.glob("*.json.gz"))
        for tx in json.loads(gzip.decompress(path.read_bytes()))["transactions"]
    ]


@pytest.fixture(scope="session")
def mainnet(mainnet_json: list[dict[str, Any]]) -> list[Transaction]:
    """The same, decoded."""
    return [decode_transaction(from_rpc_json(tx)) for tx in mainnet_json]


NODE = LocalSigner(b"\x01" * 32)
REGISTRY = LocalSigner(b"\x02" * 32)
LEDGER_ID = "devnet:" + "ab" * 32


def _certificate(registry: LocalSigner, ledger_id: str, node: LocalSigner) -> bytes:
    record = NodeRecord(
        account="bpa1" + "a" * 32,
        node_key=node.public_key,
        node_type="bpi-community",
        flags={},
        capabilities=(),
        endpoints=(),
        report_digest=bytes(32),
        instance=0,
        status="active",
        registered_height=1,
        updated_height=1,
    )
    return issue_certificate(registry, ledger_id, record)


@pytest.fixture(scope="session")
def certify() -> Callable[..., bytes]:
    """Issue a registration certificate; arguments are registry, ledger id and node."""
    return _certificate


@pytest.fixture(scope="session")
def seal() -> Callable[..., Bundle]:
    """Select from a pool and seal as the node of ``NODE``, certified by ``REGISTRY`` for ``LEDGER_ID``."""

    def _seal(pool: Pool, gas_limit: int = 60_000_000, **changes: Any) -> Bundle:
        terms: dict[str, Any] = {
            "signer": NODE,
            "ledger_id": LEDGER_ID,
            "sequence": 1,
            "parent": NO_PARENT,
            "time_ms": 1_700_000_100_000,
            "gas_limit": gas_limit,
            "certificate": _certificate(REGISTRY, LEDGER_ID, NODE),
        }
        return seal_bundle(pool, select(pool, gas_limit), **terms | changes)

    return _seal


@pytest.fixture(scope="session")
def node() -> LocalSigner:
    """The node that seals."""
    return NODE


@pytest.fixture(scope="session")
def registry() -> LocalSigner:
    """The registry of the ledger that the node belongs to."""
    return REGISTRY


@pytest.fixture(scope="session")
def small_pool(sign_raw: Callable[..., bytes]) -> Pool:
    """Eight entries of five senders in several buckets, two of them below the base fee."""
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=20))
    raws = [
        sign_raw(1, nonce=0, max_fee=60, tip=5),
        sign_raw(1, nonce=1, max_fee=500, tip=200, gas=100_000, data=b"\x01"),
        sign_raw(2, nonce=9, max_fee=300, tip=20),
        sign_raw(2, nonce=11, max_fee=300, tip=20, tx_type=0),
        sign_raw(3, max_fee=300, tip=20, tx_type=4),
        sign_raw(3, nonce=1, max_fee=49, tip=1, data=b"\x01"),
        sign_raw(4, max_fee=300, tip=20, tx_type=3, gas=400_000),
        sign_raw(5, max_fee=45, tip=1),
    ]
    for number, raw in enumerate(raws, start=1):
        pool.insert(decode_transaction(raw), number, 1_700_000_000_000 + number)
    return pool
