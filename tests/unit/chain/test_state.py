import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.key_index import MAX_RUN, KeyIndex
from bpci_node.chain.state import Overlay, State, root_v1
from bpci_node.chain.tree import MAX_PAGE
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.merkle import EMPTY_ROOT as EMPTY_ROOT_V1
from bpci_node.primitives.merkle import leaf_hash, root_of
from bpci_node.primitives.state_proof import EMPTY_ROOT, path_of, state_leaf, state_node, verify_state

keys = st.binary(min_size=1, max_size=2)
# Few different keys, so that sequences of writes meet each other; enough of them to fill more than one page.
writes = st.dictionaries(st.sampled_from([bytes([n]) for n in range(60)]), st.none() | st.binary(max_size=3))


def plain_root(entries):
    """The root as the specification words it: part the leaves at the first bit in which any of them differ."""

    def walk(leaves, bit):
        if len(leaves) == 1:
            return leaves[0][1]
        left = [leaf for leaf in leaves if not leaf[0][bit // 8] >> (7 - bit % 8) & 1]
        right = [leaf for leaf in leaves if leaf[0][bit // 8] >> (7 - bit % 8) & 1]
        if not left or not right:
            return walk(leaves, bit + 1)
        return state_node(bit, walk(left, bit + 1), walk(right, bit + 1))

    leaves = [(path_of(key), state_leaf(path_of(key), sha256(value))) for key, value in entries.items()]
    return walk(leaves, 0) if leaves else EMPTY_ROOT


def test_the_empty_state_has_a_root_of_its_own():
    assert State.of().root == EMPTY_ROOT
    assert len(State.of()) == 0
    assert State.of([(b"a", b"1")]).with_writes({b"a": None}).root == EMPTY_ROOT


@given(st.dictionaries(keys, st.binary(max_size=4)), st.randoms(use_true_random=False))
def test_the_root_does_not_depend_on_the_order_of_entries(entries, random):
    shuffled = list(entries.items())
    random.shuffle(shuffled)
    assert State.of(shuffled).root == State.of(entries.items()).root == plain_root(entries)


@settings(max_examples=200, deadline=None)
@given(st.lists(writes, max_size=10))
def test_the_root_depends_on_what_is_there_and_not_on_how_it_came(batches):
    state, plain = State.of(), {}
    for batch in batches:
        before = (state.root, list(state.entries()))
        following = state.with_writes(batch)
        assert (state.root, list(state.entries())) == before
        for key, value in batch.items():
            if value is None:
                plain.pop(key, None)
            else:
                plain[key] = value
        state = following
        assert list(state.entries()) == sorted(plain.items())
        assert len(state) == len(plain)
        assert state.root == plain_root(plain) == State.of(plain.items()).root


@pytest.mark.parametrize("count", [1, MAX_PAGE, MAX_PAGE + 1, 16 * MAX_PAGE, 3000])
def test_pages_and_branches_do_not_show_in_the_root(count):
    entries = {number.to_bytes(4): bytes([number % 251]) for number in range(count)}
    grown = State.of()
    for start in range(0, count, 700):
        grown = grown.with_writes(dict(list(entries.items())[start : start + 700]))
    assert grown.root == State.of(entries.items()).root == plain_root(entries)
    half = {key: None for key in entries if key[-1] % 2}
    shrunk = grown.with_writes(half)
    assert shrunk.root == plain_root({key: value for key, value in entries.items() if key not in half})
    assert shrunk.with_writes(dict.fromkeys(entries)).root == EMPTY_ROOT
    assert grown.root == plain_root(entries)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 2**20), min_size=1, max_size=300), st.integers(0, 2**20))
def test_what_is_there_and_what_is_not_can_be_proved(numbers, other):
    entries = {number.to_bytes(3): number.to_bytes(5) for number in numbers}
    state = State.of(entries.items())
    for key in [*sorted(entries)[:5], other.to_bytes(3)]:
        verify_state(state.root, key, entries.get(key), state.prove(key))


def test_absence_is_provable_in_the_empty_state():
    verify_state(EMPTY_ROOT, b"a", None, State.of().prove(b"a"))


@given(st.dictionaries(keys, st.binary(max_size=1)), st.binary(max_size=2), st.binary(max_size=2))
def test_entries_are_listed_by_prefix_and_after_a_key(entries, prefix, after):
    expected = [item for item in sorted(entries.items()) if item[0].startswith(prefix) and item[0] > after]
    if not after:
        expected = [item for item in sorted(entries.items()) if item[0].startswith(prefix)]
    assert list(State.of(entries.items()).entries(prefix, after=after)) == expected


def test_the_index_of_keys_stays_in_order_over_many_runs():
    wanted = {number.to_bytes(4) for number in range(0, 20 * MAX_RUN, 3)}
    index = KeyIndex.of(wanted)
    for step in range(5):
        added = {(7 * number + step).to_bytes(4) for number in range(3 * MAX_RUN)} - wanted
        removed = {key for key in wanted if key[-1] % 5 == step}
        earlier, index = index, index.update(added, removed)
        assert list(earlier.after(b"")) == sorted(wanted)
        wanted = (wanted | added) - removed
        assert list(index.after(b"")) == sorted(wanted)
        assert len(index) == len(wanted)
    burst = {b"\x00\x00\x01" + number.to_bytes(3) for number in range(4 * MAX_RUN)}
    assert list(index.update(burst, ()).after(b"")) == sorted(wanted | burst)
    assert list(index.update((), wanted).after(b"")) == []


def test_blocks_of_version_1_carry_the_root_of_a_plain_merkle_tree():
    entries = [(b"b", b"2"), (b"a", b"1")]
    leaves = [leaf_hash(encode(["bpci 2026 state v1", key, value])) for key, value in sorted(entries)]
    assert root_v1(entries) == root_of(leaves)
    assert root_v1([]) == EMPTY_ROOT_V1


def test_an_overlay_shows_its_writes_and_keeps_them_until_flushed():
    state = State.of([(b"a", b"1"), (b"b", b"2")])
    outer = Overlay(state)
    inner = Overlay(outer)
    inner.put(b"a", b"3")
    inner.delete(b"b")
    assert (inner.get(b"a"), inner.get(b"b"), inner.get(b"c")) == (b"3", None, None)
    assert (outer.get(b"a"), outer.get(b"b")) == (b"1", b"2")
    inner.flush_into(outer)
    assert (outer.get(b"a"), outer.get(b"b")) == (b"3", None)
    assert state.get(b"a") == b"1"
    assert dict(state.with_writes(outer.writes).entries()) == {b"a": b"3"}
