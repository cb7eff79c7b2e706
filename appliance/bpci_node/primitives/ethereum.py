"""Signed Ethereum transactions: decoded strictly, hash recomputed, sender recovered from the signature.

Types: legacy (with and without the chain id of EIP-155), 0x01 (EIP-2930), 0x02 (EIP-1559), 0x03 (EIP-4844, without its
blobs) and 0x04 (EIP-7702). Every transaction has exactly one accepted encoding: canonical RLP, integers without leading
zeros, s in the lower half. Not looked at: balances, nonces on the chain, intrinsic gas, the signatures of EIP-7702's
authorizations; they need a chain's rules or its state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from coincurve import PublicKey

from bpci_node.errors import FormatError, RefusedError
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.rlp import Item, Span, encode, encode_integer, encode_list, read_items

MAX_BYTES = 128 * 1024
"""Longest raw transaction that is read. Source: the limit of one transaction in go-ethereum's pool, txMaxSize."""

LEGACY, ACCESS_LIST, DYNAMIC_FEE, BLOB, SET_CODE = range(5)
"""Transaction types; legacy ones have no type byte. Source: EIP-2718, 2930, 1559, 4844, 7702."""

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of secp256k1. Source: SEC 2, section 2.4.1."""

_FIELD_COUNT = {LEGACY: 9, ACCESS_LIST: 11, DYNAMIC_FEE: 12, BLOB: 14, SET_CODE: 13}
_SIGNATURE_FIELDS = 3
_UINT8, _UINT64, _UINT256 = 1, 8, 32  # widths, bytes
_VERSIONED_HASH_KZG = 0x01
_BASE_GAS, _CREATE_GAS, _ZERO_BYTE_GAS, _BYTE_GAS = 21_000, 32_000, 4, 16
_ADDRESS_GAS, _KEY_GAS, _AUTHORIZATION_GAS = 2_400, 1_900, 12_500
"""What every transaction is charged before it runs; of an authorization, what is never refunded.

Source: Ethereum Yellow Paper, appendix G; EIP-2028, 2930, 7702. Later charges (EIP-3860, 7623) only add to it."""
_BLOB_GAS = 131_072
"""Gas of one blob. Source: EIP-4844, GAS_PER_BLOB."""

_QUANTITY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,63})", re.IGNORECASE)
_DATA = re.compile(r"0x([0-9a-f]{2})*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A signed transaction, decoded."""

    raw: bytes
    """Its one encoding, at most ``MAX_BYTES``."""
    txid: bytes
    """keccak256 of ``raw``, 32 bytes."""
    tx_type: int
    """0 legacy to 4."""
    chain_id: int | None
    """1 <= chain_id < 2**64; None for a legacy transaction that names no chain."""
    sender: bytes
    """Address recovered from the signature, 20 bytes."""
    nonce: int
    """0 <= nonce < 2**64 - 1. Source: EIP-2681."""
    gas: int
    """Gas limit, 0 <= gas < 2**64."""
    max_fee: int
    """Most that is paid per gas, wei, below 2**256; the gas price of types 0 and 1."""
    max_priority_fee: int
    """Most that is paid per gas above the base fee, wei, at most ``max_fee``; the gas price of types 0 and 1."""
    to: bytes | None
    """Receiver's address, 20 bytes; None creates a contract."""
    value: int
    """Wei, below 2**256."""
    data_bytes: int
    """Length of the call data."""
    floor_gas: int
    """Gas that it uses at least on every chain with the rules of Ethereum's Berlin fork."""
    blob_wei: int
    """Most that is paid for its blobs, wei."""

    @property
    def cost_wei(self) -> int:
        """The most that it takes from its sender: gas, value and blobs, wei."""
        return self.gas * self.max_fee + self.value + self.blob_wei


def decode_transaction(raw: bytes) -> Transaction:
    """Decode a raw signed transaction and recover its sender.

    Raises:
        FormatError: not canonical, or a field is out of its range (``entry.format``), a type that is not known
            (``entry.type``), or a blob transaction in network form (``entry.blob_sidecar``).
        RefusedError: longer than ``MAX_BYTES`` (``entry.size``), a signature out of range, with high s, or of nobody
            (``entry.signature``), a priority fee above the fee (``entry.fee``).
    Source: EIP-155, 2718, 2930, 1559, 4844, 7702; EIP-2 for s.
    """
    try:
        return _decode(raw)
    except FormatError as error:
        if error.code == "format.rlp":
            raise FormatError(f"not a signed Ethereum transaction: {error.message}", code="entry.format") from error
        raise


