from collections.abc import Callable
from typing import Any

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.errors import BpciError, FormatError, RefusedError
from bpci_node.primitives.ethereum import MAX_BYTES, Transaction, decode_transaction, from_rpc_json
from bpci_node.primitives.hashing import keccak256

EIP155_EXAMPLE = (
    "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe53"
    "7567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
)


def code_of(raw: bytes) -> str:
    with pytest.raises(BpciError) as caught:
        decode_transaction(raw)
    return caught.value.code


def with_fields(raw: bytes, changes: dict[int, Any]) -> bytes:
    """Replace fields of an already signed transaction, by position, signature fields included."""
    envelope, body = (b"", raw) if raw[0] >= 0xC0 else (raw[:1], raw[1:])
    fields = rlp.decode(body)
    for position, value in changes.items():
        fields[position] = value
    return envelope + rlp.encode(fields)


def test_hash_and_sender_of_every_shipped_transaction_are_reproduced(
    mainnet: list[Transaction], mainnet_json: list[dict[str, Any]]
) -> None:
    assert len(mainnet) == 1167
    assert {tx.tx_type for tx in mainnet} == {0, 2, 3, 4}
    for tx, shipped in zip(mainnet, mainnet_json, strict=True):
        assert "0x" + tx.txid.hex() == shipped["hash"]
        assert "0x" + tx.sender.hex() == shipped["from"]
        assert tx.chain_id == 1
        assert (tx.nonce, tx.gas, tx.value) == tuple(int(shipped[name], 16) for name in ("nonce", "gas", "value"))
        assert tx.max_fee == int(shipped.get("maxFeePerGas", shipped["gasPrice"]), 16)
        assert tx.max_priority_fee == int(shipped.get("maxPriorityFeePerGas", shipped["gasPrice"]), 16)
        assert ("0x" + tx.to.hex() if tx.to else None) == shipped["to"]
        assert tx.data_bytes == len(shipped["input"]) // 2 - 1


def test_the_example_of_eip_155_decodes() -> None:
    tx = decode_transaction(bytes.fromhex(EIP155_EXAMPLE))
    assert tx.sender.hex() == "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"
    assert (tx.tx_type, tx.chain_id, tx.nonce, tx.gas, tx.max_fee) == (0, 1, 9, 21_000, 20 * 10**9)
    assert tx.value == 10**18


@pytest.mark.parametrize("tx_type", range(5))
def test_every_type_decodes_to_what_was_signed(sign_raw: Callable[..., bytes], tx_type: int) -> None:
    access_list = [[b"\x05" * 20, [b"\x06" * 32, b"\x07" * 32]], [b"\x08" * 20, []]]
    raw = sign_raw(
        7,
        tx_type=tx_type,
        chain_id=137,
        nonce=300,
        max_fee=90,
        tip=20,
        gas=50_000,
        value=5,
        data=b"\x00\x01",
        access_list=access_list,
    )
    tx = decode_transaction(raw)
    assert tx.sender == decode_transaction(sign_raw(7)).sender
    assert (tx.raw, tx.txid, tx.tx_type, tx.chain_id) == (raw, keccak256(raw), tx_type, 137)
    assert (tx.nonce, tx.gas, tx.value, tx.data_bytes, tx.to) == (300, 50_000, 5, 2, b"\x22" * 20)
    assert (tx.max_fee, tx.max_priority_fee) == (90, 20 if tx_type >= 2 else 90)


def test_a_legacy_transaction_may_name_no_chain(sign_raw: Callable[..., bytes]) -> None:
    tx = decode_transaction(sign_raw(3, tx_type=0, protected=False))
    assert tx.chain_id is None
    assert tx.sender == decode_transaction(sign_raw(3)).sender


@pytest.mark.parametrize("tx_type", [0, 1, 2])
def test_a_contract_may_be_created(sign_raw: Callable[..., bytes], tx_type: int) -> None:
    assert decode_transaction(sign_raw(tx_type=tx_type, to=b"")).to is None


@pytest.mark.parametrize("tx_type", [3, 4])
def test_blob_and_set_code_transactions_need_a_receiver(sign_raw: Callable[..., bytes], tx_type: int) -> None:
    assert code_of(sign_raw(tx_type=tx_type, to=b"")) == "entry.format"


