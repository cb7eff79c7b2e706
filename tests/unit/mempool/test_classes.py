from collections import Counter
from collections.abc import Callable

import pytest

from bpci_node.errors import FormatError
from bpci_node.mempool.classes import EntryType, GasClass, class_byte, entry_type, gas_class, split_class
from bpci_node.primitives.ethereum import Transaction, decode_transaction


@pytest.mark.parametrize(
    ("gas", "expected"),
    [(21_000, "S"), (80_000, "S"), (80_001, "M"), (300_000, "M"), (300_001, "L"), (1_000_000, "L"), (1_000_001, "XL")],
)
def test_gas_classes_end_where_the_table_says(gas: int, expected: str) -> None:
    assert gas_class(gas) is GasClass[expected]


def test_types_of_ethereum_transactions(sign_raw: Callable[..., bytes]) -> None:
    def kind(**fields: object) -> EntryType:
        return entry_type(decode_transaction(sign_raw(**fields)))

    assert kind(tx_type=0) is EntryType.TRANSFER
    assert kind(tx_type=2, value=5) is EntryType.TRANSFER
    assert kind(tx_type=2, data=b"\x01") is EntryType.CONTRACT_CALL
    assert kind(tx_type=2, to=b"") is EntryType.CONTRACT_CALL
    assert kind(tx_type=3) is EntryType.BLOB
    assert kind(tx_type=4) is EntryType.CONTRACT_CALL


def test_the_class_byte_takes_apart_again_and_is_unique() -> None:
    seen = set()
    for kind in EntryType:
        for gas in GasClass:
            for qlock_ms in (10, 20, 50, 100):
                value = class_byte(kind, gas, qlock_ms)
                assert split_class(value) == (kind, gas, qlock_ms)
                seen.add(value)
    assert seen == set(range(80))


@pytest.mark.parametrize("value", [-1, 80, 255])
def test_a_class_that_no_entry_has_is_refused(value: int) -> None:
    with pytest.raises(FormatError) as caught:
        split_class(value)
    assert caught.value.code == "mempool.class"


def test_the_shipped_transactions_fall_into_these_classes(mainnet: list[Transaction]) -> None:
    assert Counter(gas_class(tx.gas).name for tx in mainnet)["XL"] == 39
    assert Counter(entry_type(tx).name for tx in mainnet)["BLOB"] == 5