def from_rpc_json(tx: Mapping[str, Any]) -> bytes:
    """Return the raw signed transaction that a JSON-RPC transaction object describes.

    Built from the fields alone: whether it is the transaction that the object names shows in its hash.

    Raises:
        FormatError: a member is missing or not in the form of the JSON-RPC specification (``entry.json``).
    Source: Ethereum execution APIs, schemas of signed transactions.
    """
    if not isinstance(tx, Mapping):
        raise _wrong_json("it is not an object")
    tx_type = int.from_bytes(_json_quantity(tx, "type"), "big") if "type" in tx else LEGACY
    if tx_type not in (LEGACY, ACCESS_LIST, DYNAMIC_FEE, BLOB, SET_CODE):
        raise _wrong_json(f"transactions of type {tx_type} are not known here")
    to = _json_data(tx["to"], "to") if tx.get("to") is not None else b""
    call: list[Item] = [
        _json_quantity(tx, "gas"),
        to,
        _json_quantity(tx, "value"),
        _json_data(tx.get("input"), "input"),
    ]
    signature: list[Item] = [_json_quantity(tx, "r"), _json_quantity(tx, "s")]
    if tx_type == LEGACY:
        return encode(
            [_json_quantity(tx, "nonce"), _json_quantity(tx, "gasPrice"), *call, _json_quantity(tx, "v"), *signature]
        )
    fees = ("gasPrice",) if tx_type == ACCESS_LIST else ("maxPriorityFeePerGas", "maxFeePerGas")
    items: list[Item] = [
        _json_quantity(tx, "chainId"),
        _json_quantity(tx, "nonce"),
        *(_json_quantity(tx, fee) for fee in fees),
    ]
    items += [*call, _json_access_list(tx)]
    if tx_type == BLOB:
        hashes: list[Item] = [_json_data(item, "blobVersionedHashes") for item in _json_list(tx, "blobVersionedHashes")]
        items += [_json_quantity(tx, "maxFeePerBlobGas"), hashes]
    elif tx_type == SET_CODE:
        items.append([_json_authorization(item) for item in _json_list(tx, "authorizationList")])
    items += [_json_quantity(tx, "yParity" if "yParity" in tx else "v"), *signature]
    return bytes([tx_type]) + encode(items)


def _decode(raw: bytes) -> Transaction:
    tx_type, offset = _type_of(raw)
    outer = list(islice(read_items(raw, offset, len(raw)), 2))
    if len(outer) != 1 or not outer[0].is_list:
        raise _malformed("it is not one list")
    start, end = outer[0].start, outer[0].end
    expected = _FIELD_COUNT[tx_type]
    fields = list(islice(read_items(raw, start, end), expected + 1))
    if tx_type == BLOB and fields and fields[0].is_list:
        # Looked at before the size: a single blob has 128 KiB, and "too long" would not tell what is wrong.
        raise FormatError(
            "a blob transaction in network form, with its blobs",
            code="entry.blob_sidecar",
            hint="Send the transaction alone, without blobs, commitments and proofs.",
        )
    if len(raw) > MAX_BYTES:
        raise RefusedError(
            f"a transaction of {len(raw)} bytes, at most {MAX_BYTES} are accepted", code="entry.size", limit=MAX_BYTES
        )
    if len(fields) != expected:
        raise _malformed(f"a transaction of type {tx_type} has {expected} fields")

    chain_id: int | None
    signed_payload = raw[start : fields[-_SIGNATURE_FIELDS - 1].end]
    v = _integer(raw, fields[-3], _UINT64 + 1, "v")
    if tx_type == LEGACY:
        chain_id, parity = _split_v(v)
        if chain_id is not None:
            signed_payload += encode_integer(chain_id) + b"\x80\x80"
        signed = encode_list(signed_payload)
        first = 0
        price = max_fee = _integer(raw, fields[1], _UINT256, "gas price")
    else:
        chain_id, parity = _integer(raw, fields[0], _UINT64, "chain id"), v
        if chain_id == 0:
            raise _malformed("chain id 0")
        signed = raw[:1] + encode_list(signed_payload)
        first = 1
        price = max_fee = _integer(raw, fields[2], _UINT256, "gas price or priority fee")
    if parity > 1:
        raise RefusedError(f"the signature's v is {v}", code="entry.signature")
    gas_at = first + 2
    if tx_type >= DYNAMIC_FEE:
        max_fee = _integer(raw, fields[3], _UINT256, "max fee")
        gas_at = 4
        if price > max_fee:
            raise RefusedError("the priority fee is above the fee that contains it", code="entry.fee")
    nonce = _integer(raw, fields[first], _UINT64, "nonce")
    if nonce == 2**64 - 1:
        raise _malformed("the nonce is the one that no account can use")
    gas = _integer(raw, fields[gas_at], _UINT64, "gas limit")
    to = _string(raw, fields[gas_at + 1], "receiver")
    if len(to) != 20 and (to or tx_type >= BLOB):
        raise _malformed("the receiver is not an address")
    value = _integer(raw, fields[gas_at + 2], _UINT256, "value")
    data = fields[gas_at + 3]
    if data.is_list:
        raise _malformed("call data is a list")
    zeros = raw.count(0, data.start, data.end)
    floor_gas = _BASE_GAS + zeros * _ZERO_BYTE_GAS + (data.end - data.start - zeros) * _BYTE_GAS
    if not to:
        floor_gas += _CREATE_GAS
    blob_wei = 0
    if tx_type >= ACCESS_LIST:
        floor_gas += _access_list_gas(raw, fields[gas_at + 4])
    if tx_type == BLOB:
        blob_fee = _integer(raw, fields[gas_at + 5], _UINT256, "max fee per blob gas")
        blob_wei = blob_fee * _BLOB_GAS * _count_blobs(raw, fields[gas_at + 6])
    elif tx_type == SET_CODE:
        floor_gas += _AUTHORIZATION_GAS * _count_authorizations(raw, fields[gas_at + 5])
    return Transaction(
        raw=raw,
        txid=keccak256(raw),
        tx_type=tx_type,
        chain_id=chain_id,
        sender=_recover(raw, fields, parity, keccak256(signed)),
        nonce=nonce,
        gas=gas,
        max_fee=max_fee,
        max_priority_fee=price,
        to=to or None,
        value=value,
        data_bytes=data.end - data.start,
        floor_gas=floor_gas,
        blob_wei=blob_wei,
    )