@pytest.mark.parametrize("tx_type", range(5))
def test_s_in_the_upper_half_is_refused(sign_raw: Callable[..., bytes], tx_type: int) -> None:
    assert code_of(sign_raw(tx_type=tx_type, high_s=True)) == "entry.signature"


ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.mark.parametrize(
    "changes",
    [
        {-3: b"\x02"},
        {-2: b""},
        {-1: b""},
        {-2: ORDER.to_bytes(32, "big")},
        {-2: b"\xff" * 32},
        {-1: (ORDER // 2 + 1).to_bytes(32, "big")},
        {-2: b"\x05"},  # no point of the curve has this x
    ],
)
def test_signatures_out_of_range_or_of_nobody_are_refused(
    sign_raw: Callable[..., bytes], changes: dict[int, Any]
) -> None:
    assert code_of(with_fields(sign_raw(), changes)) == "entry.signature"


@pytest.mark.parametrize("v", [0, 1, 26, 29, 34, 35, 36])
def test_a_legacy_v_that_means_nothing_is_refused(sign_raw: Callable[..., bytes], v: int) -> None:
    assert code_of(with_fields(sign_raw(tx_type=0), {-3: bytes([v]) if v else b""})) == "entry.signature"


@pytest.mark.parametrize(
    ("tx_type", "changes"),
    [
        (0, {0: b"\x00\x01"}),  # leading zero
        (0, {0: b"\x00"}),
        (0, {1: b"\x01" * 33}),
        (0, {2: b"\x01" * 9}),
        (0, {3: b"\x22" * 19}),
        (0, {3: b"\x22" * 21}),
        (0, {3: [b"\x22" * 20]}),
        (0, {5: [b"\x01"]}),
        (0, {0: []}),
        (2, {0: b""}),  # chain id 0
        (2, {0: b"\x01" * 9}),
        (2, {1: b"\xff" * 8}),  # the nonce that no account can use
        (2, {8: b""}),
        (2, {8: [b""]}),
        (2, {8: [[b"\x05" * 20]]}),
        (2, {8: [[b"\x05" * 19, []]]}),
        (2, {8: [[b"\x05" * 20, b""]]}),
        (2, {8: [[b"\x05" * 20, [b"\x06" * 31]]]}),
        (2, {8: [[b"\x05" * 20, [[b"\x06" * 32]]]]}),
        (2, {8: [[b"\x05" * 20, [], []]]}),
        (3, {10: []}),
        (3, {10: b""}),
        (3, {10: [b"\x02" + b"\x33" * 31]}),
        (3, {10: [b"\x01" + b"\x33" * 30]}),
        (4, {9: []}),
        (4, {9: [[b"\x01", b"\x44" * 20, b"", b"", b"\x01"]]}),
        (4, {9: [[b"\x01", b"\x44" * 19, b"", b"", b"\x01", b"\x01"]]}),
        (4, {9: [[b"\x01", b"\x44" * 20, b"\x01" * 9, b"", b"\x01", b"\x01"]]}),
        (4, {9: [[b"\x01", b"\x44" * 20, b"", b"\x01\x00", b"\x01", b"\x01"]]}),
        (4, {9: [[b"\x01", b"\x44" * 20, b"", b"", b"\x00\x01", b"\x01"]]}),
    ],
)
def test_fields_out_of_form_are_refused_though_well_signed(
    sign_raw: Callable[..., bytes], tx_type: int, changes: dict[int, Any]
) -> None:
    assert code_of(sign_raw(tx_type=tx_type, raw_fields=changes)) == "entry.format"


def test_a_priority_fee_above_the_fee_is_refused(sign_raw: Callable[..., bytes]) -> None:
    assert code_of(sign_raw(max_fee=10, tip=11)) == "entry.fee"


def test_missing_and_surplus_fields_are_refused(sign_raw: Callable[..., bytes]) -> None:
    for tx_type in range(5):
        raw = sign_raw(tx_type=tx_type)
        start = 0 if tx_type == 0 else 1
        fields = rlp.decode(raw[start:])
        assert code_of(raw[:start] + rlp.encode(fields[:-1])) == "entry.format"
        assert code_of(raw[:start] + rlp.encode([*fields, b""])) == "entry.format"


def test_trailing_bytes_are_refused(sign_raw: Callable[..., bytes]) -> None:
    assert code_of(sign_raw() + b"\x00") == "entry.format"
    assert code_of(sign_raw() + b"\xc0") == "entry.format"


@pytest.mark.parametrize(("raw", "code"), [("", "entry.format"), ("02", "entry.format"), ("c0", "entry.format"),
                                           ("05c0", "entry.type"), ("00c0", "entry.type"), ("7f", "entry.type"),
                                           ("bf", "entry.type"), ("0280", "entry.format")])  # fmt: skip
def test_short_nonsense_is_refused(raw: str, code: str) -> None:
    assert code_of(bytes.fromhex(raw)) == code


def test_the_network_form_of_a_blob_transaction_is_named_as_such(sign_raw: Callable[..., bytes]) -> None:
    inner = rlp.decode(sign_raw(tx_type=3)[1:])
    small = b"\x03" + rlp.encode([inner, [], [], []])
    large = b"\x03" + rlp.encode([inner, [b"\x00" * 131_072], [b"\x00" * 48], [b"\x00" * 48]])
    assert code_of(small) == "entry.blob_sidecar"
    assert code_of(large) == "entry.blob_sidecar"


def test_the_longest_transaction_passes_and_one_byte_more_does_not(sign_raw: Callable[..., bytes]) -> None:
    overhead = len(sign_raw(data=b"\x01" * 100_000, gas=10**7)) - 100_000
    longest = sign_raw(data=b"\x01" * (MAX_BYTES - overhead), gas=10**7)
    assert len(longest) == MAX_BYTES
    assert decode_transaction(longest).data_bytes == MAX_BYTES - overhead
    with pytest.raises(RefusedError) as caught:
        decode_transaction(sign_raw(data=b"\x01" * (MAX_BYTES - overhead + 1), gas=10**7))
    assert caught.value.code == "entry.size"
    assert caught.value.details == {"limit": MAX_BYTES}


def test_deep_nesting_and_long_junk_end_in_a_refusal_not_in_a_crash(sign_raw: Callable[..., bytes]) -> None:
    nested = b""
    for _ in range(20_000):
        nested = rlp.codec.length_prefix(len(nested), 0xC0) + nested
    assert code_of(sign_raw(raw_fields={8: []})[:1] + nested) == "entry.format"
    junk = b"\x01" * 130_000
    assert code_of(b"\x02" + rlp.codec.length_prefix(len(junk), 0xC0) + junk) == "entry.format"


@given(st.binary(max_size=300))
def test_random_bytes_leak_no_foreign_exception(raw: bytes) -> None:
    assert code_of(raw).startswith("entry.")  # 300 random bytes are no transaction


@settings(max_examples=300)
@given(data=st.data())
def test_an_altered_byte_of_a_real_transaction_is_refused_or_makes_another_one(
    mainnet: list[Transaction], data: st.DataObject
) -> None:
    original = data.draw(st.sampled_from(mainnet))
    raw = bytearray(original.raw)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_transaction(bytes(raw))
    except BpciError:
        return
    assert other.txid != original.txid
    assert other.sender != original.sender or other.raw[-65:] != original.raw[-65:]
    start = 0 if other.tx_type == 0 else 1
    assert rlp.encode(rlp.decode(other.raw[start:])) == other.raw[start:]


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": None},
        {"nonce": 5},
        {"nonce": "5"},
        {"nonce": "0x05"},
        {"nonce": "0x"},
        {"input": None},
        {"input": "0x0"},
        {"input": "00"},
        {"to": 5},
        {"type": "0x5"},
        {"accessList": {}},
        {"accessList": ["0x"]},
        {"accessList": [{"address": "0x00", "storageKeys": "0x"}]},
        {"r": "0x" + "1" * 65},
    ],
)
def test_json_out_of_form_is_refused(mainnet_json: list[dict[str, Any]], change: dict[str, Any]) -> None:
    shipped = next(tx for tx in mainnet_json if tx["type"] == "0x2")
    with pytest.raises(FormatError) as caught:
        from_rpc_json(shipped | change)
    assert caught.value.code == "entry.json"


