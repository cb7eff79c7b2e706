import pytest

from bpci_node.errors import FormatError
from bpci_node.mempool.target import TargetConfig


def test_a_target_knows_its_chain_id() -> None:
    target = TargetConfig("eip155:137", base_fee_wei=0)
    assert target.chain_id == 137
    assert (target.fee_bin_wei, target.gas_limit, target.region, target.qlock_ms) == (5 * 10**9, 60_000_000, 0, 100)


@pytest.mark.parametrize(
    "name", ["", "eip155:", "eip155:0", "eip155:01", "eip155:18446744073709551616", "solana:1", "1"]
)
def test_names_that_are_no_target_are_refused(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        TargetConfig(name, base_fee_wei=0)
    assert caught.value.code == "mempool.target"


@pytest.mark.parametrize(
    "terms",
    [
        {"base_fee_wei": -1},
        {"base_fee_wei": 2**63},
        {"fee_bin_wei": 0},
        {"gas_limit": 20_999},
        {"region": 256},
        {"qlock_ms": 30},
    ],
)
def test_terms_out_of_range_are_refused(terms: dict[str, int]) -> None:
    with pytest.raises(FormatError) as caught:
        TargetConfig("eip155:1", **{"base_fee_wei": 1} | terms)
    assert caught.value.code == "mempool.target"