def _type_of(raw: bytes) -> tuple[int, int]:
    """Return the type and the position of the list."""
    if not raw:
        raise _malformed("it is empty")
    if raw[0] >= 0xC0:
        return LEGACY, 0
    if raw[0] not in (ACCESS_LIST, DYNAMIC_FEE, BLOB, SET_CODE):
        raise FormatError(f"transactions of type 0x{raw[0]:02x} are not known here", code="entry.type")
    return raw[0], 1


def _split_v(v: int) -> tuple[int | None, int]:
    """Return chain id and parity of a legacy signature. Source: EIP-155."""
    if v in (27, 28):
        return None, v - 27
    chain_id, parity = divmod(v - 35, 2)
    if not 0 < chain_id < 2**64:
        raise RefusedError(f"the signature's v is {v}", code="entry.signature")
    return chain_id, parity


def _recover(raw: bytes, fields: Sequence[Span], parity: int, digest: bytes) -> bytes:
    r, s = _integer(raw, fields[-2], _UINT256, "r"), _integer(raw, fields[-1], _UINT256, "s")
    if not 0 < r < ORDER or not 0 < s <= ORDER // 2:
        raise RefusedError(
            "the signature's r or s is out of range",
            code="entry.signature",
            hint="s must lie in the lower half of the group's order.",
        )
    return recover_address(r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity]), digest)


def recover_address(signature: bytes, digest: bytes) -> bytes:
    """Return the address, 20 bytes, whose key signed ``digest`` (32 bytes).

    Args:
        signature: ``r ‖ s ‖ parity``, 65 bytes, parity 0 or 1; the range of s is the caller's to check.
    Raises:
        RefusedError: no key made it (``entry.signature``).
    Source: SEC 1, section 4.1.6.
    """
    try:
        point = PublicKey.from_signature_and_message(signature, digest, hasher=None).format(compressed=False)
    except Exception as error:  # coincurve raises bare Exception and ValueError; both mean that no key fits
        raise RefusedError("no key made this signature", code="entry.signature") from error
    return keccak256(point[1:])[12:]


def _integer(raw: bytes, span: Span, width: int, name: str) -> int:
    """Read a canonical integer of at most ``width`` bytes."""
    if span.is_list or span.end - span.start > width or (span.end > span.start and raw[span.start] == 0):
        raise _malformed(f"{name} is not an integer of at most {width} bytes without leading zeros")
    return int.from_bytes(raw[span.start : span.end], "big")


