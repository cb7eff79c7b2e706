import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.mempool.order import CHUNK, OrderIndex


def key(number: int) -> tuple[int, int, bytes]:
    return (-(number % 97), number, number.to_bytes(4, "big"))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=120))
def test_the_index_equals_a_sorted_list(steps: list[tuple[bool, int]]) -> None:
    index, model = OrderIndex(), set[tuple[int, int, bytes]]()
    for is_addition, number in steps:
        if is_addition and key(number) not in model:
            index.add(key(number))
            model.add(key(number))
        elif not is_addition and key(number) in model:
            index.remove(key(number))
            model.remove(key(number))
        elif not is_addition:
            with pytest.raises(KeyError):
                index.remove(key(number))
        assert list(index) == sorted(model)


def test_chunks_split_and_empty_ones_vanish() -> None:
    index, numbers = OrderIndex(), range(5 * CHUNK)
    for number in numbers:
        index.add(key(number))
    assert list(index) == sorted(key(number) for number in numbers)
    assert max(len(chunk) for chunk in index._chunks) <= 2 * CHUNK
    for number in numbers:
        index.remove(key(number))
    assert list(index) == []
    assert index._chunks == []