def test_json_that_is_no_object_or_lacks_members_is_refused() -> None:
    for value in ([], None, {}, {"type": "0x4"}, {"type": "0x2"}):
        with pytest.raises(FormatError):
            from_rpc_json(value)


def test_json_of_types_one_and_four_is_built_too(sign_raw: Callable[..., bytes]) -> None:
    signed = decode_transaction(sign_raw(5, tx_type=1, max_fee=9, access_list=[[b"\x05" * 20, [b"\x06" * 32]]]))
    fields = rlp.decode(signed.raw[1:])
    names = ["chainId", "nonce", "gasPrice", "gas", "to", "value", "input", "accessList", "yParity", "r", "s"]
    shown = {name: hex(int.from_bytes(value, "big")) for name, value in zip(names, fields, strict=True)
             if isinstance(value, bytes)}  # fmt: skip
    shown |= {"type": "0x1", "to": "0x" + fields[4].hex(), "input": "0x"}
    shown["accessList"] = [{"address": "0x" + "05" * 20, "storageKeys": ["0x" + "06" * 32]}]
    assert from_rpc_json(shown) == signed.raw


@pytest.mark.parametrize(
    ("fields", "floor_gas"),
    [
        ({}, 21_000),
        ({"tx_type": 0, "data": b"\x00\x00\x01"}, 21_000 + 2 * 4 + 16),
        ({"to": b"", "data": b"\x01"}, 21_000 + 32_000 + 16),
        ({"access_list": [[b"\x05" * 20, [b"\x06" * 32] * 3], [b"\x07" * 20, []]]}, 21_000 + 2 * 2_400 + 3 * 1_900),
        ({"tx_type": 3}, 21_000),
        ({"tx_type": 4, "data": b"\x00"}, 21_000 + 4 + 12_500),
    ],
)
def test_the_gas_that_is_used_at_least(sign_raw: Callable[..., bytes], fields: dict[str, Any], floor_gas: int) -> None:
    assert decode_transaction(sign_raw(**fields)).floor_gas == floor_gas


def test_every_shipped_transaction_had_at_least_that_gas(mainnet: list[Transaction]) -> None:
    assert all(tx.floor_gas <= tx.gas for tx in mainnet)


def test_the_cost_is_gas_value_and_blobs(sign_raw: Callable[..., bytes]) -> None:
    assert decode_transaction(sign_raw(max_fee=70, tip=1, gas=30_000, value=9)).cost_wei == 70 * 30_000 + 9
    hashes = [b"\x01" + bytes(31)] * 6
    blob = decode_transaction(sign_raw(tx_type=3, raw_fields={9: 1_000, 10: hashes}))
    assert blob.blob_wei == 1_000 * 131_072 * 6
    assert blob.cost_wei == 100 * 21_000 + blob.blob_wei