def _string(raw: bytes, span: Span, name: str) -> bytes:
    if span.is_list:
        raise _malformed(f"{name} is a list")
    return raw[span.start : span.end]


def _fixed(span: Span, length: int, name: str) -> None:
    if span.is_list or span.end - span.start != length:
        raise _malformed(f"{name} does not have {length} bytes")


def _parts(raw: bytes, span: Span, count: int, name: str) -> list[Span]:
    parts = list(islice(read_items(raw, span.start, span.end), count + 1)) if span.is_list else []
    if len(parts) != count:
        raise _malformed(f"{name} is not a list of {count}")
    return parts


def _access_list_gas(raw: bytes, span: Span) -> int:
    """Check addresses (20 bytes) and their storage keys (32 bytes each); return their gas. Source: EIP-2930."""
    gas = 0
    if not span.is_list:
        raise _malformed("the access list is not a list")
    for item in read_items(raw, span.start, span.end):
        address, keys = _parts(raw, item, 2, "an item of the access list")
        _fixed(address, 20, "an address of the access list")
        gas += _ADDRESS_GAS
        if not keys.is_list:
            raise _malformed("the keys of the access list are not a list")
        for key in read_items(raw, keys.start, keys.end):
            _fixed(key, 32, "a key of the access list")
            gas += _KEY_GAS
    return gas


def _count_blobs(raw: bytes, span: Span) -> int:
    """Check the blobs' names, at least one, version 0x01; return how many. Source: EIP-4844."""
    count = 0
    if not span.is_list or span.start == span.end:
        raise _malformed("a blob transaction names at least one blob")
    for item in read_items(raw, span.start, span.end):
        _fixed(item, 32, "a blob hash")
        if raw[item.start] != _VERSIONED_HASH_KZG:
            raise _malformed("a blob hash has an unknown version")
        count += 1
    return count


def _count_authorizations(raw: bytes, span: Span) -> int:
    """Check shapes and ranges of the authorizations, at least one; return how many. Source: EIP-7702."""
    count = 0
    if not span.is_list or span.start == span.end:
        raise _malformed("a transaction of type 4 carries at least one authorization")
    for item in read_items(raw, span.start, span.end):
        chain_id, address, nonce, parity, r, s = _parts(raw, item, 6, "an authorization")
        _integer(raw, chain_id, _UINT256, "an authorization's chain id")
        _fixed(address, 20, "an authorization's address")
        _integer(raw, nonce, _UINT64, "an authorization's nonce")
        _integer(raw, parity, _UINT8, "an authorization's y parity")
        _integer(raw, r, _UINT256, "an authorization's r")
        _integer(raw, s, _UINT256, "an authorization's s")
        count += 1
    return count


def _malformed(reason: str) -> FormatError:
    return FormatError(f"not a signed Ethereum transaction: {reason}", code="entry.format")


def _json_access_list(tx: Mapping[str, Any]) -> list[Item]:
    result: list[Item] = []
    for item in _json_list(tx, "accessList"):
        if not isinstance(item, Mapping):
            raise _wrong_json("an item of accessList is not an object")
        keys: list[Item] = [_json_data(key, "storageKeys") for key in _json_list(item, "storageKeys")]
        result.append([_json_data(item.get("address"), "address"), keys])
    return result


def _json_authorization(item: Any) -> list[Item]:
    if not isinstance(item, Mapping):
        raise _wrong_json("an item of authorizationList is not an object")
    head: list[Item] = [_json_quantity(item, "chainId"), _json_data(item.get("address"), "address")]
    return [*head, *(_json_quantity(item, name) for name in ("nonce", "yParity", "r", "s"))]


def _json_quantity(tx: Mapping[str, Any], name: str) -> bytes:
    text = tx.get(name)
    if not isinstance(text, str) or not _QUANTITY.fullmatch(text):
        raise _wrong_json(f"{name} is not a quantity such as 0x1f")
    value = int(text, 16)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _json_data(text: Any, name: str) -> bytes:
    if not isinstance(text, str) or len(text) > 2 * MAX_BYTES + 2 or not _DATA.fullmatch(text):
        raise _wrong_json(f"{name} is not data such as 0x00ff")
    return bytes.fromhex(text[2:])


def _json_list(tx: Mapping[str, Any], name: str) -> list[Any]:
    value = tx.get(name, [])
    if not isinstance(value, list):
        raise _wrong_json(f"{name} is not a list")
    return value


def _wrong_json(reason: str) -> FormatError:
    return FormatError(f"not a signed transaction as JSON-RPC gives it: {reason}", code="entry.json")
