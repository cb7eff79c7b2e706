import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.mempool.entry import Entry
from bpci_node.mempool.entry_leaf import EntryLeaf
from bpci_node.mempool.entry_list import CHUNK, EntryList
from bpci_node.primitives.ethereum import Transaction
from bpci_node.primitives.merkle import leaf_hash


@pytest.fixture
def transaction(mainnet: list[Transaction]) -> Transaction:
    return mainnet[0]


def entry(transaction: Transaction, number: int) -> Entry:
    leaf = EntryLeaf(number.to_bytes(32, "big"), bytes(20), 0, number % 97, 21_000, 0, number, 0, b"")
    return Entry(transaction, leaf, bytes(4), pays_base_fee=True)


def hashes(entries: list[Entry]) -> list[bytes]:
    return [leaf_hash(item.leaf.encode()) for item in entries]


@settings(max_examples=200)
@given(steps=st.lists(st.tuples(st.sampled_from(["add", "remove", "hash"]), st.integers(0, 60)), max_size=120))
def test_the_list_equals_a_sorted_one(mainnet: list[Transaction], steps: list[tuple[str, int]]) -> None:
    entries, model = EntryList(), dict[int, Entry]()
    for step, number in steps:
        item = model.get(number) or entry(mainnet[0], number)
        if step == "add" and number not in model:
            entries.add(item)
            model[number] = item
        elif step == "remove" and number in model:
            entries.remove(item)
            del model[number]
        elif step == "remove":
            with pytest.raises(KeyError):
                entries.remove(item)
            with pytest.raises(KeyError):
                entries.position(item)
        elif step == "hash":
            expected = sorted(model.values(), key=lambda item: item.leaf.order_key)
            assert entries.leaf_hashes() == hashes(expected)
            assert entries.first_hashes(16) == hashes(expected)[:16]
    expected = sorted(model.values(), key=lambda item: item.leaf.order_key)
    assert (list(entries), len(entries)) == (expected, len(expected))
    assert [entries.position(item) for item in expected] == list(range(len(expected)))
    if expected:
        assert (entries.first, entries.last) == (expected[0], expected[-1])


def test_chunks_split_and_empty_ones_vanish(transaction: Transaction) -> None:
    items = [entry(transaction, number) for number in range(5 * CHUNK)]
    entries = EntryList()
    for item in items:
        entries.add(item)
    expected = sorted(items, key=lambda item: item.leaf.order_key)
    assert list(entries) == expected
    assert entries.leaf_hashes() == hashes(expected)
    assert max(len(chunk.keys) for chunk in entries._chunks) <= 2 * CHUNK
    for place in (0, CHUNK, 2 * CHUNK + 1, 5 * CHUNK - 1):
        assert entries.position(expected[place]) == place
    # Few of each chunk stay, so that the first hashes come from several.
    kept = expected[:: CHUNK // 4]
    for item in expected:
        if item not in kept:
            entries.remove(item)
    assert entries.first_hashes(16) == hashes(kept)[:16]
    assert entries.leaf_hashes() == hashes(kept)
    for item in kept:
        entries.remove(item)
    assert (list(entries), entries.first_hashes(16), entries._chunks) == ([], [], [])
