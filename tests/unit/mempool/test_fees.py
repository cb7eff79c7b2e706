from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.mempool.fees import MAX_FEE_BIN, fee_bin, fee_per_weight, outbidding
from bpci_node.mempool.target import MAX_AMOUNT
from bpci_node.primitives.ethereum import Transaction, decode_transaction


def fee_of(tx: Transaction, base_fee: int) -> int:
    return fee_per_weight(tx.max_fee, tx.max_priority_fee, base_fee)


@pytest.mark.parametrize(
    ("max_fee", "tip", "base_fee", "expected"),
    [(100, 10, 50, 60), (55, 10, 50, 55), (40, 10, 50, 40), (100, 0, 50, 50), (2**255, 2**255, 50, MAX_AMOUNT)],
)
def test_what_an_entry_pays_at_a_base_fee(
    sign_raw: Callable[..., bytes], max_fee: int, tip: int, base_fee: int, expected: int
) -> None:
    tx = decode_transaction(sign_raw(max_fee=max_fee, tip=tip))
    assert fee_of(tx, base_fee) == expected


def test_a_legacy_transaction_pays_its_gas_price_whatever_the_base_fee(sign_raw: Callable[..., bytes]) -> None:
    tx = decode_transaction(sign_raw(tx_type=0, max_fee=70))
    assert [fee_of(tx, base_fee) for base_fee in (0, 50, 70, 90)] == [70, 70, 70, 70]


def test_fee_bins_saturate() -> None:
    assert fee_bin(0, 10) == 0
    assert fee_bin(9, 10) == 0
    assert fee_bin(10, 10) == 1
    assert fee_bin(655_349, 10) == 65_534
    assert fee_bin(655_350, 10) == fee_bin(MAX_AMOUNT, 10) == MAX_FEE_BIN


def test_the_bin_of_the_shipped_transactions_at_five_gwei_is_mostly_zero(mainnet: list[Transaction]) -> None:
    bins = [fee_bin(fee_of(tx, 45_000_000), 5_000_000_000) for tx in mainnet]
    assert bins.count(0) == 1160


@pytest.mark.parametrize(("fee", "needed"), [(0, 1), (1, 2), (9, 10), (10, 11), (11, 13), (100, 110), (101, 112)])
def test_ten_percent_more_is_rounded_up(fee: int, needed: int) -> None:
    assert outbidding(fee, 10) == needed


@given(st.integers(0, 2**256), st.integers(1, 1_000))
def test_what_outbids_is_the_least_that_is_enough(fee: int, percent: int) -> None:
    needed, enough = outbidding(fee, percent), Fraction(100 + percent, 100) * fee
    assert needed >= enough
    assert needed > fee
    assert needed - 1 < enough or needed - 1 == fee
