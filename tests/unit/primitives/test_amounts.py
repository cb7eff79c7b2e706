import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.primitives.amounts import MAX_AMOUNT, POLICIES, WHOLE_BPS, split

shares = st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, WHOLE_BPS), min_size=1, max_size=8)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_divides_all_of_it(name):
    assert sum(POLICIES[name].values()) == WHOLE_BPS
    assert split(WHOLE_BPS, POLICIES[name]) == dict(POLICIES[name])


@given(st.integers(0, MAX_AMOUNT), st.sampled_from(sorted(POLICIES)))
def test_no_unit_is_lost_and_no_share_is_off_by_one(total, name):
    parts = split(total, POLICIES[name])
    assert sum(parts.values()) == total
    for receiver, bps in POLICIES[name].items():
        assert total * bps // WHOLE_BPS <= parts[receiver] <= -(-total * bps // WHOLE_BPS)


@given(st.integers(0, 10**6), shares)
def test_any_shares_that_make_a_whole_conserve_the_total(total, given_shares):
    given_shares["last"] = 0
    rest = WHOLE_BPS - sum(given_shares.values())
    if rest < 0:
        return
    given_shares["last"] = rest
    assert sum(split(total, given_shares).values()) == total


def test_what_remains_goes_to_the_largest_remainder_then_the_first_name():
    assert split(1, {"b": 5000, "a": 5000}) == {"a": 1, "b": 0}
    assert split(1, {"b": 5001, "a": 4999}) == {"a": 0, "b": 1}
    assert split(2, {"c": 3334, "b": 3333, "a": 3333}) == {"a": 1, "b": 0, "c": 1}


@pytest.mark.parametrize(("total", "wrong"), [(-1, {"a": 10_000}), (1, {"a": 9_999}), (1, {"a": 10_001, "b": -1})])
def test_what_is_no_split_is_refused(total, wrong):
    with pytest.raises(ValueError, match="basis points"):
        split(total, wrong)
