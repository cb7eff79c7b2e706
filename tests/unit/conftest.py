"""What several unit tests share: the repository's real transactions, and transactions signed on the spot.

The signing here is built on the `rlp` library and coincurve's signer, not on the code under test.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import rlp
from coincurve import PrivateKey

from bpci_node.primitives.ethereum import Transaction, decode_transaction, from_rpc_json
from bpci_node.primitives.hashing import keccak256

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
