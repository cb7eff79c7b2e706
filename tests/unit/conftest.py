"""What several unit tests share: the repository's real transactions, and transactions signed on the spot.

The signing here is built on the `rlp` library and coincurve's signer, not on the code under test.
"""

import gzip
import json
from pathlib import Path

import pytest
import rlp
from coincurve import PrivateKey

from bpci_node.primitives.ethereum import decode_transaction, from_rpc_json
from bpci_node.primitives.hashing import keccak256

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
MAINNET = Path(__file__).parents[2] / "data" / "mainnet"


def _bytes(value):
    return value if isinstance(value, (bytes, list)) else value.to_bytes((value.bit_length() + 7) // 8, "big")


def _sign(
    key=1,
    *,
    tx_type=2,
    chain_id=1,
    nonce=0,
    max_fee=100,
    tip=100,
    gas=21_000,
    to=b"\x22" * 20,
    value=0,
    data=b"",
    access_list=(),
    blob_hashes=(b"\x01" + b"\x33" * 31,),
    authorizations=None,
    protected=True,
    high_s=False,
    raw_fields=None,
):
    """Return a raw signed transaction; ``raw_fields`` replaces fields by position, before signing."""
    if authorizations is None:
        authorizations = [[1, b"\x44" * 20, 0, 0, 1, 1]]
    call = [gas, to, value, data]
    lists = [list(access_list)]
    if tx_type == 0:
        fields = [nonce, max_fee, *call]
    elif tx_type == 1:
        fields = [chain_id, nonce, max_fee, *call, *lists]
    else:
        fields = [chain_id, nonce, tip, max_fee, *call, *lists]
        if tx_type == 3:
            fields += [1, list(blob_hashes)]
        elif tx_type == 4:
            fields += [[[_bytes(part) for part in item] for item in authorizations]]
    for position, replacement in (raw_fields or {}).items():
        fields[position] = replacement
    fields = [_bytes(field) for field in fields]
    envelope = b"" if tx_type == 0 else bytes([tx_type])
    signed = fields + [_bytes(chain_id), b"", b""] if tx_type == 0 and protected else fields
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
def sign_raw():
    """Sign a transaction with the private key of this number; keyword arguments are its fields."""
    return _sign


@pytest.fixture(scope="session")
def mainnet_json():
    """The 1,167 transactions that the repository carries, as JSON-RPC gave them, in the order of their blocks."""
    return [
        tx
        for path in sorted(MAINNET.glob("*.json.gz"))
        for tx in json.loads(gzip.decompress(path.read_bytes()))["transactions"]
    ]


@pytest.fixture(scope="session")
def mainnet(mainnet_json):
    """The same, decoded."""
    return [decode_transaction(from_rpc_json(tx)) for tx in mainnet_json]
